package web_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/golioth/simulator"
	"tandem/web/webtest"
)

var (
	speed      = flag.Bool("speed", false, "measure the pages, which takes minutes: make bench-web")
	devices    = flag.Int("devices", 100_000, "how many devices there are then, all linked")
	onPostgres = flag.Bool("postgres", false, "measure them over PostgreSQL")
	visits     = flag.Int("visits", 20, "how often each page is visited, and each interaction done, then")
	paints     = flag.Bool("paints", true, "measure the paint of each page too, not the interactions alone")
)

// What pages may take, 95 times of 100 and the first time.
const (
	paintWithin = 300 * time.Millisecond // the first paint of any page, at a visit when its files are there
	actWithin   = 100 * time.Millisecond // from an action to its effect on the page
)

// measured is what something took: the first time, and the times after it.
type measured struct {
	name  string
	first time.Duration
	again []time.Duration
}

// percentile gives the time within which so many of 100 were done.
func percentile(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)*percent+99)/100-1]
}

func (m *measured) String() string {
	return fmt.Sprintf("first %6.0f ms   p50 %6.0f   p95 %6.0f ms", ms(m.first), ms(percentile(m.again, 50)), ms(percentile(m.again, 95)))
}

// over reports whether it takes longer than it may.
func (m *measured) over(limit time.Duration) bool {
	return m.first > limit || percentile(m.again, 95) > limit
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// TestSpeed measures each page, and each filter, search and sort of the large ones, with many devices in the database.
// It prints the table that make bench-web is for; without its flag it does everything once with a small fleet.
func TestSpeed(t *testing.T) {
	var options []webtest.Option
	if *speed {
		options = append(options, webtest.Flags(), webtest.Simulated(func(o *simulator.Options) { o.Projects[2].Devices = *devices }))
		if *onPostgres {
			options = append(options, webtest.OnPostgres())
		}
	} else {
		*visits = 0 // but the first
		t.Parallel()
	}
	l := webtest.Live(t, options...)
	shown := webtest.Pages
	if *speed {
		shown = append(slices.Clone(shown), fill(t, l)...)
	}
	p := l.Browser(t, webtest.Options{})
	var over []string
	for _, one := range shown {
		path := one.Path(l)
		if strings.HasPrefix(path, "/") || !*paints {
			continue
		}
		server, paint, bytes := timed(l, p, one, path)
		if !*speed { // a machine that does other things at the same time says nothing about the limits
			continue
		}
		fmt.Printf("%-36s first byte p95 %6.0f ms   paint %s   %4.0f KB\n", paint.name, ms(percentile(server, 95)), &paint, float64(bytes)/1024)
		if paint.over(paintWithin) {
			over = append(over, paint.name+" is painted after: "+paint.String())
		}
		if bytes > heaviest {
			t.Errorf("%s weighs %d bytes, %d are allowed", one.Name, bytes, heaviest)
		}
	}
	interactions(p, func(m measured) {
		if !*speed {
			return
		}
		fmt.Printf("%-60s %s\n", m.name, &m)
		if m.over(actWithin) {
			over = append(over, m.name+" takes: "+m.String())
		}
	})
	for _, text := range over {
		t.Error(text)
	}
}

// timed opens a page for the first time, with no file of it there and right after devices have changed, which is timed; then
// again and again.
func timed(l *webtest.Lived, p *webtest.Page, one webtest.Show, path string) (server []time.Duration, paint measured, bytes int) {
	paint.name = one.Name
	if one.Then != nil {
		one.Then(p)
	}
	if *speed {
		p.Open("settings/account") // which asks for nothing when devices change
		p.Idle()
		l.Edit(l.Row, "cohort", fmt.Sprintf("cohort-%d", time.Now().UnixNano()%1000))
	}
	for i := range 1 + *visits {
		if i == 0 {
			p.ClearCache()
		}
		p.Open(path)
		var took struct{ First, Paint float64 }
		p.Eval(`new Promise((done) => { const look = () => { const paint = performance.getEntriesByName("first-contentful-paint")[0]; const page = performance.getEntriesByType("navigation")[0];
			if (paint) done({ first: page.responseStart, paint: paint.startTime }); else requestAnimationFrame(look); }; look(); })`, &took)
		after := time.Duration(took.Paint * float64(time.Millisecond))
		p.Idle() // a page that is left while it asks for something would be waited for in vain
		if i == 0 {
			paint.first, bytes = after, p.Size()
			continue
		}
		server = append(server, time.Duration(took.First*float64(time.Millisecond)))
		paint.again = append(paint.again, after)
	}
	return server, paint, bytes
}

// filtered are the pages with a form that narrows what they list, each with texts to search for: some have it, one, none.
func filtered() map[string][]string {
	pages := map[string][]string{"devices": {"pump", "0000a1", "no such"}, "conflicts": {"pump", "no such"}, "history": {"no such"},
		"not-linked": {"tracker", "unknown-00077", "no such"}, "deliveries": nil, "settings/audit": {"device", "no such"}}
	if largeRun != "" {
		pages["history/"+largeRun] = []string{"pump", "no such"}
	}
	return pages
}

// choicesOfEach bounds the choices of one filter that are tried.
const choicesOfEach = 4

// interactions does what people do on the pages with the most on them: each choice of each filter, searches, and what
// asks no server; it tells each as it is done.
func interactions(p *webtest.Page, tell func(measured)) {
	pages := filtered()
	if !*speed {
		maps.DeleteFunc(pages, func(page string, _ []string) bool { return page != "devices" && page != "conflicts" })
	}
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		p.Open(page)
		p.Idle()
		var filters []struct {
			Name   string
			Values []string
		}
		p.Eval(`[...document.querySelectorAll('main form[role="search"] select[name]')].map((one) => ({ name: one.name,
			values: [...one.options].map((option) => option.value).filter((value) => value !== one.value) }))`, &filters)
		for _, filter := range filters {
			for i, value := range filter.Values {
				if i < choicesOfEach && (i == 0 || *speed) {
					tell(narrow(p, page, fmt.Sprintf(`select[name=%q]`, filter.Name), value))
				}
			}
		}
		for _, text := range pages[page] {
			tell(narrow(p, page, `input[type="search"]`, text))
		}
	}
	for _, one := range []struct{ name, page, act, done string }{
		{"the menu of columns opens", "devices", `document.querySelector("details.columns > summary").click()`, `document.querySelector("details.columns").open`},
		{"all rows are selected", "devices", `document.querySelector("[data-select-all]").click()`, `[...document.querySelectorAll('input[name="id"]')].every((box) => box.checked)`},
		{"the next one by the keyboard", "conflicts", `document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }))`, `document.querySelector(".conflict.current")`},
		{"dark instead of light", "", `document.querySelector("[data-theme-toggle]").click()`, `document.documentElement.dataset.bsTheme === "dark"`},
	} {
		m := measured{name: one.page + ": " + one.name}
		for i := range 1 + min(*visits, 5) {
			p.Open(one.page)
			p.Idle()
			if one.done == `document.documentElement.dataset.bsTheme === "dark"` {
				p.Eval(`document.documentElement.dataset.bsTheme = "light"`, nil)
			}
			m.add(i, act(p, one.act, one.done))
		}
		tell(m)
	}
}

func (m *measured) add(i int, took time.Duration) {
	if i == 0 {
		m.first = took
	} else {
		m.again = append(m.again, took)
	}
}

// narrow chooses or types a value in a form's control, and takes it back, over and over.
func narrow(p *webtest.Page, page, control, value string) measured {
	m := measured{name: fmt.Sprintf("%s: %s is %q", page, control, value)}
	set := func(value string) time.Duration {
		return act(p, fmt.Sprintf(`(() => { const one = document.querySelector('main form[role="search"] %s'); one.value = %q;
			one.dispatchEvent(new Event("input", { bubbles: true })); one.dispatchEvent(new Event("change", { bubbles: true })); })()`, control, value), `settled`)
	}
	var was string
	p.Eval(fmt.Sprintf(`document.querySelector('main form[role="search"] %s').value`, control), &was)
	for i := range 1 + *visits {
		m.add(i, set(value))
		set(was)
	}
	return m
}

// act does something on a page, and gives how long it took to show. What asks the server is timed from the request on: while
// somebody types, it waits on purpose.
func act(p *webtest.Page, do, done string) time.Duration {
	var took float64
	p.Eval(`new Promise((done, failed) => { let settled = false; let start = performance.now(); const stop = new AbortController();
		addEventListener("htmx:before:request", () => { start = performance.now(); settled = false; }, { signal: stop.signal });
		addEventListener("htmx:after:settle", () => { settled = true; }, { signal: stop.signal });
		const look = () => { if (`+done+`) { stop.abort(); done(performance.now() - start); } else if (performance.now() - start > 10000) failed(new Error("it has no effect: " + `+fmt.Sprintf("%q", do)+`)); else requestAnimationFrame(look); };
		`+do+`; look(); })`, &took)
	return time.Duration(took * float64(time.Millisecond))
}
