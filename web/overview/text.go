package overview

import (
	"net/url"
	"strings"
	"time"

	"tandem"
	"tandem/web/part"
	"tandem/web/shell"
)

// every says an interval of seconds.
func every(seconds int) string {
	d := time.Duration(seconds) * time.Second
	if d == time.Minute {
		return "minute"
	}
	if d == time.Hour {
		return "hour"
	}
	return part.Span(d)
}

// groupText names a group of conflicts.
func groupText(g tandem.ConflictGroup) string {
	switch {
	case g.Type == tandem.AmbiguousMatch:
		return "devices that may be several of ours"
	case g.Field == "":
		return "devices " + part.ConflictText(g.Type)
	}
	return "conflicts about the " + part.FieldText(g.Field)
}

// groupPath leads to a group of conflicts.
func groupPath(c *shell.Call, g tandem.ConflictGroup) string {
	q := url.Values{"service": {g.ServiceID}, "type": {string(g.Type)}}
	if g.Field != "" {
		q.Set("field", string(g.Field))
	}
	return c.Path("conflicts") + "?" + q.Encode()
}

// firstError gives why a device fails.
func firstError(d tandem.DeviceRow) string {
	for _, a := range d.Assignments {
		if a.Status == tandem.SyncError && a.Error != "" {
			return strings.TrimPrefix(a.Error, d.Name+": ")
		}
	}
	return "its last sync failed"
}

// operationText says what a run is about.
func operationText(r tandem.Run) string {
	text := map[tandem.Operation]string{tandem.OpImport: "Import", tandem.OpExport: "Export", tandem.OpBidirectional: "Full sync", tandem.OpWebhook: "Webhook", tandem.OpRevert: "Undo"}[r.Operation]
	if text == "" {
		text = string(r.Operation)
	}
	if r.DeviceID != "" {
		text += " of one device"
	}
	return text
}
