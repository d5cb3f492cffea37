// Package alert says when a person should look, and tells people so.
//
// Rules turn what happened into verdicts, Apply turns verdicts into alerts: rows that are raised, acknowledged and
// resolved, at most one open for each kind and subject. For each channel that wants an alert a notification is written
// in the same transaction, and the Notifier sends what is due: through Slack-compatible webhooks, e-mail, or signed
// webhooks. A channel hears at most once in its throttle time; what comes together is told together.
package alert

import (
	"context"

	"tandem"
)

// Store is what the package needs of the database.
type Store interface {
	tandem.Applier
	tandem.AlertStore
	Organization(ctx context.Context, idOrSlug string) (tandem.Organization, error)
	Service(ctx context.Context, org, idOrName string) (tandem.Service, error)
}
