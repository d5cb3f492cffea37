package history

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"time"

	"tandem"
	"tandem/web/shell"
)

// download gives all that a run did, or what its page is narrowed to, as a file.
func download(c *shell.Call) error {
	f := tandem.EntryFilter{RunID: c.Value("id"), Outcome: tandem.EntryOutcome(c.Query("outcome")), Action: tandem.Action(c.Query("action")),
		Side: tandem.Side(c.Query("side")), Search: c.Query("search"), DeviceID: c.Query("device"), Page: tandem.Page{Number: 1, Limit: exportRows}}
	if _, err := c.Registry().Run(c.R.Context(), c.Actor, c.Org.ID, f.RunID); err != nil {
		return err
	}
	first, _, err := c.Registry().Entries(c.R.Context(), c.Actor, c.Org.ID, f)
	if err != nil {
		return err
	}
	name := "run-" + f.RunID
	var write func([]tandem.Entry) error
	end := func() error { return nil }
	if strings.HasSuffix(c.R.URL.Path, ".json") {
		c.File(name+".json", "application/json")
		write, end = asJSON(c)
	} else {
		c.File(name+".csv", "text/csv; charset=utf-8")
		write = asCSV(c)
	}
	for list := first; ; {
		if err := write(list); err != nil {
			return err
		}
		if len(list) < exportRows {
			return end()
		}
		f.Number++
		if list, _, err = c.Registry().Entries(c.R.Context(), c.Actor, c.Org.ID, f); err != nil {
			return err
		}
	}
}

// asCSV writes entries as rows below a heading. A value that a spreadsheet would take for a formula begins with a quote.
func asCSV(c *shell.Call) func([]tandem.Entry) error {
	w := csv.NewWriter(c.W)
	head := []string{"at", "device", "device_id", "external_device_id", "side", "action", "field", "before", "after", "outcome", "error", "note"}
	begun := false
	return func(list []tandem.Entry) error {
		if !begun {
			begun = true
			if err := w.Write(head); err != nil {
				return err
			}
		}
		for i := range list {
			e := &list[i]
			row := []string{e.CreatedAt.UTC().Format(time.RFC3339Nano), e.DeviceName, e.DeviceID, e.ExternalDeviceID, string(e.Side), string(e.Action), string(e.Path),
				string(e.Before), string(e.After), string(e.Outcome), e.Error, e.Note}
			for j, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
					row[j] = "'" + cell
				}
			}
			if err := w.Write(row); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	}
}

// asJSON writes entries as one array.
func asJSON(c *shell.Call) (write func([]tandem.Entry) error, end func() error) {
	separator := "[\n"
	return func(list []tandem.Entry) error {
			for i := range list {
				text, err := json.Marshal(&list[i])
				if err != nil {
					return err
				}
				if _, err := c.W.Write(append([]byte(separator), text...)); err != nil {
					return err
				}
				separator = ",\n"
			}
			return nil
		}, func() error {
			if separator == "[\n" {
				_, err := c.W.Write([]byte("[]\n"))
				return err
			}
			_, err := c.W.Write([]byte("\n]\n"))
			return err
		}
}
