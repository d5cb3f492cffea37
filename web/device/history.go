package device

import (
	"net/url"

	"tandem"
	"tandem/web/part"
)

// The bounds of the history: rows of a page, and how many entries are looked through to fold those that say the same.
const (
	historyRows   = 20
	historyBatch  = 1000
	historyFolded = 3 * historyBatch
)

// history is what changed the device.
type history struct {
	l      part.Listing
	field  string
	each   bool // each entry is shown by itself
	rows   []change
	all    int // entries
	looked int // of them, where they are folded
}

func (p *page) readHistory() error {
	q := p.c.R.URL.Query()
	// The history has a page, a field and a way to be shown of its own in the address, beside what the other cards have.
	own := url.Values{}
	for _, key := range []string{"field", "each", "page"} {
		if q.Get(key) != "" {
			own.Set(key, q.Get(key))
		}
	}
	p.history = history{l: part.NewListing(p.path(), own, historyRows), field: q.Get("field"), each: q.Get("each") != ""}
	p.history.l.Place = "history"
	if p.history.each {
		return p.readEach()
	}
	return p.readFolded()
}

// readEach reads a page of entries.
func (p *page) readEach() error {
	h := &p.history
	entries, all, err := p.readEntries(h.l.Page, historyRows)
	h.all, h.l.Total = all, all
	for i, e := range entries {
		h.rows = append(h.rows, change{HistoryEntry: e, First: e, Times: 1, at: i})
	}
	return err
}

// readFolded reads a page of rows. All pages are folded from the newest entry on, so that a row is whole on whichever
// page it stands.
func (p *page) readFolded() error {
	h := &p.history
	var entries []tandem.HistoryEntry
	var rows []change
	for number := 1; ; number++ {
		found, all, err := p.readEntries(number, historyBatch)
		if err != nil {
			return err
		}
		entries, h.all = append(entries, found...), all
		rows, h.looked = fold(entries), len(entries)
		if len(found) < historyBatch || h.looked >= historyFolded {
			break
		}
	}
	h.l.Total = len(rows)
	from := min((h.l.Page-1)*historyRows, len(rows))
	h.rows = rows[from:min(from+historyRows, len(rows))]
	return nil
}

func (p *page) readEntries(number, limit int) ([]tandem.HistoryEntry, int, error) {
	filter := tandem.HistoryFilter{Field: tandem.Path(p.history.field), Page: tandem.Page{Number: number, Limit: limit}}
	return p.c.Registry().DeviceHistory(p.c.R.Context(), p.c.Actor, p.c.Org.ID, p.d.ID, filter)
}

// eachOf is where the entries of a row stand one by one.
func (h history) eachOf(row change) string {
	l := h.l
	l.Query = url.Values{"each": {"yes"}}
	if h.field != "" {
		l.Query.Set("field", h.field)
	}
	return l.With("page", row.at/historyRows+1)
}

// togetherAgain is the history with what says the same in one row.
func (h history) togetherAgain() string {
	l := h.l
	l.Page = 1
	return l.With("each", "") + "#history"
}

// numberTimes says how often.
func numberTimes(n int) string { return part.Count(n, "time", "times") }

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
