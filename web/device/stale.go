package device

import (
	"encoding/json"

	"tandem"
	"tandem/web/shell"
)

// clash is a field that somebody else changed while it was open in a form.
type clash struct {
	Field     string
	Was       string // when the form was opened
	Theirs    string // stored now
	Mine      string // typed in the form
	Both      bool   // changed here too, to something else: the person chooses
	Identical bool   // changed here too, to the same
}

// meet takes over what somebody else stored meanwhile: fields that only they changed become theirs, those that only the
// form changed stay, and those that both changed are for the person to choose. Saving again then is on what is stored.
func (f *form) meet(now *tandem.Device) {
	theirs := valuesOf(now)
	for _, name := range fieldNames {
		if same(name, f.Was[name], theirs[name]) {
			continue
		}
		mine := f.Values[name]
		one := clash{Field: name, Was: f.Was[name], Theirs: theirs[name], Mine: mine}
		one.Identical = same(name, mine, theirs[name])
		one.Both = !one.Identical && !same(name, mine, f.Was[name])
		if !one.Both {
			f.Values[name] = theirs[name]
		}
		f.Moved = append(f.Moved, one)
	}
	f.Was, f.At, f.Name = theirs, now.Version, now.Name
}

// chosen puts in what a person chose of a clash: what is stored, where they did not keep their own.
func chosen(c *shell.Call, v values) values {
	for _, name := range fieldNames {
		if c.Form("take."+name) == "theirs" {
			v[name] = c.R.PostForm.Get("theirs." + name)
		}
	}
	return v
}

// raw writes a field's text as the JSON value that it is shown as.
func (one clash) raw(text string) json.RawMessage { return rawOf(text) }
