package setting

import (
	"time"

	"tandem/web/part"
	"tandem/web/shell"
)

// kept is how long one kind of thing is kept.
type kept struct {
	What, About string
	For         time.Duration // 0 for ever
	Flag        string        // of tandem serve; "" where it is fixed
}

// retention shows how long the server keeps things.
func retention(c *shell.Call) error {
	k := c.Site.Retention
	return show(c, "retention", "Retention", retentionPage([]kept{
		{"Runs", "with their entries, closed conflicts and plans", k.Runs, "--keep-runs"},
		{"Deliveries", "received webhooks, with their payloads", k.Deliveries, "--keep-deliveries"},
		{"Reported values", "battery, connectivity and what else devices told, for plots", k.Observations, "--keep-observations"},
		{"Audit", "a checkpoint stays, so that what is left can be verified", k.Audit, "--keep-audit"},
		{"Alerts", "resolved ones, with what was sent about them", k.Alerts, "--keep-alerts"},
		{"Live events", "what pages that lost their connection catch up on", k.Events, ""},
	}))
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
