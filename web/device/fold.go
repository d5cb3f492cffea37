package device

import (
	"bytes"

	"tandem"
)

// change is one row of the history: an entry, or the same one again and again.
type change struct {
	tandem.HistoryEntry                     // the newest of them
	First               tandem.HistoryEntry // the oldest
	Times               int                 // how many they are
	at                  int                 // how many entries are newer than the newest of them
}

// fold puts entries that say the same, newest first, into one row: neighbours, and failures that come again with each
// try, also where a try fails in several fields.
func fold(entries []tandem.HistoryEntry) []change {
	var rows []change
	for i, e := range entries {
		if at := foldsInto(rows, &e); at >= 0 {
			rows[at].Times++
			rows[at].First = e
			continue
		}
		rows = append(rows, change{HistoryEntry: e, First: e, Times: 1, at: i})
	}
	return rows
}

// foldsInto finds the row that says the same as an older entry, -1 where there is none.
func foldsInto(rows []change, e *tandem.HistoryEntry) int {
	for at := len(rows) - 1; at >= 0; at-- {
		if sameAgain(&rows[at].HistoryEntry, e) {
			return at
		}
		if e.Outcome != tandem.OutcomeFailed || rows[at].Outcome != tandem.OutcomeFailed {
			return -1
		}
	}
	return -1
}

// sameAgain reports whether two entries differ in nothing but their time, run and delivery.
func sameAgain(a, b *tandem.HistoryEntry) bool {
	return a.Field == b.Field && a.Side == b.Side && a.Action == b.Action && a.Outcome == b.Outcome && a.Error == b.Error && a.Note == b.Note &&
		a.By == b.By && a.Source == b.Source && a.Trigger == b.Trigger && a.Operation == b.Operation &&
		bytes.Equal(a.Before, b.Before) && bytes.Equal(a.After, b.After)
}

// failure is a row of what failed with a device, or the same again and again.
type failure struct {
	tandem.Entry
	First tandem.Entry
	Times int
	More  bool // there may be older ones, which were not looked at
}

// foldFailures puts failures that say the same, newest first, into one row, at most so many rows.
// all is how many there are.
func foldFailures(entries []tandem.Entry, all, most int) []failure {
	var rows []failure
	for _, e := range entries {
		found := false
		for i := range rows {
			if r := &rows[i]; r.Path == e.Path && r.Side == e.Side && r.Action == e.Action && r.Code == e.Code && r.Error == e.Error && r.ServiceID == e.ServiceID {
				r.Times, r.First, found = r.Times+1, e, true
				break
			}
		}
		if !found && len(rows) < most {
			rows = append(rows, failure{Entry: e, First: e, Times: 1})
		}
	}
	for i := range rows {
		rows[i].More = all > len(entries)
	}
	return rows
}

// times says how often.
func (f failure) times() string {
	text := numberTimes(f.Times)
	if f.More {
		return "at least " + text
	}
	return text
}
