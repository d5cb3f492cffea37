package device

import (
	"context"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"tandem"
	"tandem/registry"
	"tandem/web/part"
	"tandem/web/shell"
)

// The bounds of what a preview and a report say. All are counted.
const (
	previewed   = 5_000 // devices whose changes are worked out before they are confirmed
	shownSample = 8
	shownFailed = 200
)

// The steps of a change of many devices.
const (
	stepPreview = "preview"
	stepApply   = "apply"
)

// many is something that is to be done to many devices, at one of its steps.
type many struct {
	c        *shell.Call
	Do       string // edit, tag, link, unlink, delete, export
	Sel      selection
	services []tandem.Service
	facets   tandem.DeviceFacets
	Wrong    string // with what was entered
	Note     string // what has changed since the preview
	Result   outcome
	Pairs    []pair // of link
	Beyond   int    // of link: how many remote devices there are, where not all were looked through
}

// outcome is what a change does, or did.
type outcome struct {
	Looked    int // at so many of the selection
	Changed   int
	Unchanged int
	Failed    int
	Sample    []registry.DeviceResult
	Failures  []registry.DeviceResult
}

func (o *outcome) add(one registry.DeviceResult, changed bool) {
	o.Looked++
	switch {
	case one.Error != nil:
		o.Failed++
		if len(o.Failures) < shownFailed {
			o.Failures = append(o.Failures, one)
		}
	case changed:
		o.Changed++
		if len(o.Sample) < shownSample {
			o.Sample = append(o.Sample, one)
		}
	default:
		o.Unchanged++
	}
}

// doings are what can be done to many, with what it needs and how it is called.
var doings = map[string]struct {
	needs       registry.Permission
	title, done string
}{
	"edit":   {registry.UpdateDevices, "Edit devices", "edited"},
	"tag":    {registry.UpdateDevices, "Change tags", "changed"},
	"link":   {registry.UpdateDevices, "Link devices", "linked"},
	"unlink": {registry.UpdateDevices, "Unlink devices", "unlinked"},
	"delete": {registry.DeleteDevices, "Delete devices", "deleted"},
	"export": {registry.ReadDevices, "Export devices", "exported"},
}

// bulk does something to many devices: it asks what, shows what that comes to, and does it when it is confirmed.
func bulk(c *shell.Call) error {
	m := many{c: c, Do: c.Form("do")}
	if _, known := doings[m.Do]; !known {
		return tandem.Errorf(tandem.Invalid, "change devices", m.Do, "this cannot be done to many devices")
	}
	var err error
	if m.Sel, err = selected(c); err != nil {
		return err
	}
	if m.services, err = services(c); err != nil {
		return err
	}
	if m.Do == "edit" || m.Do == "tag" {
		if m.facets, err = c.Registry().DeviceFacets(c.R.Context(), c.Actor, c.Org.ID); err != nil {
			return err
		}
	}
	if m.Do == "link" {
		return m.linkMany()
	}
	step := c.Form("step")
	if m.Wrong = m.check(); m.Wrong != "" || step == "" || m.Do == "export" {
		if step == "" {
			m.Wrong = ""
		}
		return m.reply(bulkForm(m))
	}
	if step == stepApply && m.Sel.All && c.Form("expect") != part.Number(m.Sel.Count) {
		m.Note = "The filter finds " + m.Sel.text() + " by now; it found " + c.Form("expect") + ". Look again before you go on."
		step = stepPreview
	}
	if step == stepPreview {
		if m.Result, err = m.run(c.R.Context(), true, nil); err != nil {
			return err
		}
		return m.reply(bulkPreview(m))
	}
	if m.long() {
		return m.working(m.run)
	}
	if m.Result, err = m.run(c.R.Context(), false, nil); err != nil {
		return err
	}
	return m.finish()
}

// finish tells what was done: in a line when all went well, else device by device.
func (m many) finish() error {
	if m.Result.Failed == 0 {
		return m.c.Done(m.report(), m.back(), "devices", "close-dialogs")
	}
	m.c.Toast("warning", m.report())
	m.c.Event("devices")
	return m.reply(bulkResult(m))
}

// reply shows a step: in the dialog, or on a page of its own where there is no script.
func (m many) reply(step templ.Component) error {
	if m.c.Partial() {
		return m.c.Part(bulkDialog(m, step))
	}
	return m.c.Page(shell.Frame{Title: doings[m.Do].title, Section: shell.Devices}, bulkPage(m, step))
}

// back is the list that this came from.
func (m many) back() string {
	if m.Sel.Query == "" {
		return m.c.Path("devices")
	}
	return m.c.Path("devices") + "?" + m.Sel.Query
}

// check says what is missing of what was entered.
func (m many) check() string {
	switch m.Do {
	case "edit":
		if len(m.c.Texts("set")) == 0 {
			return "Mark at least one field that is to be changed."
		}
	case "tag":
		if len(elements(m.c.Form("add")))+len(elements(m.c.Form("remove"))) == 0 {
			return "Say which tags to add or to take away."
		}
		for _, t := range elements(m.c.Form("add")) {
			if slices.Contains(elements(m.c.Form("remove")), t) {
				return "The tag " + t + " is both to be added and to be taken away."
			}
		}
	case "unlink":
		if m.service().ID == "" {
			return "Choose the service."
		}
	}
	return ""
}

// service gives the one that was chosen.
func (m many) service() tandem.Service { return named(m.services)[m.c.Form("service")] }

// run works out, or does, what is asked for, batch by batch: what is done stays done when a later batch fails. After each
// it says how far it is to whoever listens.
func (m many) run(ctx context.Context, dry bool, say func(outcome)) (outcome, error) {
	most, size := 0, batch
	if dry {
		most = previewed
	}
	if say != nil {
		size = piece
	} else {
		say = func(outcome) {}
	}
	var o outcome
	if m.Do == "unlink" {
		return o, m.Sel.each(ctx, m.c, most, func(found []tandem.DeviceRow) error {
			for some := range slices.Chunk(found, min(size, few)) { // each is a transaction of its own
				if ctx.Err() != nil {
					break
				}
				m.unlinkSome(ctx, some, dry, &o)
				say(o)
			}
			return ctx.Err()
		})
	}
	ids, err := m.Sel.ids(ctx, m.c, most)
	if err != nil {
		return o, err
	}
	do := m.edit()
	do.DryRun = dry
	for some := range slices.Chunk(ids, size) {
		results, err := m.c.Registry().EditDevices(ctx, m.c.Actor, m.c.Org.ID, registry.Selection{Refs: some}, do)
		if err != nil {
			if o.Changed > 0 {
				err = tandem.Errorf(tandem.CodeOf(err), "change devices", "", "it broke off after %d devices: %w", o.Changed, err).WithHint("do it again: what is done already is left as it is")
			}
			return o, err
		}
		for _, one := range results {
			o.add(one, one.Deleted || len(one.Changes) > 0)
		}
		say(o)
	}
	return o, nil
}

// edit gives what the form asks for.
func (m many) edit() registry.BulkEdit {
	do := registry.BulkEdit{Delete: m.Do == "delete"}
	if m.Do == "tag" {
		do.AddTags, do.RemoveTags = elements(m.c.Form("add")), elements(m.c.Form("remove"))
	}
	if m.Do != "edit" {
		return do
	}
	for _, field := range m.c.Texts("set") {
		text := m.c.Form("to." + field)
		switch field {
		case "device_type":
			do.Edit.DeviceType = &text
		case "lifecycle":
			l := tandem.Lifecycle(text)
			do.Edit.Lifecycle = &l
		case "enabled":
			on := text == "yes"
			do.Edit.Enabled = &on
		case "blueprint":
			do.Edit.Blueprint = &text
		case "cohort":
			do.Edit.Cohort = &text
		case "notes":
			do.Edit.Notes = &text
		}
	}
	return do
}

// unlinkSome unlinks those devices that are linked on the service.
func (m many) unlinkSome(ctx context.Context, found []tandem.DeviceRow, dry bool, o *outcome) {
	service := m.service()
	for i := range found {
		one := registry.DeviceResult{Ref: found[i].ID, Device: found[i].Device}
		linked := slices.ContainsFunc(found[i].Assignments, func(a tandem.Assignment) bool {
			return a.ServiceID == service.ID && a.Status != tandem.SyncUnlinked
		})
		if linked && !dry {
			if _, err := m.c.Registry().Unlink(ctx, m.c.Actor, m.c.Org.ID, service.ID, one.Ref); err != nil {
				one.Error, one.Refusal = err, err.Error()
			}
		}
		o.add(one, linked)
	}
}

// elements reads words separated by commas or line ends.
func elements(text string) []string {
	var all []string
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' || r == ';' }) {
		if word = strings.TrimSpace(word); word != "" && !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}
