package integration

import (
	"encoding/json"

	"tandem/web/part"
)

// difference is a setting that somebody else saved meanwhile.
type difference struct {
	Label             string
	Was, Mine, Theirs string
	Both              bool // both changed it
}

// merged gives what was typed over what is stored now, and what somebody else changed since the form was made of was: what
// only they changed is taken over, what both changed stays as it was typed.
func merged(t tab, was, mine, now draft) (draft, []difference) {
	out := draft{}
	var others []difference
	for _, i := range t.Items {
		k := i.Name
		out[k] = mine[k]
		if was[k] == now[k] || mine[k] == now[k] {
			continue
		}
		d := difference{Label: i.Label, Was: shown(i, was[k]), Mine: shown(i, mine[k]), Theirs: shown(i, now[k]), Both: mine[k] != was[k]}
		if !d.Both {
			out[k] = now[k]
		}
		others = append(others, d)
	}
	return out, others
}

// shown writes a setting for people.
func shown(i item, value string) string {
	if i.Switch {
		if value != "" {
			return "on"
		}
		return "off"
	}
	for _, list := range [][]part.Option{intervals, directions, strategies, onRemoteDelete} {
		for _, o := range list {
			if o.Value == value && value != "" {
				return o.Label
			}
		}
	}
	if value == "" {
		return "nothing"
	}
	return value
}

// carried reads a draft that a form carried; nil where it carried none.
func carried(text string) draft {
	var d draft
	if json.Unmarshal([]byte(text), &d) != nil {
		return nil
	}
	return d
}

// The choices of settings.
var (
	directions = []part.Option{{Value: "bidirectional", Label: "Both ways"}, {Value: "import", Label: "Import only: Golioth to here"}, {Value: "export", Label: "Export only: here to Golioth"}}
	strategies = []part.Option{{Value: "manual", Label: "Ask a person"}, {Value: "local_wins", Label: "The local value wins"}, {Value: "remote_wins", Label: "Golioth's value wins"},
		{Value: "newest_wins", Label: "The newest value wins"}}
	onRemoteDelete = []part.Option{{Value: "unlink", Label: "Unlink it here and keep it"}, {Value: "delete", Label: "Delete it here too"}, {Value: "recreate", Label: "Create it on Golioth again"}}
)

// strategiesOf are the choices for one field.
func strategiesOf() []part.Option {
	return append([]part.Option{{Value: "", Label: "As the others"}}, strategies...)
}
