package device_test

import (
	"strings"
	"testing"
	"time"

	"tandem/web/webtest"
)

// summary reads what a plot says of itself in words.
func summary(p *webtest.Page, id string) string {
	p.WaitFor("#" + id + " canvas")
	var text string
	p.Eval(`document.querySelector("#`+id+` figcaption").textContent`, &text)
	return text
}

// says waits until a plot says something of itself.
func (w *world) says(p *webtest.Page, id, text string) {
	w.t.Helper()
	last := ""
	w.Wait("the plot "+id+" to say "+text, func() bool {
		last = summary(p, id)
		return strings.Contains(last, text)
	})
}

// TestNumbers: what a device reports is listed with its time, and any number of it is plotted, as it comes.
func TestNumbers(t *testing.T) {
	t.Parallel()
	w := open(t, 1)
	d := w.fleet[0]
	_, token := w.token(d.ID)
	w.Report(token, `{"battery":80,"temperature":21.5,"mode":"cooling","valve":{"open":true},"environment":{"pressure":101325}}`)
	p := w.page(t, d.ID)
	p.SeeIn("#live", "Live")
	for name, shows := range map[string]string{"Battery": "80", "temperature": "21.5", "mode": "cooling", "valve › open": "yes", "environment › pressure": "101325"} {
		p.SeeIn("#values [data-value='"+name+"']", shows)
	}
	p.SeeIn("#values [data-value='mode'] time", "ago")
	w.says(p, "plot-1", "environment › pressure: 1 report, last 101325.") // one alone is told, and marked
	w.says(p, "plot-2", "temperature: 1 report, last 21.5.")
	var marked bool
	if p.Eval(`JSON.parse(document.querySelector("#plot-2 [data-plot]").dataset.plot).series[0].points`, &marked); !marked {
		t.Error("a single value is not marked")
	}
	p.SeeIn("#plot-2", "21.5")
	p.Eval(`(document.querySelector("#plot-2 .uplot").kept = "yes")`, nil)

	p.Click("#plots a >> Hour")
	p.WaitFor("#plots a[aria-current] >> Hour")
	fastest := webtest.Patience
	for _, degrees := range []string{"22.25", "23.5", "19.75"} {
		began := time.Now()
		w.Report(token, `{"temperature":`+degrees+`}`)
		w.says(p, "plot-2", "last "+degrees)
		fastest = min(fastest, time.Since(began))
		p.SeeIn("#values [data-value='temperature']", degrees)
	}
	if fastest > time.Second {
		t.Errorf("the plot shows a report after %s at the soonest", fastest)
	}
	w.says(p, "plot-2", "between 19.75 and 23.5")
	points, err := w.API.DeviceSeries(t.Context(), w.Org.ID, d.ID, "telemetry:temperature", time.Now().Add(-time.Hour), time.Now(), 1)
	w.must(err)
	if len(points) != 1 || points[0].Count != 4 || points[0].Min != 19.75 || points[0].Max != 23.5 {
		t.Errorf("the API has %+v", points)
	}

	p.Click("#plots .choices a >> temperature")
	p.WaitGone("#plots h3 >> temperature")
	w.Report(token, `{"temperature":25,"humidity":44}`) // what was chosen stays, and what is new is offered
	p.WaitFor("#plots .choices a:not([aria-current]) >> humidity")
	p.Click("#plots .choices a >> humidity")
	p.WaitFor("#plots h3 >> humidity")
	w.says(p, "plot-2", "humidity: 1 report, last 44.")
	if n := p.Count("#plots h3 >> temperature"); n != 0 {
		t.Error("what was not wanted is plotted again")
	}
	for _, span := range []string{"Day", "Week", "Month"} {
		p.Click("#plots a >> " + span)
		p.WaitFor("#plots a[aria-current] >> " + span)
		w.says(p, "plot-2", "humidity: 1 report, last 44.")
	}
	p.Axe()
}
