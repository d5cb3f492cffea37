package conflict

import (
	"net/url"
	"strconv"
	"strings"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// Each conflict is checked against both sides when it is settled, and mostly written there. So many are done while a person
// waits; more are left to the background. Of those a preview looks at some.
const (
	atOnce = rows
	sample = 10
)

// many is a settling of several conflicts: what is chosen, and what it would do.
type many struct {
	around
	ids    []string // "id.version" of a selection; none for all that the filter names
	query  url.Values
	take   tandem.Choice
	value  entered
	groups []tandem.ConflictGroup // what they are
	total  int
	field  tandem.Path // of all of them, "" where they differ

	moved   []tandem.Conflict // changed since they were shown
	gone    []tandem.Conflict // ended meanwhile
	looked  []tandem.Settled  // what it would do, of all or of the first
	problem string            // why it cannot be said what it would do
}

// later says whether so many are left to the background.
func (v many) later() bool { return v.total > atOnce }

// takes says how many of them the choice fits.
func (v many) takes() int {
	n := 0
	for _, g := range v.groups {
		if fits(v.take, g.Type) {
			n += g.Count
		}
	}
	return n
}

// entered reports whether a value came with the form, an empty one included.
func (v many) entered() bool { return v.query.Has("value") }

// chosen reports whether it can be previewed: a choice is made, with what it needs.
func (v many) chosen() bool {
	return v.take != "" && (v.take != tandem.TakeValue || v.value.text != "" && v.value.problem == "")
}

// choices are the ways that fit at least one of them. Linking names a device, so it is done one by one.
func (v many) choices() []choice {
	var all []choice
	known := map[tandem.Choice]bool{tandem.TakeLink: true}
	for _, g := range v.groups {
		for _, c := range choicesOf(g.Type) {
			if !known[c.take] {
				known[c.take] = true
				all = append(all, c)
			}
		}
	}
	return all
}

// filter names them: those of the selection that are as they were shown, or all that the address says.
func (v many) filter() tandem.ConflictFilter {
	if len(v.ids) == 0 {
		return filterOf(v.query)
	}
	moved := map[string]bool{}
	for i := range v.moved {
		moved[v.moved[i].ID] = true
	}
	var f tandem.ConflictFilter
	for _, one := range v.ids {
		if id, _, _ := strings.Cut(one, "."); !moved[id] {
			f.IDs = append(f.IDs, id)
		}
	}
	return f
}

// readMany reads what is to be settled from an address or a form.
func readMany(c *shell.Call, q url.Values) (many, error) {
	v := many{query: q, ids: q["id"], take: tandem.Choice(q.Get("take"))}
	if v.take == tandem.TakeValue && q.Has("value") {
		v.value = readValue(q)
	}
	if len(v.ids) == 0 && q.Get("all") != "on" {
		return v, tandem.Errorf(tandem.Invalid, "settle conflicts", "", "no conflict is selected").WithHint("select some, or settle a group")
	}
	if len(v.ids) > 1000 {
		return v, tandem.Errorf(tandem.Invalid, "settle conflicts", "", "%d are selected, at most 1,000 can be", len(v.ids)).WithHint("settle them as a group")
	}
	var err error
	if v.around, err = lookAround(c, nil); err != nil {
		return v, err
	}
	v.at = q.Get("at")
	if err := v.compare(c); err != nil {
		return v, err
	}
	filter := v.filter()
	if len(v.ids) > 0 && len(filter.IDs) == 0 {
		return v, nil
	}
	if v.groups, err = c.Registry().ConflictGroups(c.R.Context(), c.Actor, c.Org.ID, filter); err != nil {
		return v, err
	}
	for i, g := range v.groups {
		v.total += g.Count
		if i == 0 {
			v.field = g.Field
		} else if v.field != g.Field {
			v.field = ""
		}
	}
	return v, nil
}

// compare sorts out of a selection what ended or changed since it was shown.
func (v *many) compare(c *shell.Call) error {
	if len(v.ids) == 0 {
		return nil
	}
	all, _, err := c.Registry().Conflicts(c.R.Context(), c.Actor, c.Org.ID, tandem.ConflictFilter{IDs: v.filter().IDs, All: true, Page: tandem.Page{Limit: 1000}})
	if err != nil {
		return err
	}
	shown := map[string]string{}
	for _, one := range v.ids {
		id, version, _ := strings.Cut(one, ".")
		shown[id] = version
	}
	for _, conflict := range all {
		switch {
		case !conflict.Open():
			v.gone = append(v.gone, conflict)
		case shown[conflict.ID] != strconv.FormatInt(conflict.Version, 10):
			v.moved = append(v.moved, conflict)
		}
	}
	return nil
}

// settlement is what is asked for.
func (v *many) settlement() tandem.Settlement {
	s := tandem.Settlement{Filter: v.filter(), Take: v.take}
	if v.take == tandem.TakeValue && v.entered() { // nothing is wrong with what nobody has typed yet
		s.Value, v.value.problem = v.value.parse(v.field)
	}
	return s
}

func preview(c *shell.Call) error {
	v, err := readMany(c, c.R.URL.Query())
	if err != nil {
		return err
	}
	if err := v.look(c); err != nil {
		return err
	}
	return showDialog(c, "Settle conflicts", manyForm(v))
}

// look finds out what the choice would do, of all or, where they are many, of the first.
func (v *many) look(c *shell.Call) error {
	s := v.settlement()
	if !v.chosen() || v.takes() == 0 {
		return nil
	}
	s.DryRun = true
	if v.later() {
		first := s.Filter
		first.Page = tandem.Page{Limit: sample}
		some, _, err := c.Registry().Conflicts(c.R.Context(), c.Actor, c.Org.ID, first)
		if err != nil {
			return err
		}
		s.Filter = tandem.ConflictFilter{}
		for i := range some {
			s.Filter.IDs = append(s.Filter.IDs, some[i].ID)
		}
	}
	var err error
	v.looked, err = c.Registry().SettleConflicts(c.R.Context(), c.Actor, c.Org.ID, s)
	if err != nil && !tandem.Is(err, tandem.Forbidden) {
		message, hint := shell.Explain(err)
		v.problem, err = strings.TrimSuffix(message+". "+hint, ". "), nil
	}
	return err
}

func settleMany(c *shell.Call) error {
	if !c.May(registry.SettleConflicts) { // before anything is read for them
		return tandem.Errorf(tandem.Forbidden, "settle conflicts", "", "you may not settle conflicts").WithHint("an operator of the organization can")
	}
	v, err := readMany(c, c.R.PostForm)
	if err != nil {
		return err
	}
	s := v.settlement()
	if !v.chosen() || len(v.moved) > 0 {
		return v.again(c)
	}
	if v.takes() == 0 {
		c.Event("conflicts")
		c.Toast("warning", "Nothing was left to settle: "+v.goneText())
		return closeDialog(c)
	}
	if v.later() {
		if err := c.Registry().SettleConflictsLater(c.R.Context(), c.Actor, c.Org.ID, s); err != nil {
			return err
		}
		c.Event("conflicts")
		c.Toast("success", part.Count(v.takes(), "conflict is", "conflicts are")+" being settled in the background. The list gets shorter as they are; you can leave this page.")
		return closeDialog(c)
	}
	settled, err := c.Registry().SettleConflicts(c.R.Context(), c.Actor, c.Org.ID, s)
	if err != nil && len(settled) == 0 {
		return err
	}
	c.Event("conflicts")
	return v.report(c, settled, err)
}

// again shows the form once more, with what keeps it from being done.
func (v *many) again(c *shell.Call) error {
	if err := v.look(c); err != nil {
		return err
	}
	c.Event("conflicts")
	form := manyForm(*v)
	return c.Invalid(dialog("Settle conflicts", form), func() error { return c.Page(frame("Settle conflicts"), alone("Settle conflicts", form)) })
}

// report tells what became of them: in a message, and, where some stay open, why.
func (v *many) report(c *shell.Call, settled []tandem.Settled, stopped error) error {
	var open []tandem.Settled
	for _, s := range settled {
		if s.Error != nil {
			open = append(open, s)
		}
	}
	done := len(settled) - len(open)
	text := part.Count(done, "conflict is settled", "conflicts are settled")
	if n := v.total - done; n > 0 {
		text += ", " + part.Count(n, "stays open", "stay open")
	}
	if len(v.gone) > 0 {
		text += ". " + v.goneText()
	}
	kind := "success"
	if len(open) > 0 || stopped != nil {
		kind = "warning"
	}
	c.Toast(kind, strings.TrimSuffix(text, ".")+".")
	if len(open) == 0 && stopped == nil || !c.Partial() {
		return closeDialog(c)
	}
	return c.Part(dialog("What stays open", stayOpen(v.around, open, stopText(stopped))))
}

// goneText says what somebody else settled meanwhile.
func (v *many) goneText() string {
	if len(v.gone) == 0 {
		return "they are not open any more."
	}
	text := part.Count(len(v.gone), "was not open any more", "were not open any more")
	for _, by := range v.gone {
		if by.ResolvedBy != "" {
			return text + ": " + nameOf(&by) + " was settled by " + by.ResolvedBy + "."
		}
	}
	return text + "."
}

func stopText(err error) string {
	if err == nil {
		return ""
	}
	message, hint := shell.Explain(err)
	return strings.TrimSuffix(message+". "+hint, ". ")
}
