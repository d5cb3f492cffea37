package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/text"

	"tandem"
)

// planSample is how many changes of one kind are listed unless -v.
const planSample = 10

// planKind groups the changes of a plan.
type planKind struct {
	side   tandem.Side
	action tandem.Action
	// refused is set for what the service would refuse; see syncer.
	refused bool
}

// planView collects a plan for people: counts first, then changes, with removals set apart.
type planView struct {
	out     *output
	verbose bool
	counts  map[planKind]int
	samples map[planKind][]tandem.Change
	total   int
}

func newPlanView(a *app) *planView {
	return &planView{out: a.out, verbose: a.flags.Verbose, counts: map[planKind]int{}, samples: map[planKind][]tandem.Change{}}
}

// add takes one change.
func (p *planView) add(c tandem.Change) error {
	kind := planKind{c.Side, c.Action, c.Refused()}
	p.total++
	p.counts[kind]++
	if p.verbose || p.counts[kind] <= planSample {
		p.samples[kind] = append(p.samples[kind], c)
	}
	return nil
}

// planOrder is the order in which kinds are shown; removals come last.
var planOrder = []struct {
	kind    planKind
	title   string
	removal bool
}{
	{planKind{tandem.LocalSide, tandem.ActCreate, false}, "create here", false},
	{planKind{tandem.RemoteSide, tandem.ActCreate, false}, "create on the service", false},
	{planKind{tandem.LocalSide, tandem.ActLink, false}, "link", false},
	{planKind{tandem.RemoteSide, tandem.ActLink, false}, "link", false},
	{planKind{tandem.LocalSide, tandem.ActUpdate, false}, "change here", false},
	{planKind{tandem.RemoteSide, tandem.ActUpdate, false}, "change on the service", false},
	{planKind{tandem.LocalSide, tandem.ActRename, false}, "follow a renamed tag, blueprint or cohort here", false},
	{planKind{tandem.RemoteSide, tandem.ActRename, false}, "rename on the service", false},
	{planKind{tandem.LocalSide, tandem.ActSettle, false}, "settle by strategy, here", false},
	{planKind{tandem.RemoteSide, tandem.ActSettle, false}, "settle by strategy, on the service", false},
	{planKind{tandem.LocalSide, tandem.ActConflict, false}, "conflicts for a person", false},
	{planKind{tandem.RemoteSide, tandem.ActConflict, false}, "conflicts for a person", false},
	{planKind{tandem.LocalSide, tandem.ActDrift, false}, "differences that are not sent", false},
	{planKind{tandem.RemoteSide, tandem.ActDrift, false}, "differences that are not sent", false},
	{planKind{tandem.LocalSide, tandem.ActRead, false}, "could not be read", false},
	{planKind{tandem.RemoteSide, tandem.ActRead, false}, "could not be read", false},
	{planKind{tandem.RemoteSide, tandem.ActCreate, true}, "creates that the service would refuse", false},
	{planKind{tandem.RemoteSide, tandem.ActUpdate, true}, "changes that the service would refuse", false},
	{planKind{tandem.LocalSide, tandem.ActUnlink, false}, "UNLINK", true},
	{planKind{tandem.RemoteSide, tandem.ActUnlink, false}, "UNLINK", true},
	{planKind{tandem.RemoteSide, tandem.ActRecreate, false}, "RECREATE on the service", true},
	{planKind{tandem.LocalSide, tandem.ActRecreate, false}, "RECREATE here", true},
	{planKind{tandem.LocalSide, tandem.ActDelete, false}, "DELETE here", true},
	{planKind{tandem.RemoteSide, tandem.ActDelete, false}, "DELETE on the service", true},
}

// show prints the plan.
func (p *planView) show(preview *tandem.Preview) {
	if p.total == 0 {
		p.out.printf("nothing to do: %s looked at, both sides agree\n", devices(preview.Run.Summary.Processed))
		return
	}
	p.out.printf("%s looked at; this would:\n", devices(preview.Run.Summary.Processed))
	for _, o := range planOrder {
		if n := p.counts[o.kind]; n > 0 {
			line := fmt.Sprintf("  %7s  %s", number(n), o.title)
			if o.removal {
				line = p.out.paint(text.FgRed, line)
			}
			p.out.printf("%s\n", line)
		}
	}
	if sum := &preview.Run.Summary; sum.Local != sum.Remote || sum.Local != (tandem.Counts{}) {
		p.out.printf("in devices, as the run will count them: here %s; on the service %s\n", countsText(sum.Local), countsText(sum.Remote))
	}
	for _, removals := range []bool{false, true} {
		for _, o := range planOrder {
			if o.removal == removals && p.counts[o.kind] > 0 {
				p.group(o.kind, o.title, removals)
			}
		}
	}
}

func (p *planView) group(kind planKind, title string, removal bool) {
	title = "\n" + title
	if removal {
		title = p.out.paint(text.FgRed, title)
	}
	p.out.printf("%s\n", p.out.bold(title))
	for _, c := range p.samples[kind] {
		p.out.printf("  %s\n", changeText(&c))
	}
	if rest := p.counts[kind] - len(p.samples[kind]); rest > 0 {
		p.out.printf("  %s\n", p.out.dim("and "+number(rest)+" more; -v shows all"))
	}
}

// changeText gives one change on one line.
func changeText(c *tandem.Change) string {
	name := c.DeviceName
	if name == "" {
		name = c.DeviceID
	}
	if name == "" {
		name = c.ExternalDeviceID
	}
	line := clean(name)
	if c.Action == tandem.ActConflict && c.Path != "" {
		line += fmt.Sprintf("  %s: here %s, on the service %s", c.Path, short(valueText(c.After), 50), short(valueText(c.Before), 50))
	} else if c.Path != "" {
		line += fmt.Sprintf("  %s: %s → %s", c.Path, short(valueText(c.Before), 50), short(valueText(c.After), 50))
	}
	if c.Note != "" {
		line += "  (" + clean(c.Note) + ")"
	}
	return line
}
