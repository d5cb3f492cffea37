package main

import (
	"context"
	"io"

	"tandem"
	"tandem/alert"
	"tandem/audit"
	"tandem/outbound"
	"tandem/registry"
	"tandem/secret"
)

// Users lists the people of an organization.
func (s onDatabase) Users(ctx context.Context, org string, filter tandem.MemberFilter) ([]tandem.Member, int, error) {
	return s.registry.Users(ctx, s.actor, org, filter)
}

// User finds one of them by id or email.
func (s onDatabase) User(ctx context.Context, org, ref string) (tandem.Member, error) {
	return s.registry.User(ctx, s.actor, org, ref)
}

// CreateUser makes an account.
func (s onDatabase) CreateUser(ctx context.Context, org string, person registry.NewPerson, role tandem.Role) (tandem.User, error) {
	return s.registry.CreateUser(ctx, s.actor, org, person, role)
}

// ChangeRole gives a person another role.
func (s onDatabase) ChangeRole(ctx context.Context, org, ref string, role tandem.Role, ifVersion ...int64) (tandem.Member, error) {
	return s.registry.ChangeRole(ctx, s.actor, org, ref, role, ifVersion...)
}

// DisableUser keeps a person out, or lets them in again.
func (s onDatabase) DisableUser(ctx context.Context, org, ref string, disabled bool, ifVersion ...int64) (tandem.User, error) {
	return s.registry.DisableUser(ctx, s.actor, org, ref, disabled, ifVersion...)
}

// RemoveUser ends a membership.
func (s onDatabase) RemoveUser(ctx context.Context, org, ref string, ifVersion ...int64) (tandem.Member, error) {
	return s.registry.RemoveUser(ctx, s.actor, org, ref, ifVersion...)
}

// Invite asks a person to join.
func (s onDatabase) Invite(ctx context.Context, org, email string, role tandem.Role) (tandem.Invitation, string, error) {
	return s.registry.Invite(ctx, s.actor, org, email, role)
}

// UnlockUser helps a person who is locked out.
func (s onDatabase) UnlockUser(ctx context.Context, email string, factor bool) (tandem.User, string, error) {
	return s.registry.ResetByCommand(ctx, s.actor, email, factor)
}

// ResetPassword spends a reset link.
func (s onDatabase) ResetPassword(ctx context.Context, link, password string) (tandem.User, error) {
	return s.registry.ResetPassword(ctx, link, password)
}

// Tokens lists tokens.
func (s onDatabase) Tokens(ctx context.Context, org string) ([]tandem.Token, error) {
	return s.registry.Tokens(ctx, s.actor, org)
}

// CreateToken makes one.
func (s onDatabase) CreateToken(ctx context.Context, org string, add registry.NewToken) (tandem.Token, string, error) {
	return s.registry.CreateToken(ctx, s.actor, org, add)
}

// RevokeToken ends one.
func (s onDatabase) RevokeToken(ctx context.Context, org, id string) (tandem.Token, error) {
	return s.registry.RevokeToken(ctx, s.actor, org, id)
}

// Deliveries lists received webhooks.
func (s onDatabase) Deliveries(ctx context.Context, org string, filter tandem.DeliveryFilter) ([]tandem.Delivery, int, error) {
	return s.registry.Deliveries(ctx, s.actor, org, filter)
}

// Delivery finds one.
func (s onDatabase) Delivery(ctx context.Context, org, id string) (tandem.Delivery, error) {
	return s.registry.Delivery(ctx, s.actor, org, id)
}

// ReplayDeliveries has them processed again, by the server that runs.
func (s onDatabase) ReplayDeliveries(ctx context.Context, org string, ids []string) (int, error) {
	return s.registry.ReplayDeliveries(ctx, s.actor, org, ids)
}

// UpdateWebhook changes how a service's deliveries are authenticated and read.
func (s onDatabase) UpdateWebhook(ctx context.Context, org, ref string, edit registry.WebhookEdit) (tandem.Service, string, error) {
	return s.registry.UpdateWebhook(ctx, s.actor, org, ref, edit)
}

// ConnectWebhook has a project's messages posted to a server.
func (s onDatabase) ConnectWebhook(ctx context.Context, org, ref, publicURL string, dry bool, paths ...string) (registry.Connection, error) {
	return s.registry.ConnectWebhook(ctx, s.actor, org, ref, publicURL, dry, paths...)
}

// DisconnectWebhook ends that.
func (s onDatabase) DisconnectWebhook(ctx context.Context, org, ref string) (tandem.Service, error) {
	return s.registry.DisconnectWebhook(ctx, s.actor, org, ref)
}

// Alerts lists alerts.
func (s onDatabase) Alerts(ctx context.Context, org string, filter tandem.AlertFilter) ([]tandem.Alert, int, error) {
	return s.registry.Alerts(ctx, s.actor, org, filter)
}

// Alert finds one.
func (s onDatabase) Alert(ctx context.Context, org, id string) (tandem.Alert, error) {
	return s.registry.Alert(ctx, s.actor, org, id)
}

// AcknowledgeAlert says that somebody looks after it.
func (s onDatabase) AcknowledgeAlert(ctx context.Context, org, id string) (tandem.Alert, error) {
	return s.registry.AcknowledgeAlert(ctx, s.actor, org, id)
}

// ResolveAlert closes it.
func (s onDatabase) ResolveAlert(ctx context.Context, org, id string) (tandem.Alert, error) {
	return s.registry.ResolveAlert(ctx, s.actor, org, id)
}

// notifying gives the registry what checks channels and sends through them, for the time of fn. Whoever has the
// database may name any address.
func (s onDatabase) notifying(fn func(r *registry.Registry) error) error {
	n := alert.New(alert.Options{Store: s.store, Clock: s.Clock, Holder: s.engine.Holder, Policy: outbound.Policy{AllowPrivate: true},
		Open: func(c *tandem.Channel) ([]byte, error) { return openChannel(s.keys, c) }})
	defer n.Close()
	r := *s.registry
	r.Notifier = n
	return fn(&r)
}

// openChannel gives a channel's secret, nil where it has none.
func openChannel(keys *secret.Keyring, c *tandem.Channel) ([]byte, error) {
	if len(c.Credentials) == 0 {
		return nil, nil
	}
	return vault{keys}.Unseal(registry.ChannelPlace(c), c.Credentials)
}

// Channels lists where alerts are sent.
func (s onDatabase) Channels(ctx context.Context, org string) ([]tandem.Channel, error) {
	return s.registry.Channels(ctx, s.actor, org)
}

// Channel finds one by id or name.
func (s onDatabase) Channel(ctx context.Context, org, ref string) (tandem.Channel, error) {
	return s.registry.Channel(ctx, s.actor, org, ref)
}

// CreateChannel adds one.
func (s onDatabase) CreateChannel(ctx context.Context, org string, add registry.NewChannel) (c tandem.Channel, err error) {
	err = s.notifying(func(r *registry.Registry) (err error) {
		c, err = r.CreateChannel(ctx, s.actor, org, add)
		return err
	})
	return c, err
}

// UpdateChannel changes one.
func (s onDatabase) UpdateChannel(ctx context.Context, org, ref string, edit registry.ChannelEdit) (c tandem.Channel, err error) {
	err = s.notifying(func(r *registry.Registry) (err error) {
		c, err = r.UpdateChannel(ctx, s.actor, org, ref, edit)
		return err
	})
	return c, err
}

// DeleteChannel removes one.
func (s onDatabase) DeleteChannel(ctx context.Context, org, ref string, ifVersion ...int64) (tandem.Channel, error) {
	return s.registry.DeleteChannel(ctx, s.actor, org, ref, ifVersion...)
}

// TestChannel sends a message through one, from here.
func (s onDatabase) TestChannel(ctx context.Context, org, ref string) error {
	return s.notifying(func(r *registry.Registry) error { return r.TestChannel(ctx, s.actor, org, ref) })
}

// ExportAudit seals what has no place yet, and writes the chain.
func (s onDatabase) ExportAudit(ctx context.Context, org string, to io.Writer) (audit.Head, error) {
	if _, err := audit.Seal(ctx, s.store, org, s.Clock().UTC()); err != nil && !tandem.Is(err, tandem.Stale) { // the server's sealer was there
		return audit.Head{}, err
	}
	return audit.Export(ctx, s.store, org, to)
}

// VerifyAudit checks the chain.
func (s onDatabase) VerifyAudit(ctx context.Context, org string, earlier *audit.Head, report audit.Progress) (audit.Result, error) {
	return audit.Verify(ctx, s.store, org, earlier, report)
}
