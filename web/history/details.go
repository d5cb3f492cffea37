package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem"
	"tandem/web/part"
)

// details is what a run noted of itself (Run.Details), as far as people look at it here.
type details struct {
	Phases []struct {
		Name       string `json:"name"`
		DurationMS int64  `json:"duration_ms"`
	} `json:"phases"`
	StateLeft int `json:"state_left_for_later"`
	NotLinked struct {
		Remote int `json:"remote"`
		Local  int `json:"local"`
	} `json:"not_linked"`
	Drift     int      `json:"drift"`
	Held      int      `json:"held"`
	BlockedBy string   `json:"blocked_by"`
	Warnings  []string `json:"warnings"`
}

func detailsOf(r *tandem.Run) (d details) {
	if len(r.Details) == 0 || json.Unmarshal(r.Details, &d) != nil {
		return details{}
	}
	return d
}

// phase is how long a run was at something.
type phase struct {
	name string
	took time.Duration
}

// spent gives where a run's time went, in its order; what it came back to counts once, and what took no time not at all.
func (d *details) spent() (list []phase) {
	for _, p := range d.Phases {
		took := time.Duration(p.DurationMS) * time.Millisecond
		name := part.PhaseText(p.Name)
		if i := slices.IndexFunc(list, func(was phase) bool { return was.name == name }); i >= 0 {
			list[i].took += took
		} else if took > 0 {
			list = append(list, phase{name, took})
		}
	}
	return list
}

// cameTo says how a run ended where its counts and its error do not.
func cameTo(r *tandem.Run) string {
	switch r.Status {
	case tandem.RunPartial:
		var left []string
		if r.Summary.Failed > 0 {
			left = append(left, part.Count(r.Summary.Failed, "device", "devices")+" failed")
		}
		if r.Summary.Conflicts > 0 {
			left = append(left, part.Count(r.Summary.Conflicts, "conflict waits", "conflicts wait")+" for a decision")
		}
		if len(left) > 0 {
			return "It went through, but " + strings.Join(left, " and ") + "."
		}
	case tandem.RunCanceled:
		return "Somebody stopped it. What it did until then stays, and the next run goes on from there."
	case tandem.RunInterrupted:
		return "The server stopped while it ran. What it did until then stays; the next run clears up what was open and goes on."
	case tandem.RunQueued, tandem.RunRunning, tandem.RunCompleted, tandem.RunFailed, tandem.RunBlocked:
	}
	return ""
}

// operationText says what a run is.
func operationText(o tandem.Operation) string {
	switch o {
	case tandem.OpImport:
		return "Import"
	case tandem.OpExport:
		return "Export"
	case tandem.OpBidirectional:
		return "Full sync"
	case tandem.OpWebhook:
		return "Webhook"
	case tandem.OpRevert:
		return "Undo"
	}
	return string(o)
}

// triggerText says what started a run.
func triggerText(r *tandem.Run) string {
	switch r.Trigger {
	case tandem.BySchedule:
		return "by the schedule"
	case tandem.ByEdit:
		return "after an edit"
	case tandem.ByWebhook:
		return "after a webhook"
	}
	if r.CreatedBy != "" {
		return part.ByText(r.CreatedBy)
	}
	return "by hand"
}

// countsText says what a run changed on one side.
func countsText(n tandem.Counts) string {
	if n == (tandem.Counts{}) {
		return "nothing"
	}
	text := ""
	for _, one := range []struct {
		n    int
		word string
	}{{n.Created, "created"}, {n.Updated, "changed"}, {n.Deleted, "deleted"}} {
		if one.n > 0 {
			if text != "" {
				text += ", "
			}
			text += part.Number(one.n) + " " + one.word
		}
	}
	return text
}

// took says how long a run took, or takes by now.
func took(r *tandem.Run, now time.Time) string {
	switch {
	case r.CompletedAt != nil:
		return part.Span(time.Duration(r.DurationMS) * time.Millisecond)
	case r.StartedAt != nil:
		return part.Span(now.Sub(*r.StartedAt)) + " so far"
	}
	return "not started"
}

// progressText says how fast a run goes and how long it will still take, from how far its phase has come.
func progressText(p *tandem.Progress) string {
	if p.PhaseAt == nil || p.At == nil || p.Done == 0 {
		return ""
	}
	passed := p.At.Sub(*p.PhaseAt).Seconds()
	if passed < 0.5 {
		return ""
	}
	rate := float64(p.Done) / passed
	text := part.Number(int(rate)) + " a second"
	if p.Total > p.Done && rate > 0 {
		text += ", about " + part.Span(time.Duration(float64(p.Total-p.Done)/rate*float64(time.Second))) + " left in this phase"
	}
	return text
}

// timelinePlot draws when runs were and how long they took, by how they ended.
func (v listing) timelinePlot() part.PlotData {
	kinds := []struct {
		label, color string
		is           func(tandem.RunStatus) bool
	}{
		{"completed", "green", func(s tandem.RunStatus) bool { return s == tandem.RunCompleted }},
		{"needs a look", "orange", func(s tandem.RunStatus) bool {
			return s == tandem.RunPartial || s == tandem.RunBlocked || s == tandem.RunInterrupted
		}},
		{"failed", "red", func(s tandem.RunStatus) bool { return s == tandem.RunFailed }},
		{"other", "secondary", func(s tandem.RunStatus) bool { return s == tandem.RunCanceled || !s.Ended() }},
	}
	p := part.PlotData{Height: 150, Unit: " s"}
	for _, k := range kinds {
		p.Series = append(p.Series, part.Series{Label: k.label, Color: k.color, Points: true, Alone: true})
	}
	runs := slices.Clone(v.timeline)
	slices.Reverse(runs)
	failed := 0
	for _, r := range runs {
		p.X = append(p.X, float64(r.CreatedAt.UnixMilli())/1000)
		p.Links = append(p.Links, v.c.Path("history", r.ID))
		for i, k := range kinds {
			var value *float64
			if k.is(r.Status) {
				value = part.Value(float64(r.DurationMS) / 1000)
			}
			p.Series[i].Values = append(p.Series[i].Values, value)
		}
		if r.Status == tandem.RunFailed {
			failed++
		}
	}
	p.Summary = fmt.Sprintf("When the last %d runs were and how many seconds each took; %d failed.", len(runs), failed)
	return p
}
