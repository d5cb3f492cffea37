package setting

import (
	"time"

	"tandem/web/part"
	"tandem/web/shell"
)

// kept is how long one kind of thing is kept.
type kept struct {
	What  string
	Goes  string // what goes with it
	Stays string // whatever its age
	For   time.Duration
	Flag  string // of tandem serve; "" where it is fixed
}

// retention shows how long the server keeps things: what goes, what of it has gone by now, and what stays.
func retention(c *shell.Call) error {
	k := c.Site.Retention
	return show(c, "retention", "Retention", retentionPage([]kept{
		{"Runs", "with every entry of theirs, so that they cannot be undone any more; conflicts that are settled; plans that were applied, discarded or left", "Open conflicts, and the plan of a blocked run that still waits for somebody", k.Runs, "--keep-runs"},
		{"Deliveries", "received webhooks with their payloads: processed, dead, waiting and refused ones", "What they reported about devices", k.Deliveries, "--keep-deliveries"},
		{"Reported values", "battery, connectivity and what else devices told, as plots and tables show it", "Each device's present battery, location, firmware and when it was last seen", k.Observations, "--keep-observations"},
		{"Commands", "what was sent to devices and is over; credentials that were revoked", "Commands under way, and credentials that work", k.Commands, "--keep-commands"},
		{"Alerts", "resolved ones, with what was sent about them", "Alerts that are not resolved", k.Alerts, "--keep-alerts"},
		{"Audit", "who did what", "A checkpoint, so that what is left can still be verified", k.Audit, "--keep-audit"},
		{"Live events", "what pages that lost their connection catch up on", "", k.Events, ""},
	}, c.Now()))
}

// keptText says how long that is.
func keptText(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "for ever"
	case d%day == 0:
		return part.Count(int(d/day), "day", "days")
	}
	return part.Span(d)
}

// gone says what is gone by now.
func (k kept) gone(now time.Time) string {
	if k.For < 24*time.Hour {
		return ""
	}
	return "gone: from before " + now.Add(-k.For).Format("2 January 2006")
}
