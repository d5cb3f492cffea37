package setting

import (
	"encoding/json"
	"strconv"

	"tandem/web/shell"
)

// draft is a form's values by field.
type draft map[string]string

// item is a field of a draft, as people call it.
type item struct{ Name, Label string }

// difference is a value that somebody else saved meanwhile.
type difference struct {
	Label        string
	Mine, Theirs string
	Both         bool // both changed it
}

// text is how a form carries what it was made of.
func (d draft) text() string {
	text, err := json.Marshal(d)
	if err != nil {
		return "{}" // texts always can be
	}
	return string(text)
}

// merged gives what was typed over what is stored now, and what somebody else changed since the form was made of was: what
// only they changed is taken over, what both changed stays as it was typed.
func merged(items []item, was, mine, now draft) (draft, []difference) {
	out := draft{}
	for name, value := range mine {
		out[name] = value
	}
	var others []difference
	for _, i := range items {
		k := i.Name
		if was[k] == now[k] || mine[k] == now[k] {
			continue
		}
		d := difference{Label: i.Label, Mine: mine[k], Theirs: now[k], Both: mine[k] != was[k]}
		if !d.Both {
			out[k] = now[k]
		}
		others = append(others, d)
	}
	return out, others
}

// form is a form of values that several people may edit.
type form struct {
	d       draft // shown
	was     draft // what it was made of
	version int64
	others  []difference
	wrong   map[string]string
}

// formOf is a form of what is stored.
func formOf(stored draft, version int64) form { return form{d: stored, was: stored, version: version} }

// take puts what was typed over what is stored; what somebody else saved since the form was made is in others. A form that
// others were shown in is one of the present version.
func (f *form) take(c *shell.Call, items []item, typed draft) {
	var was draft
	sent, _ := strconv.ParseInt(c.Form("version"), 10, 64)
	if sent != f.version && json.Unmarshal([]byte(c.R.PostForm.Get("was")), &was) == nil {
		f.d, f.others = merged(items, was, typed, f.was)
		return
	}
	f.d = typed
}
