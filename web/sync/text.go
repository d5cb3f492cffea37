package sync

import (
	"fmt"
	"strings"
	"time"

	"tandem"
	"tandem/web/part"
)

// choice is one of the operations that the page offers.
type choice struct {
	Operation tandem.Operation
	Label     string
	Icon      string
	Text      string
}

var choices = []choice{
	{tandem.OpImport, "Import from Golioth", "download", "Brings what changed there over to here; writes nothing to Golioth."},
	{tandem.OpExport, "Export to Golioth", "upload", "Brings what changed here over to Golioth; changes no device here."},
	{tandem.OpBidirectional, "Full sync", "refresh", "Both ways. What both sides changed becomes a conflict, or goes by your strategy."},
}

func operationText(o tandem.Operation) string {
	switch o {
	case tandem.OpImport:
		return "Import from Golioth"
	case tandem.OpExport:
		return "Export to Golioth"
	case tandem.OpBidirectional:
		return "Full sync"
	case tandem.OpWebhook:
		return "Update from a webhook"
	case tandem.OpRevert:
		return "Undo of a run"
	}
	return string(o)
}

// pace is how fast a phase is.
type pace struct {
	rate float64       // devices a second; 0 while unknown
	left time.Duration // 0 while unknown
}

func paceOf(p tandem.Progress) (v pace) {
	if p.PhaseAt == nil || p.At == nil || p.Done == 0 {
		return v
	}
	took := p.At.Sub(*p.PhaseAt).Seconds()
	if took < 0.5 {
		return v
	}
	v.rate = float64(p.Done) / took
	if p.Total > p.Done {
		v.left = time.Duration(float64(p.Total-p.Done) / v.rate * float64(time.Second))
	}
	return v
}

// text says the pace in words.
func (v pace) text() string {
	if v.rate == 0 {
		return ""
	}
	text := part.Count(int(v.rate+0.5), "device", "devices") + " a second"
	if v.rate < 1 {
		text = fmt.Sprintf("%.1f devices a second", v.rate)
	}
	if v.left > 0 {
		text += ", about " + part.Span(v.left) + " left"
	}
	return text
}

// changedText says what was changed on one side.
func changedText(c tandem.Counts) string {
	var words []string
	for _, w := range []struct {
		n    int
		word string
	}{{c.Created, "created"}, {c.Updated, "changed"}, {c.Deleted, "deleted"}} {
		if w.n > 0 {
			words = append(words, part.Number(w.n)+" "+w.word)
		}
	}
	if len(words) == 0 {
		return "nothing changed"
	}
	return strings.Join(words, ", ")
}

// outcomeText says what a run came to.
func outcomeText(s *tandem.Summary) string {
	text := "Here " + changedText(s.Local) + "; on Golioth " + changedText(s.Remote)
	if s.Failed > 0 {
		text += "; " + part.Number(s.Failed) + " failed"
	}
	if s.Conflicts > 0 {
		text += "; " + part.Count(s.Conflicts, "conflict", "conflicts")
	}
	return text
}

func anchor(service string) string { return "service-" + service }

// missing are the answers to whether what is missing is created.
var missing = []part.Option{{Value: "", Label: "As the settings say"}, {Value: "local", Label: "Create here what is only on Golioth"}, {Value: "remote", Label: "Create on Golioth what is only here"},
	{Value: "both", Label: "Create on both sides"}, {Value: "none", Label: "Create nothing"}}

// sides are where a change may be.
var sides = []part.Option{{Value: "", Label: "Both sides"}, {Value: "local", Label: "Here"}, {Value: "remote", Label: "On Golioth"}}

func sideTitle(s tandem.Side) string {
	if s == tandem.RemoteSide {
		return "On Golioth"
	}
	return "Here"
}

func planTitle(p *tandem.Plan) string {
	switch p.Reason {
	case tandem.PlanGuarded:
		return "Held back by a guard"
	case tandem.PlanApproval:
		return "Waits for approval"
	}
	return "What it would do"
}

func planSubtitle(v *planView) string {
	text := operationText(v.plan.Operation) + " of " + v.service.Name + ", " + part.Count(total(v.groups, does), "change", "changes") + ", planned " + part.AgoText(v.plan.CreatedAt, v.c.Now())
	if v.plan.CreatedBy != "" {
		text += " " + part.ByText(v.plan.CreatedBy)
	}
	return text
}

// removes and keeps tell what takes something away from the rest, does and tells what would be done from what is only said.
func removes(g tandem.PlanGroup) bool { return g.Action.Removes() }
func keeps(g tandem.PlanGroup) bool   { return !g.Action.Removes() }
func does(g tandem.PlanGroup) bool    { return g.Action.Does() }
func tells(g tandem.PlanGroup) bool   { return !g.Action.Does() }
