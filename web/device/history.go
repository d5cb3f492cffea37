package device

import (
	"net/url"

	"tandem"
	"tandem/web/part"
)

// historyRows is how many changes a page of the history has.
const historyRows = 20

// history is what changed the device.
type history struct {
	l       part.Listing
	field   string
	entries []tandem.HistoryEntry
}

func (p *page) readHistory() error {
	q := p.c.R.URL.Query()
	// The history has a page and a field of its own in the address, beside what the other cards have.
	l := part.NewListing(p.path(), url.Values{"field": q["field"], "page": q["page"]}, historyRows)
	if q.Get("field") == "" {
		l.Query.Del("field")
	}
	p.history = history{l: l, field: q.Get("field")}
	filter := tandem.HistoryFilter{Field: tandem.Path(p.history.field), Page: tandem.Page{Number: l.Page, Limit: historyRows}}
	var err error
	p.history.entries, p.history.l.Total, err = p.c.Registry().DeviceHistory(p.c.R.Context(), p.c.Actor, p.c.Org.ID, p.d.ID, filter)
	return err
}

// historyFields are what the history can be narrowed to.
func historyFields() []part.Option {
	all := []part.Option{{Label: "Every field"}}
	for _, name := range fieldNames {
		all = append(all, part.Option{Value: name, Label: title(name)})
	}
	return all
}

// what says what an entry did.
func what(e tandem.HistoryEntry) string {
	if e.Field != "" && e.Action == tandem.ActUpdate {
		return pathText(e.Field)
	}
	text := map[tandem.Action]string{tandem.ActCreate: "Created", tandem.ActUpdate: "Changed", tandem.ActDelete: "Deleted", tandem.ActLink: "Linked", tandem.ActUnlink: "Unlinked",
		tandem.ActRecreate: "Created again", tandem.ActConflict: "Conflict found", tandem.ActSettle: "Conflict settled", tandem.ActDrift: "Difference left as it is",
		tandem.ActRename: "Renamed", tandem.ActRead: "Could not be read"}[e.Action]
	if text == "" {
		text = title(string(e.Action))
	}
	if e.Field != "" {
		text = pathText(e.Field) + ": " + text
	}
	return text
}

// whole reports whether the values of an entry are a whole device, which is not shown in a line.
func whole(e tandem.HistoryEntry) bool {
	return e.Field == "" && (e.Action == tandem.ActCreate || e.Action == tandem.ActDelete || e.Action == tandem.ActRecreate)
}

// how says which sync it was.
func how(e tandem.HistoryEntry) string {
	text := map[tandem.Trigger]string{tandem.BySchedule: "scheduled sync", tandem.ByHand: "sync by hand", tandem.ByEdit: "sync after an edit", tandem.ByWebhook: "sync after a webhook"}[e.Trigger]
	if text == "" {
		text = "sync"
	}
	if e.Operation == tandem.OpRevert {
		text = "undoing a sync"
	}
	return text
}
