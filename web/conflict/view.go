package conflict

import (
	"net/url"
	"strings"

	"github.com/a-h/templ"

	"tandem"
	"tandem/web/part"
	"tandem/web/shell"
)

// groupsShown is how many groups the inbox lists.
const groupsShown = 6

// showsGroups says whether there is something alike to settle at once.
func (v inbox) showsGroups() bool {
	return v.c.Query("status") == "" && len(v.groups) > 0 && v.open() > len(v.groups)
}

func (v inbox) firstGroups() []tandem.ConflictGroup {
	return v.groups[:min(len(v.groups), groupsShown)]
}

// open is how many open ones the filter names.
func (v inbox) open() int {
	n := 0
	for _, g := range v.groups {
		n += g.Count
	}
	return n
}

func (v inbox) anyOpen() bool {
	for i := range v.conflicts {
		if v.conflicts[i].Status == tandem.ConflictPending {
			return true
		}
	}
	return false
}

// settleAll is where all that the filter names are settled.
func (v inbox) settleAll() string {
	q := url.Values{"all": {"on"}}
	for _, key := range filterKeys {
		if value := v.c.Query(key); value != "" {
			q.Set(key, value)
		}
	}
	return v.manyPath(q)
}

// settleGroup is where a group is settled, within what the filter names.
func (v inbox) settleGroup(g tandem.ConflictGroup) string {
	q := url.Values{"all": {"on"}, "service": {g.ServiceID}, "type": {string(g.Type)}}
	if g.Field != "" {
		q.Set("field", string(g.Field))
	}
	for _, key := range []string{"search", "device"} {
		if value := v.c.Query(key); value != "" {
			q.Set(key, value)
		}
	}
	return v.manyPath(q)
}

func (v inbox) manyPath(q url.Values) string {
	if v.at != "" {
		q.Set("at", v.at)
	}
	return v.c.Path("conflicts", "settle") + "?" + q.Encode()
}

// groupPath is the inbox with one group alone.
func (v inbox) groupPath(g tandem.ConflictGroup) string {
	q := url.Values{"service": {g.ServiceID}, "type": {string(g.Type)}}
	if g.Field != "" {
		q.Set("field", string(g.Field))
	}
	return v.l.Path + "?" + q.Encode()
}

func groupName(g tandem.ConflictGroup) string {
	if g.Field == "" {
		return part.ConflictText(g.Type)
	}
	return string(g.Field) + ", " + part.ConflictText(g.Type)
}

// dialogPath is where a choice goes on in a dialog.
func (a around) dialogPath(c *tandem.Conflict, dialog string) string {
	path := a.c.Path("conflicts", c.ID, dialog)
	if a.at != "" {
		path += "?" + url.Values{"at": {a.at}}.Encode()
	}
	return path
}

// inboxPath leads back to where the person came from.
func (a around) inboxPath() string {
	q, err := url.ParseQuery(a.at)
	if err != nil || len(q) == 0 {
		return a.c.Path("conflicts")
	}
	return a.c.Path("conflicts") + "?" + q.Encode()
}

func (a around) deviceName(id string) string {
	if d, ok := a.devices[id]; ok {
		return d.Name
	}
	return id
}

// staying are those of the selection that did not change.
func (v many) staying() []string {
	kept := map[string]bool{}
	if len(v.ids) == 0 {
		return nil
	}
	for _, id := range v.filter().IDs {
		kept[id] = true
	}
	var ids []string
	for _, one := range v.ids {
		if id, _, _ := strings.Cut(one, "."); kept[id] {
			ids = append(ids, one)
		}
	}
	return ids
}

// text says what the choice does, to how many.
func (v many) text() string {
	n := v.takes()
	text := "This fits none of them."
	if n > 0 {
		text = part.Sentence(part.Count(n, "conflict: ", "conflicts: ") + willText(v.take))
	}
	if rest := v.total - n; rest > 0 && n > 0 {
		text += " " + part.Count(rest, "is of another kind and stays open.", "are of another kind and stay open.")
	}
	if v.later() && n > 0 {
		text += " They are so many that this is done in the background; each is checked again right before."
	}
	return text
}

// willText says what a choice will do.
func willText(take tandem.Choice) string {
	switch take {
	case tandem.TakeLocal:
		return "Golioth gets the value that is here."
	case tandem.TakeRemote:
		return "this side gets Golioth's value."
	case tandem.TakeValue:
		return "both sides get the value that you entered."
	case tandem.TakeIgnore:
		return "both sides keep what they have, and it is no longer asked until one of them changes."
	case tandem.TakeCreate:
		return "a new device is created here for each."
	case tandem.TakeDelete:
		return "the side that is left is deleted too."
	case tandem.TakeRecreate:
		return "the side that is gone is created again."
	case tandem.TakeUnlink:
		return "the side that is left stays as it is, and is no longer synced."
	case tandem.TakeLink:
	}
	return ""
}

// doneText says what was done to one.
func doneText(c *tandem.Conflict, take tandem.Choice) string {
	about := nameOf(c)
	if c.FieldName != "" {
		about += " " + string(c.FieldName)
	}
	switch take {
	case tandem.TakeLocal, tandem.TakeRemote, tandem.TakeValue:
		if value := part.Readable(c.ResolvedValue); value != "" && len(value) < 80 {
			return about + ": both sides have " + value + "."
		}
		return about + ": both sides have the same value."
	case tandem.TakeIgnore:
		return about + ": both sides keep what they have."
	case tandem.TakeLink, tandem.TakeCreate, tandem.TakeDelete, tandem.TakeRecreate, tandem.TakeUnlink:
	}
	return about + ": " + tookText(string(take)) + "."
}

func kindColor(t tandem.ConflictType) string {
	switch t {
	case tandem.AmbiguousMatch:
		return "purple"
	case tandem.DeletedRemotely, tandem.DeletedLocally:
		return "red"
	case tandem.ConcurrentModification, tandem.InitialMismatch:
	}
	return "secondary"
}

func sideText(s tandem.Side) string {
	if s == tandem.RemoteSide {
		return "on Golioth"
	}
	return "here"
}

// actionText says what is done to a device.
func actionText(c tandem.Change) string {
	switch c.Action {
	case tandem.ActLink:
		return "is linked to " + c.DeviceName
	case tandem.ActCreate:
		return c.DeviceName + " is created"
	case tandem.ActDelete:
		return c.DeviceName + " is deleted"
	case tandem.ActRecreate:
		return c.DeviceName + " is created again, with a new id; its credentials and data there are lost"
	case tandem.ActUnlink:
		return c.DeviceName + " is unlinked"
	}
	return string(c.Action)
}

// explain gives a refusal with what to do.
func explain(err error) string {
	message, hint := shell.Explain(err)
	if hint != "" {
		message += ". " + hint
	}
	return message
}

// kindOfValue says how a value is entered.
func kindOfValue(path tandem.Path) string {
	field, known := path.Field()
	switch {
	case known && field == tandem.FieldEnabled:
		return "switch"
	case known && field != tandem.FieldMetadata:
		return "text"
	}
	return "any"
}

// showDialog replies with a form: over the page where a script asks, else as a page.
func showDialog(c *shell.Call, title string, form templ.Component) error {
	if c.Partial() {
		return c.Part(dialog(title, form))
	}
	return c.Page(frame(title), alone(title, form))
}

// keys are what the page's script reacts to.
var keys = []struct {
	names []string
	does  string
}{
	{[]string{"j", "k"}, "The next conflict, the one before"},
	{[]string{"l"}, "Use the local value; of a match: link it"},
	{[]string{"g"}, "Use Golioth's value"},
	{[]string{"e"}, "Edit the value"},
	{[]string{"i"}, "Ignore: both sides keep what they have"},
	{[]string{"c"}, "Of a match: create a new device"},
	{[]string{"r", "u", "d"}, "Of a deleted device: create it again, unlink it, delete it on the other side too"},
	{[]string{"x"}, "Select; then l, g, e and i are about all that are selected"},
	{[]string{"o"}, "Open the details"},
	{[]string{"/"}, "Search"},
	{[]string{"?"}, "These keys"},
}
