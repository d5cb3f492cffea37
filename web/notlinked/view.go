package notlinked

import (
	"net/url"

	"github.com/a-h/templ"

	"tandem"
	"tandem/web/part"
)

// current marks the tab of the side that is shown.
func (v *listing) current(side string) templ.Attributes {
	if side == v.side {
		return templ.Attributes{"aria-current": "page"}
	}
	return nil
}

func (v *listing) searchHint() string {
	if v.side == here {
		return "Part of a name, a device ID or a hardware ID"
	}
	return "Part of the name on Golioth"
}

// formPath is what Enter in the list does: the first thing that a selection is for.
func (v *listing) formPath() string {
	if v.side == here {
		return v.c.Path("not-linked", "create")
	}
	return v.c.Path("not-linked", "import")
}

// allCreated says how many all are, as far as one run creates.
func (v *listing) allCreated() string {
	if v.l.Total > mostMade {
		return "the first " + part.Number(mostMade)
	}
	return "all " + part.Number(v.l.Total)
}

// conflictPath is where it is settled which device a remote one is.
func (v *listing) conflictPath(n *tandem.NotLinked) string {
	q := url.Values{"service": {v.service.ID}, "type": {string(tandem.AmbiguousMatch)}, "search": {n.Name}}
	return v.c.Path("conflicts") + "?" + q.Encode()
}

func kindOf(v *outcome) string {
	if len(v.failures) > 0 || v.imported < v.asked {
		return "warning"
	}
	return "success"
}
