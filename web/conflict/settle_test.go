package conflict_test

import (
	"strings"
	"testing"

	"tandem"
	"tandem/web/webtest"
)

// at is the selector of a conflict's row.
func at(c tandem.Conflict) string { return "#c-" + c.ID }

// TestSettleOne: each choice about a value is carried out on both sides, and the row goes.
func TestSettleOne(t *testing.T) {
	t.Parallel()
	w := open(t, 4)
	w.disputed(4)
	p := w.Browser(t, webtest.Options{})
	p.Open("conflicts")
	p.SeeIn("#nav [data-count=conflicts]", "4")
	for i, test := range []struct {
		button, told string
		here, there  string
		status       tandem.ResolutionStatus
	}{
		{"Use local", "both sides have here a", "here a", "here a", tandem.ConflictResolved},
		{"Use Golioth", "both sides have there b", "there b", "there b", tandem.ConflictResolved},
		{"Ignore", "both sides keep what they have", "here c", "there c", tandem.ConflictIgnored},
	} {
		c := w.about(w.fleet[i])
		p.SeeIn(at(c)+" [data-side=base]", w.fleet[i].Name)
		p.SeeIn(at(c)+" [data-side=local] mark", "here")
		p.SeeIn(at(c)+" [data-side=local]", w.Owner.Email)
		p.Click(at(c) + " button >> " + test.button)
		p.Told(test.told)
		p.WaitGone(at(c))
		if c = w.read(c.ID); c.Status != test.status || c.ResolvedBy == "" {
			t.Errorf("%s: the conflict is %s by %q", test.button, c.Status, c.ResolvedBy)
		}
		if here, there := w.names(w.fleet[i]); here != test.here || there != test.there {
			t.Errorf("%s: the names are %q here and %q there", test.button, here, there)
		}
	}
	p.SeeIn("#nav [data-count=conflicts]", "1")

	c := w.about(w.fleet[3])
	p.Click(at(c) + " a >> Edit value")
	if v := p.Value("#f-value"); v != "here d" {
		t.Errorf("the form begins with %q", v)
	}
	p.Axe()
	p.Fill("#f-value", "")
	p.Click("#settle button >> Use this value")
	p.SeeIn("#settle .invalid-feedback", "cannot be empty")
	p.Allow(422, "conflicts")
	p.Fill("#f-value", "agreed at last")
	p.Click("#settle button >> Use this value")
	p.Told("both sides have agreed at last")
	p.WaitGone("#settle")
	p.See("No open conflict")
	if here, there := w.names(w.fleet[3]); here != "agreed at last" || there != "agreed at last" {
		t.Errorf("the names are %q here and %q there", here, there)
	}

	// Settled ones stay to be found.
	p.Choose("#status", string(tandem.ConflictResolved))
	p.WaitCount("[data-conflict]", func(n int) bool { return n == 3 })
	p.Fill("#search", "here d")
	p.WaitCount("[data-conflict]", func(n int) bool { return n == 1 })
	p.SeeIn(at(c), "another value was entered")
	p.Click(at(c) + " a >> Details")
	p.WaitPath(w.Path("conflicts/" + c.ID))
	p.SeeIn("#changes-title", "Who changed it")
	p.Axe()
}

// TestKeys: the inbox is worked through by keyboard alone.
func TestKeys(t *testing.T) {
	t.Parallel()
	w := open(t, 5)
	w.disputed(5)
	p := w.Browser(t, webtest.Options{})
	p.Open("conflicts?sort=created_at")
	p.Press("?")
	p.SeeIn("#keys[open]", "Use Golioth's value")
	p.Axe()
	p.Press("Escape")
	p.WaitGone("#keys[open]")
	current := func() tandem.Conflict {
		t.Helper()
		p.WaitFor(".conflict.current")
		return w.read(strings.TrimPrefix(p.Attribute(".conflict.current", "id"), "c-"))
	}
	ended := func(c tandem.Conflict, status tandem.ResolutionStatus, take tandem.Choice) {
		t.Helper()
		p.WaitGone(at(c))
		if c = w.read(c.ID); c.Status != status || c.ResolutionStrategy != string(take) {
			t.Errorf("the conflict is %s: %s, want %s: %s", c.Status, c.ResolutionStrategy, status, take)
		}
	}
	p.Press("j")
	first := current()
	p.Press("j")
	second := current()
	if second.ID == first.ID {
		t.Fatal("j did not move on")
	}
	p.Press("k")
	if current().ID != first.ID {
		t.Fatal("k did not move back")
	}
	p.Press("l")
	ended(first, tandem.ConflictResolved, tandem.TakeLocal)
	if current().ID != second.ID {
		t.Error("after one is settled the next is current")
	}
	p.Press("g")
	ended(second, tandem.ConflictResolved, tandem.TakeRemote)
	third := current()
	p.Press("i")
	ended(third, tandem.ConflictIgnored, tandem.TakeIgnore)
	fourth := current()
	p.Press("e")
	p.Fill("#f-value", "by keyboard")
	p.Press("Enter")
	ended(fourth, tandem.ConflictResolved, tandem.TakeValue)

	// x selects, and the keys are about what is selected then.
	last := current()
	p.Press("x")
	p.SeeIn("#many [data-selected]", "1")
	p.Press("g")
	p.SeeIn("#settle", "this side gets Golioth's value")
	p.Click("#settle button >> Settle 1 conflict")
	ended(last, tandem.ConflictResolved, tandem.TakeRemote)
}

// TestSettleMany: a selection and a group are settled at once, after a preview that changes nothing.
func TestSettleMany(t *testing.T) {
	t.Parallel()
	w := open(t, 6)
	w.disputed(6)
	p := w.Browser(t, webtest.Options{Theme: "dark"})
	p.Open("conflicts")
	one, two := w.about(w.fleet[0]), w.about(w.fleet[1])
	p.Click("#s-" + one.ID)
	p.Click("#s-" + two.ID)
	p.SeeIn("#many [data-selected]", "2")
	// Another is settled meanwhile: what is selected stays so.
	gone := w.about(w.fleet[2])
	w.settle(tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{gone.ID}}, Take: tandem.TakeLocal})
	p.WaitGone(at(gone))
	p.SeeIn("#many [data-selected]", "2")
	if p.Value("#s-"+one.ID) != "true" {
		t.Error("what was selected is not any more")
	}

	p.Click("#many button >> Use local")
	p.SeeIn("#settle [data-settled='"+one.ID+"']", "on Golioth: there a → here a")
	p.SeeIn("#forecast-text", "2 conflicts: Golioth gets the value that is here")
	p.Axe()
	p.Shot("conflicts-preview")
	if here, there := w.names(w.fleet[0]); here != "here a" || there != "there a" {
		t.Errorf("the preview changed something: %q here and %q there", here, there)
	}
	p.Click("#settle button >> Settle 2 conflicts")
	p.Told("2 conflicts are settled")
	p.WaitGone(at(one))
	for i := range 2 {
		if here, there := w.names(w.fleet[i]); here != there || !strings.HasPrefix(there, "here") {
			t.Errorf("the names are %q here and %q there", here, there)
		}
	}

	// A value for many: nothing is wrong before anything was typed.
	p.Click("#groups a >> Settle all")
	p.Click("#settle input[value=value]")
	p.WaitFor("#settle input[name=value]")
	if n := p.Count("#settle .invalid-feedback"); n != 0 {
		t.Error("an empty value is complained about before anybody typed")
	}
	p.Click("#settle button >> Show what it does")
	p.SeeIn("#settle .invalid-feedback", "cannot be empty")
	p.Click("#settle button >> Cancel")

	// The group of the field: another choice is previewed, then done.
	p.Click("#groups a >> Settle all")
	p.SeeIn("#settle", "3 open conflicts: what is to be done?")
	p.Click("#settle input[value=ignore]")
	p.SeeIn("#forecast-text", "both sides keep what they have")
	p.Click("#settle input[value=remote]")
	p.SeeIn("#forecast-text", "this side gets Golioth's value")
	p.Click("#settle button >> Settle 3 conflicts")
	p.Told("3 conflicts are settled")
	p.See("No open conflict")
	if here, there := w.names(w.fleet[5]); here != "there f" || there != "there f" {
		t.Errorf("the names are %q here and %q there", here, there)
	}
}

// TestMeanwhile: what somebody else did is told, and what was typed is kept.
func TestMeanwhile(t *testing.T) {
	t.Parallel()
	w := open(t, 3)
	w.disputed(3)
	p := w.Browser(t, webtest.Options{})
	p.Open("conflicts")
	moved, gone, many := w.about(w.fleet[0]), w.about(w.fleet[1]), w.about(w.fleet[2])

	// It changes on Golioth while its value is edited.
	p.Click(at(moved) + " a >> Edit value")
	p.Fill("#f-value", "typed with care")
	w.EditRemote(w.fleet[0], "name", "moved on")
	w.Run(tandem.OpBidirectional)
	p.Allow(422, "conflicts")
	p.Click("#settle button >> Use this value")
	p.SeeIn("#settle", "It changed while you were typing")
	p.SeeIn("#settle [data-side=remote]", "moved on")
	if v := p.Value("#f-value"); v != "typed with care" {
		t.Errorf("what was typed became %q", v)
	}
	p.Click("#settle button >> Use this value")
	p.Told("both sides have typed with care")
	if here, there := w.names(w.fleet[0]); here != "typed with care" || there != here {
		t.Errorf("the names are %q here and %q there", here, there)
	}

	// It is settled by somebody else while its value is edited.
	p.Click(at(gone) + " a >> Edit value")
	p.WaitFor("#settle")
	w.settle(tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{gone.ID}}, Take: tandem.TakeRemote})
	p.WaitGone(at(gone))
	p.Click("#settle button >> Use this value")
	p.Told("is not open any more. Settled by " + w.Owner.Email)
	p.WaitGone("#settle")
	if here, _ := w.names(w.fleet[1]); here != "there b" {
		t.Errorf("the name is %q: what the other chose was overwritten", here)
	}

	// One of a selection changes while its preview is looked at.
	p.Click("#s-" + many.ID)
	p.Click("#many button >> Use Golioth")
	p.WaitFor("#settle")
	w.EditRemote(w.fleet[2], "name", "moved too")
	w.Run(tandem.OpBidirectional)
	p.Click("#settle button >> Settle 1 conflict")
	p.SeeIn("#settle", "1 changed since you saw it and is left out")
	p.SeeIn("#settle", "moved too")
	if c := w.read(many.ID); !c.Open() {
		t.Errorf("the conflict is %s, though nobody saw its values", c.Status)
	}
}

// settle settles as somebody else does, through the API.
func (w *world) settle(s tandem.Settlement) {
	w.t.Helper()
	done, err := w.API.Settle(w.t.Context(), w.Org.ID, s)
	if err != nil || len(done) == 0 || done[0].Refusal != "" {
		w.t.Fatalf("settle: %+v, %v", done, err)
	}
}

// TestBackground: more than a page of a group is left to the background, and the list empties as it is done.
func TestBackground(t *testing.T) {
	t.Parallel()
	const n = 54
	w := open(t, n)
	for i := range n {
		w.EditRemote(w.fleet[i], "name", w.fleet[i].Name+" there")
		w.Edit(w.fleet[i], "name", w.fleet[i].Name+" here")
	}
	w.Run(tandem.OpBidirectional)
	if found := w.conflicts(tandem.ConflictFilter{}); len(found) != n {
		t.Fatalf("there are %d conflicts", len(found))
	}
	p := w.Browser(t, webtest.Options{})
	p.Open("conflicts")
	p.Click("#groups a >> Settle all")
	p.Click("#settle input[value=local]")
	p.SeeIn("#forecast-text", "done in the background")
	p.SeeIn("#settle", "The first 10, checked against both sides just now")
	p.Click("#settle button >> Settle 54 conflicts")
	p.Told("54 conflicts are being settled in the background")
	p.See("No open conflict")
	p.WaitGone("#nav [data-count=conflicts]")
	if here, there := w.names(w.fleet[n-1]); here != w.fleet[n-1].Name+" here" || there != here {
		t.Errorf("the names are %q here and %q there", here, there)
	}
}
