package webtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tandem/web/webtest"
)

// recorder takes what a page holds against a test, instead of the test.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

// TestTroubleIsNoticed: whatever must not happen on a page is told, unless it was allowed.
func TestTroubleIsNoticed(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{Width: webtest.Phone})
	r := &recorder{TB: t}
	p.For(r)
	p.Open("alerts")
	for act, want := range map[string]string{
		`console.error("one thing")`:                                                                          "one thing",
		`void setTimeout(() => { throw new Error("another thing") })`:                                         "another thing",
		`fetch("/o/nobodys/devices").then(() => 0)`:                                                           "/o/nobodys/devices: status 404",
		`document.body.append(Object.assign(new Image(), { src: "https://elsewhere.example.com/x.png" })), 0`: "https://elsewhere.example.com/x.png",
		`document.body.insertAdjacentHTML("beforeend", "<p style='color: red'>inline</p>")`:                   "Content Security Policy",
	} {
		p.Eval(act, nil)
		w.Wait(want, func() bool {
			return slices.ContainsFunc(p.Troubles(), func(text string) bool { return strings.Contains(text, want) })
		})
	}
	before := len(p.Troubles())
	p.Allow(404, "^/o/nobodys/")
	if after := len(p.Troubles()); after != before-1 {
		t.Errorf("%d troubles are left of %d once one was allowed", after, before)
	}
	p.AllowMessage(".")
	if left := p.Troubles(); len(left) > 0 {
		t.Errorf("all was allowed, and there are: %s", left)
	}
}

// TestLooksAreNoticed: what is too wide, has no name or cannot be read fails a test.
func TestLooksAreNoticed(t *testing.T) {
	t.Parallel()
	w := webtest.Open(t)
	p := w.Browser(t, webtest.Options{Width: webtest.Phone})
	r := &recorder{TB: t}
	p.For(r)
	p.Open("alerts")
	p.Fits()
	p.Named()
	p.Axe()
	if len(r.said) > 0 {
		t.Fatalf("a good page is said to be bad: %s", r.said)
	}
	p.Eval(`(() => {
		const main = document.querySelector("main"), wide = document.createElement("div");
		wide.className = "too-wide"; wide.style.width = "900px"; wide.style.height = "1px";
		const pale = document.createElement("p");
		pale.textContent = "pale"; pale.style.color = "#ddd"; pale.style.background = "#fff";
		main.append(wide, pale, document.createElement("button"));
		main.querySelector("button:empty").style.padding = "1em";
	})()`, nil)
	for want, look := range map[string]func(){"too-wide": p.Fits, "without a name": p.Named, "color-contrast": p.Axe} {
		r.said = nil
		look()
		if !strings.Contains(strings.Join(r.said, "\n"), want) {
			t.Errorf("nobody says %q: %s", want, r.said)
		}
	}
}
