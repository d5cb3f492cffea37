package syncer

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/merge"
)

// TestS5MutantsLastSeen: the newest time that counts, from the device's creation to five minutes after receipt, both
// included; a strange one is the time of first receipt, while nothing is known.
func TestS5MutantsLastSeen(t *testing.T) {
	created := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	now := created.Add(time.Hour)
	at := func(d time.Duration) *time.Time { moment := now.Add(d); return &moment }
	for _, tt := range []struct {
		name                  string
		report, online, known *time.Time
		want                  *time.Time
	}{
		{"never", nil, nil, nil, nil},
		{"the report is newer", at(-time.Minute), at(-2 * time.Minute), nil, at(-time.Minute)},
		{"the connection is newer", at(-2 * time.Minute), at(-time.Minute), nil, at(-time.Minute)},
		{"the moment of its creation", at(-time.Hour), nil, nil, at(-time.Hour)},
		{"before its creation", at(-time.Hour - 1), nil, nil, at(0)},
		{"five minutes ahead", at(futureLimit), nil, nil, at(futureLimit)},
		{"more than five minutes ahead", at(futureLimit + 1), nil, nil, at(0)},
		{"strange, and something is known", at(time.Hour), nil, at(-time.Minute), nil},
		{"one strange, one not", at(time.Hour), at(-time.Minute), nil, at(-time.Minute)},
		{"one strange, one absent", nil, at(time.Hour), nil, at(0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rd := &tandem.RemoteDevice{CreatedAt: created, LastReport: tt.report, LastSeenOnline: tt.online}
			d := &tandem.Device{}
			d.LastSeen = tt.known
			if got := lastSeen(rd, d, now); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestS5MutantsFirmwareTime: the newest package that tells a time that counts, else receipt.
func TestS5MutantsFirmwareTime(t *testing.T) {
	created := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	now := created.Add(time.Hour)
	text := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339Nano) }
	for _, tt := range []struct {
		name  string
		times []string
		want  time.Time
	}{
		{"none", nil, now},
		{"the newest of several", []string{text(-2 * time.Minute), text(-time.Minute), text(-3 * time.Minute)}, now.Add(-time.Minute)},
		{"one that is no time, one that does not count", []string{"yesterday", text(time.Hour), text(-time.Minute)}, now.Add(-time.Minute)},
		{"only such", []string{"yesterday", text(-2 * time.Hour)}, now},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rd := &tandem.RemoteDevice{CreatedAt: created, Firmware: map[string]tandem.Firmware{}}
			for i, at := range tt.times {
				rd.Firmware[string(rune('a'+i))] = tandem.Firmware{Version: "1", Time: at}
			}
			for range 10 { // a map has no order
				if got := firmwareTime(rd, now); !got.Equal(tt.want) {
					t.Fatalf("got %s, want %s", got, tt.want)
				}
			}
		})
	}
}

// TestS5MutantsDecode: what cannot be read is absent, and numbers keep their spelling.
func TestS5MutantsDecode(t *testing.T) {
	for text, want := range map[string]any{"": nil, "{": nil, "null": nil, `"a"`: "a", "1.50": json.Number("1.50"), `[true]`: []any{true}} {
		if got := decode(json.RawMessage(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %#v, want %#v", text, got, want)
		}
	}
}

// TestS6MutantsSame: sets are compared as sets, whatever holds them; all else as merging does.
func TestS6MutantsSame(t *testing.T) {
	for _, tt := range []struct {
		path tandem.Path
		a, b any
		want bool
	}{
		{"tags", []string{"b", "a", "a"}, []any{"a", "b"}, true},
		{"tags", []string{"a"}, []any{"b"}, false},
		{"tags", nil, []string{}, true},
		{"tags", []any{"a", 1}, []string{"a"}, true},
		{"hardware_ids", []string{"b", "a"}, []string{"a", "b"}, true},
		{"metadata/k", []any{"b", "a"}, []any{"a", "b"}, false},
		{"name", "a", "a", true},
		{"name", "a", "b", false},
	} {
		if got := same(tt.path, tt.a, tt.b); got != tt.want {
			t.Errorf("%s: %v and %v: %v", tt.path, tt.a, tt.b, got)
		}
	}
}

// TestS8MutantsSpread: an import's time is that of every field without one of its own.
func TestS8MutantsSpread(t *testing.T) {
	whole, own := time.Unix(100, 0), time.Unix(200, 0)
	got := spread(tandem.EditTimes{"": whole, "name": own, "metadata/k": own}, whole)
	want := tandem.EditTimes{"": whole, "name": own, "enabled": whole, "hardware_ids": whole, "tags": whole, "blueprint": whole,
		"cohort": whole, "metadata": whole, "metadata/k": own}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestS9MutantsOver: only an open conflict about a deletion is over once the device is seen on both sides.
func TestS9MutantsOver(t *testing.T) {
	for _, tt := range []struct {
		status tandem.ResolutionStatus
		kind   tandem.ConflictType
		want   bool
	}{
		{tandem.ConflictPending, tandem.DeletedRemotely, true},
		{tandem.ConflictPending, tandem.DeletedLocally, true},
		{tandem.ConflictPending, tandem.ConcurrentModification, false},
		{tandem.ConflictResolving, tandem.DeletedRemotely, false},
		{tandem.ConflictResolving, tandem.DeletedLocally, false},
	} {
		if got := over(&tandem.Conflict{Status: tt.status, Type: tt.kind}); got != tt.want {
			t.Errorf("%s %s is over: %v", tt.status, tt.kind, got)
		}
	}
}

// TestS33MutantsDiff: what a rename over there moved on both sides is told against the stored device, with the time of
// the edit that brought it, when one did.
func TestS33MutantsDiff(t *testing.T) {
	now, edited := time.Unix(300, 0), time.Unix(200, 0)
	known := tandem.SharedFields
	stored := tandem.Shared{Known: known, Name: "a", Tags: []string{"old"}, Blueprint: "bp", Cohort: "was"}
	after := tandem.Shared{Known: known, Name: "b", Tags: []string{"new"}, Blueprint: "bp", Cohort: "is"}
	edits := []merge.Edit{{Path: "name", Before: "a", After: "b", At: edited}, {Path: "cohort", Before: "renamed", After: "is", At: edited},
		{Path: "tags", Before: []string{"x"}, After: []string{"new"}}, {Path: "blueprint", Before: "new", After: "bp", At: edited}}
	want := []merge.Edit{edits[0], {Path: "tags", Before: []string{"old"}, After: []string{"new"}, At: now}, {Path: "cohort", Before: "was", After: "is", At: edited}}
	if got := diff(stored, after, edits, now); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestS15MutantsSecondOfTheListing: a device made within the second that the Date header rounds away counts as old.
func TestS15MutantsSecondOfTheListing(t *testing.T) {
	for offset, want := range map[time.Duration]int{0: 0, time.Second: 0, time.Second + 1: 1} {
		var c census
		c.page(pageOf(0, 1))
		if c.device(tandem.RemoteDevice{CreatedAt: listingBegan.Add(offset)}); c.new != want || c.old != 1-want {
			t.Errorf("made %s after it began: %d new, %d old", offset, c.new, c.old)
		}
	}
	var c census // nobody told the time
	p := pageOf(0, 1)
	p.Now = time.Time{}
	c.page(p)
	if c.device(tandem.RemoteDevice{CreatedAt: listingBegan}); c.old != 1 || c.new != 0 {
		t.Errorf("without a clock there are %d new, %d old", c.new, c.old)
	}
}

// TestS15MutantsFirstReason: the first thing that went wrong is the one told, and the proof says what was read.
func TestS15MutantsFirstReason(t *testing.T) {
	p := countPages([]tandem.RemotePage{pageOf(0, 3, "a"), pageOf(3, 2, "b"), pageOf(5, 1)})
	if !strings.Contains(p.Reason, "page 3 came where page 1") {
		t.Errorf("the reason is %q", p.Reason)
	}
	p = countPages([]tandem.RemotePage{pageOf(0, 3, "a"), pageOf(1, 2, "b"), pageOf(4, 1)})
	if !strings.Contains(p.Reason, "fell from 3 to 2") {
		t.Errorf("the reason is %q", p.Reason)
	}
	if p = countPages([]tandem.RemotePage{pageOf(0, 5, "a", "b", "new-c")}); !strings.Contains(p.Reason, "3 distinct devices") {
		t.Errorf("the reason is %q", p.Reason)
	}
	p = countPages([]tandem.RemotePage{pageOf(0, 2, "a", "b"), pageOf(1, 3, "new-c")})
	if want := (Proof{Complete: true, Pages: 2, Total: 2, Distinct: 3, Grown: 1}); p != want {
		t.Errorf("the proof is %+v, want %+v", p, want)
	}
}

// TestS18MutantsHalf: what went earlier counts towards the half, whatever the ratio.
func TestS18MutantsHalf(t *testing.T) {
	if !overLimit(3, 3, 11, 1) || overLimit(3, 3, 12, 1) {
		t.Error("six of eleven are more than half, six of twelve are not")
	}
}

// TestS20MutantsUpperCase: an id in capitals is another id, and is kept as it is spelled.
func TestS20MutantsUpperCase(t *testing.T) {
	for id, want := range map[string]bool{"65e1f0a1b2c3d4e5f6abcdef": true, "65e1f0a1b2c3d4e5f6A00000": false, "65e1f0a1b2c3d4e5f6F00000": false, "65e1f0a1b2c3d4e5f6g00000": false} {
		if _, ok := parseObjectID(id); ok != want {
			t.Errorf("%s is an object id: %v", id, ok)
		}
	}
}
