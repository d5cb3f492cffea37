package web_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/golioth/simulator"
	"tandem/web/webtest"
)

var (
	speed   = flag.Bool("speed", false, "measure the pages, which takes minutes: make bench-web")
	devices = flag.Int("devices", 100_000, "how many devices there are then")
)

// What pages may take.
const (
	paintWithin = 300 * time.Millisecond // the first paint of any page, at a visit when its files are there
	actWithin   = 100 * time.Millisecond // from an action to its effect on the page
)

// measured is what a page took, the median of some visits.
type measured struct {
	name         string
	server       time.Duration // until the first byte of the page
	paint        time.Duration
	bytes        int
	paints, sent []time.Duration
}

// TestSpeed measures each page, and what people do most on the large ones, with many devices in the database.
// It prints the table that make bench-web is for; without its flag it measures the pages of a small fleet once.
func TestSpeed(t *testing.T) {
	visits := 1
	var options []webtest.Option
	if *speed {
		visits = 5
		options = append(options, webtest.Simulated(func(o *simulator.Options) { o.Projects[2].Devices = *devices }))
	} else {
		t.Parallel()
	}
	l := webtest.Live(t, options...)
	if *speed {
		fill(t, l)
	}
	p := l.Browser(t, webtest.Options{})
	var table []measured
	for _, one := range webtest.Pages {
		if path := one.Path(l); !strings.HasPrefix(path, "/") {
			table = append(table, measure(l, p, one, visits))
		}
	}
	if !*speed {
		interactions(p)
		return // a machine that does other things at the same time says nothing about the limits
	}
	for _, m := range table {
		fmt.Printf("%-18s first byte %6.0f ms   first paint %6.0f ms   %4.0f KB\n", m.name, ms(m.server), ms(m.paint), float64(m.bytes)/1024)
		if m.paint > paintWithin {
			t.Errorf("%s is painted after %s, %s are allowed", m.name, m.paint, paintWithin)
		}
		if m.bytes > heaviest {
			t.Errorf("%s weighs %d bytes, %d are allowed", m.name, m.bytes, heaviest)
		}
	}
	for _, a := range interactions(p) {
		fmt.Printf("%-45s %6.0f ms\n", a.name, ms(a.took))
		if a.took > actWithin {
			t.Errorf("%s takes %s, %s are allowed", a.name, a.took, actWithin)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// fill imports a large project, as a service of its own.
func fill(t *testing.T, l *webtest.Lived) {
	t.Helper()
	large := l.AddService("large", webtest.EmptyProject, nil)
	run, err := l.API.Sync(t.Context(), l.Org.ID, tandem.RunRequest{ServiceID: large.ID, Operation: tandem.OpImport}, nil)
	// Some are those of the first project, by their hardware ids.
	if err != nil || run.Summary.Successful != *devices {
		t.Fatalf("%d devices are to be imported: %s %+v, %v", *devices, run.Status, run.Summary, err)
	}
}

// measure visits a page; the first visit, which loads its files, is not timed.
func measure(l *webtest.Lived, p *webtest.Page, one webtest.Show, visits int) measured {
	m := measured{name: one.Name}
	if one.Then != nil {
		one.Then(p)
	}
	p.ClearCache()
	p.Open(one.Path(l))
	p.Idle()
	m.bytes = p.Size()
	for range visits {
		p.Open(one.Path(l))
		var took struct{ First, Paint float64 }
		p.Eval(`new Promise((done) => { const look = () => { const paint = performance.getEntriesByName("first-contentful-paint")[0]; const page = performance.getEntriesByType("navigation")[0];
			if (paint) done({ first: page.responseStart, paint: paint.startTime }); else requestAnimationFrame(look); }; look(); })`, &took)
		m.sent = append(m.sent, time.Duration(took.First*float64(time.Millisecond)))
		m.paints = append(m.paints, time.Duration(took.Paint*float64(time.Millisecond)))
	}
	m.server, m.paint = median(m.sent), median(m.paints)
	return m
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// interaction is something that people do on a page, and how long it took to show. What asks the server is timed from the
// request on: while somebody types, it waits on purpose.
type interaction struct {
	name string
	took time.Duration
}

// interactions does some on the pages with the most on them.
func interactions(p *webtest.Page) []interaction {
	var all []interaction
	for _, one := range []struct{ name, page, act, done string }{
		{"devices: the menu of columns opens", "devices", `document.querySelector("details.columns > summary").click()`, `document.querySelector("details.columns").open`},
		{"devices: all rows are selected", "devices", `document.querySelector("[data-select-all]").click()`, `[...document.querySelectorAll('input[name="id"]')].every((box) => box.checked)`},
		{"devices: only those that are offline", "devices", `(() => { const status = document.querySelector('select[name="status"]'); status.value = "offline"; status.dispatchEvent(new Event("input", { bubbles: true })); })()`, `settled`},
		{"conflicts: the next one by the keyboard", "conflicts", `document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }))`, `document.querySelector(".conflict.current")`},
		{"any page: dark instead of light", "", `document.querySelector("[data-theme-toggle]").click()`, `document.documentElement.dataset.bsTheme === "dark"`},
	} {
		p.Open(one.page)
		p.Idle()
		var took float64
		p.Eval(`new Promise((done, failed) => { let settled = false; let start = performance.now();
			addEventListener("htmx:before:request", () => { start = performance.now(); }); addEventListener("htmx:after:settle", () => { settled = true; });
			const look = () => { if (`+one.done+`) done(performance.now() - start); else if (performance.now() - start > 10000) failed(new Error("it has no effect")); else requestAnimationFrame(look); };
			`+one.act+`; look(); })`, &took)
		all = append(all, interaction{one.name, time.Duration(took * float64(time.Millisecond))})
	}
	return all
}
