package conflict

import (
	"net/url"
	"path"
	"slices"
	"strconv"

	"tandem"
	"tandem/registry"
	"tandem/web/pick"
	"tandem/web/shell"
)

// single is the page, or a dialog, about one conflict.
type single struct {
	around
	conflict tandem.Conflict
	history  []tandem.HistoryEntry // of the field, the newest first
	more     int                   // of it that is not shown

	// of the dialogs
	value   entered
	moved   bool // it changed since it was shown
	search  string
	found   []tandem.DeviceRow // to link
	another int                // that match and are not shown
}

// changesShown is how much of a field's history the page of a conflict has.
const changesShown = 8

func one(c *shell.Call) (single, error) {
	conflict, err := c.Registry().Conflict(c.R.Context(), c.Actor, c.Org.ID, c.Value("id"))
	if err != nil {
		return single{}, err
	}
	a, err := lookAround(c, []tandem.Conflict{conflict})
	a.at = c.Query("at")
	return single{around: a, conflict: conflict}, err
}

func show(c *shell.Call) error {
	v, err := one(c)
	if err != nil {
		return err
	}
	if v.conflict.DeviceID != "" && c.May(registry.ReadDevices) {
		filter := tandem.HistoryFilter{Field: v.conflict.FieldName, Page: tandem.Page{Limit: changesShown}}
		var total int
		v.history, total, err = c.Registry().DeviceHistory(c.R.Context(), c.Actor, c.Org.ID, v.conflict.DeviceID, filter)
		if err != nil && !tandem.Is(err, tandem.NotFound) { // a deleted device has no page any more
			return err
		}
		v.more = total - len(v.history)
	}
	if c.Query("part") == "conflict" {
		return c.Part(conflictPart(v))
	}
	return c.Page(frame("Conflict"), conflictPage(v))
}

// edit shows the form for a value of a person's own.
func edit(c *shell.Call) error {
	v, err := one(c)
	if err != nil {
		return err
	}
	if done, err := gone(c, &v.conflict); done {
		return err
	}
	v.value = startValue(&v.conflict)
	return showDialog(c, "Edit value", editForm(v))
}

// link shows the devices that an ambiguous match may be linked to.
func link(c *shell.Call) error {
	v, err := one(c)
	if err != nil {
		return err
	}
	if done, err := gone(c, &v.conflict); done {
		return err
	}
	v.search = c.Query("search")
	if v.found, v.another, err = pick.Find(c, v.conflict.ServiceID, v.search); err != nil {
		return err
	}
	if c.Query("part") == "found" {
		return c.Part(linkFound(v))
	}
	return showDialog(c, "Link", linkForm(v))
}

// settle settles one conflict, as it was shown.
func settle(c *shell.Call) error {
	v, err := one(c)
	if err != nil {
		return err
	}
	if done, err := gone(c, &v.conflict); done {
		return err
	}
	take := tandem.Choice(c.Form("take"))
	if take == tandem.TakeValue {
		v.value = readValue(c.R.PostForm)
	}
	v.at = c.R.PostForm.Get("at")
	if c.Form("version") != strconv.FormatInt(v.conflict.Version, 10) {
		return changedSince(c, v, take)
	}
	s := tandem.Settlement{Filter: tandem.ConflictFilter{IDs: []string{v.conflict.ID}}, Take: take, DeviceID: c.Form("device")}
	if take == tandem.TakeValue {
		if s.Value, v.value.problem = v.value.parse(v.conflict.FieldName); v.value.problem != "" {
			return c.Invalid(dialog("Edit value", editForm(v)), func() error { return c.Page(frame("Edit value"), alone("Edit value", editForm(v))) })
		}
	}
	settled, err := c.Registry().SettleConflicts(c.R.Context(), c.Actor, c.Org.ID, s)
	if err != nil {
		return err
	}
	if len(settled) == 0 { // somebody was faster by a moment
		if v.conflict, err = c.Registry().Conflict(c.R.Context(), c.Actor, c.Org.ID, v.conflict.ID); err != nil {
			return err
		}
		_, err = gone(c, &v.conflict)
		return err
	}
	return ended(c, v, take, &settled[0])
}

// ended tells what became of a conflict.
func ended(c *shell.Call, v single, take tandem.Choice, s *tandem.Settled) error {
	c.Event("conflicts")
	if s.Error != nil {
		message, hint := shell.Explain(s.Error)
		if hint != "" {
			message += ". " + hint
		}
		if take == tandem.TakeValue && tandem.Is(s.Error, tandem.Invalid) {
			v.value.problem = message
			return c.Invalid(dialog("Edit value", editForm(v)), func() error { return c.Page(frame("Edit value"), alone("Edit value", editForm(v))) })
		}
		c.Toast("danger", nameOf(&v.conflict)+" stays open: "+message)
	} else {
		c.Toast("success", doneText(&s.Conflict, take))
	}
	return closeDialog(c)
}

// gone tells that a conflict is not open any more, and how it ended; false where it still is.
func gone(c *shell.Call, conflict *tandem.Conflict) (done bool, err error) {
	if conflict.Open() {
		return false, nil
	}
	c.Event("conflicts")
	c.Toast("warning", nameOf(conflict)+" is not open any more. "+endedAgo(conflict, c.Now()))
	return true, closeDialog(c)
}

// changedSince tells that one of the sides moved since the person saw them; what was typed is kept.
func changedSince(c *shell.Call, v single, take tandem.Choice) error {
	c.Event("conflicts")
	v.moved = true
	if take == tandem.TakeValue {
		return c.Invalid(dialog("Edit value", editForm(v)), func() error { return c.Page(frame("Edit value"), alone("Edit value", editForm(v))) })
	}
	c.Toast("warning", nameOf(&v.conflict)+" changed since you saw it, so nothing was done. Look at it as it is now, and choose again.")
	return closeDialog(c)
}

// closeDialog takes the dialog away; where it is a page of its own, the person goes back to the inbox.
func closeDialog(c *shell.Call) error {
	on, err := url.Parse(c.R.Header.Get("HX-Current-URL"))
	alone := err == nil && slices.Contains([]string{"edit", "link", "settle"}, path.Base(on.Path))
	if !c.Partial() || alone {
		return c.Go(back(c))
	}
	return c.Part(closed())
}
