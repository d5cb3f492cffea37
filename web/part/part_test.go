package part_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem/web/part"
)

func TestAgoText(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for at, want := range map[time.Duration]string{0: "just now", -7 * time.Second: "7.0 s ago", -90 * time.Second: "1 min ago", -50 * time.Hour: "2 days ago",
		30 * time.Minute: "in 30 min", 200 * time.Millisecond: "in 200 ms"} {
		if got := part.AgoText(now.Add(at), now); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1 000", 1234567: "1 234 567", -45000: "-45 000"} {
		if got := part.Number(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestDifferencesMarkWhatTheOtherLacks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ before, after, want string }{
		{"Aarhus gateway 20", "Aarhus gateway 20 (roof)", "Aarhus gateway 20[ (roof)]"},
		{"a b c", "a x c", "a [x] c"},
		{"same", "same", "same"},
		{"", "all new", "[all new]"},
		{"gone", "", ""},
		{"v1.2.3", "v1.3.3", "v1.[3].3"},
	} {
		var got strings.Builder
		for _, p := range part.Differences(c.before, c.after) {
			if p.Changed {
				got.WriteString("[" + p.Text + "]")
			} else {
				got.WriteString(p.Text)
			}
		}
		if got.String() != c.want {
			t.Errorf("%q → %q: %q, want %q", c.before, c.after, got.String(), c.want)
		}
	}
}

// TestDifferencesKeepTheText: whatever is compared, nothing of the text is lost or added, and equal texts have no mark.
func TestDifferencesKeepTheText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before, after := rapid.String().Draw(t, "before"), rapid.String().Draw(t, "after")
		var whole strings.Builder
		marked := false
		for _, p := range part.Differences(before, after) {
			whole.WriteString(p.Text)
			marked = marked || p.Changed
		}
		if whole.String() != after {
			t.Fatalf("%q became %q", after, whole.String())
		}
		if before == after && marked {
			t.Fatal("equal texts are marked")
		}
	})
}

func TestReadable(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{`"text"`: "text", `true`: "yes", `null`: "", `["a",2]`: "a, 2", `12.50`: "12.50", `{"a":1}`: "{\n  \"a\": 1\n}", ``: "", `{broken`: "{broken"} {
		if got := part.Readable(json.RawMessage(raw)); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	l := part.NewListing("/o/acme/devices", url.Values{"page": {"3"}, "sort": {"-name"}, "search": {"a&b"}, "part": {"list"}}, 50)
	l.Total = 120
	if l.Page != 3 || l.Pages() != 3 || l.Range() != "101–120 of 120" {
		t.Error(l.Page, l.Pages(), l.Range())
	}
	if got := l.With("page", 2); got != "/o/acme/devices?page=2&search=a%26b&sort=-name" {
		t.Error(got)
	}
	if got := l.SortBy("name"); got != "/o/acme/devices?search=a%26b&sort=name" {
		t.Error(got)
	}
	if l.AriaSort("name") != "descending" || l.AriaSort("status") != "none" {
		t.Error("how it is sorted is not told")
	}
	for _, page := range []string{"-1", "x", "99999999999999999999"} {
		if l := part.NewListing("/", url.Values{"page": {page}}, 50); l.Page != 1 {
			t.Errorf("page %s: %d", page, l.Page)
		}
	}
}
