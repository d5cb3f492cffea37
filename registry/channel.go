package registry

import (
	"context"
	"encoding/json"
	"slices"

	"tandem"
)

// NewChannel is what a channel is made of.
type NewChannel struct {
	Name           string
	Type           tandem.ChannelType
	Config         json.RawMessage
	Secret         []byte // a Slack URL, an SMTP password, a signing secret
	Kinds          []tandem.AlertKind
	MinSeverity    tandem.Severity
	EscalationOnly bool
	Throttle       int // seconds
}

// ChannelEdit names what is to change; nil leaves a value as it is.
type ChannelEdit struct {
	Name           *string
	Config         json.RawMessage
	Secret         []byte
	Kinds          *[]tandem.AlertKind
	MinSeverity    *tandem.Severity
	EscalationOnly *bool
	Throttle       *int // seconds
	IsActive       *bool
	IfVersion      *int64 // Stale, with the channel as it is, when it is at another version
}

// Channels lists where alerts are sent, by name.
func (r *Registry) Channels(ctx context.Context, actor Actor, org string) ([]tandem.Channel, error) {
	if err := actor.may(org, ManageChannels); err != nil {
		return nil, err
	}
	return r.Server.Channels(ctx, org)
}

// Channel finds one by id or name.
func (r *Registry) Channel(ctx context.Context, actor Actor, org, ref string) (tandem.Channel, error) {
	if err := actor.may(org, ManageChannels); err != nil {
		return tandem.Channel{}, err
	}
	return r.Server.Channel(ctx, org, ref)
}

// CreateChannel adds a way to tell people. Exists when the name is taken.
func (r *Registry) CreateChannel(ctx context.Context, actor Actor, org string, add NewChannel) (tandem.Channel, error) {
	if err := actor.may(org, ManageChannels); err != nil {
		return tandem.Channel{}, err
	}
	now := r.Clock()
	c := tandem.Channel{ID: r.NewID(), OrganizationID: org, Name: add.Name, Type: add.Type, Config: add.Config, Kinds: add.Kinds, MinSeverity: add.MinSeverity,
		EscalationOnly: add.EscalationOnly, ThrottleS: add.Throttle, IsActive: true, CreatedAt: now, UpdatedAt: now}
	if len(c.Config) == 0 {
		c.Config = json.RawMessage("{}")
	}
	if err := r.checkChannel(&c, add.Secret); err != nil {
		return c, err
	}
	if err := r.sealChannel(&c, add.Secret); err != nil {
		return c, err
	}
	along := r.note(actor, org, "channel.create", channelThing(&c), nil, channelAudit(&c, len(add.Secret) > 0))
	if err := r.Store.Apply(ctx, org, &tandem.Changes{PutChannels: []tandem.Channel{c}, Along: along}); err != nil {
		return c, err
	}
	c.Version = 1
	return c, nil
}

// UpdateChannel changes what the edit names.
func (r *Registry) UpdateChannel(ctx context.Context, actor Actor, org, ref string, edit ChannelEdit) (tandem.Channel, error) {
	if err := actor.may(org, ManageChannels); err != nil {
		return tandem.Channel{}, err
	}
	var c tandem.Channel
	err := retryMoved(func() error {
		before, err := r.Server.Channel(ctx, org, ref)
		if err != nil {
			return err
		}
		c = before
		if err := expect("update channel", c.Name, c.Version, edit.IfVersion); err != nil {
			return err
		}
		set(&c.Name, edit.Name)
		set(&c.MinSeverity, edit.MinSeverity)
		set(&c.EscalationOnly, edit.EscalationOnly)
		set(&c.ThrottleS, edit.Throttle)
		set(&c.IsActive, edit.IsActive)
		set(&c.Kinds, edit.Kinds)
		if edit.Config != nil {
			c.Config = edit.Config
		}
		if err := r.checkChannel(&c, edit.Secret); err != nil {
			return err
		}
		if !actor.Root && len(edit.Secret) == 0 && len(before.Credentials) > 0 && mailServer(&before) != mailServer(&c) {
			return tandem.Errorf(tandem.Invalid, "update channel", c.Name, "another mail server needs the password again: the stored one is not sent there").
				WithHint("give the password as the channel's secret, together with the server")
		}
		if err := r.sealChannel(&c, edit.Secret); err != nil {
			return err
		}
		c.UpdatedAt = r.Clock()
		along := r.note(actor, org, "channel.update", channelThing(&c), channelAudit(&before, false), channelAudit(&c, len(edit.Secret) > 0))
		if err := r.Store.Apply(ctx, org, &tandem.Changes{PutChannels: []tandem.Channel{c}, Along: along}); err != nil {
			return err
		}
		c.Version++
		return nil
	})
	return c, err
}

// DeleteChannel removes a channel with what it has not sent yet. With a version it is Stale when the channel is at
// another one.
func (r *Registry) DeleteChannel(ctx context.Context, actor Actor, org, ref string, ifVersion ...int64) (c tandem.Channel, err error) {
	if err := actor.may(org, ManageChannels); err != nil {
		return tandem.Channel{}, err
	}
	err = retryMoved(func() (err error) {
		if c, err = r.Server.Channel(ctx, org, ref); err != nil {
			return err
		}
		if err := expect("delete channel", c.Name, c.Version, wanted(ifVersion)); err != nil {
			return err
		}
		along := r.note(actor, org, "channel.delete", channelThing(&c), channelAudit(&c, false), nil)
		return r.Store.Apply(ctx, org, &tandem.Changes{DropChannels: []tandem.Versioned{{ID: c.ID, Version: c.Version}}, Along: along})
	})
	return c, err
}

// TestChannel sends one message through a channel now.
func (r *Registry) TestChannel(ctx context.Context, actor Actor, org, ref string) error {
	if err := actor.may(org, ManageChannels); err != nil {
		return err
	}
	c, err := r.Server.Channel(ctx, org, ref)
	if err != nil {
		return err
	}
	if r.Notifier == nil {
		return notHere("test channel")
	}
	return r.Notifier.Test(ctx, c)
}

// ChannelNotifications lists what went, or is to go, through a channel, newest first.
func (r *Registry) ChannelNotifications(ctx context.Context, actor Actor, org, ref string, page tandem.Page) ([]tandem.Notification, int, error) {
	c, err := r.Channel(ctx, actor, org, ref)
	if err != nil {
		return nil, 0, err
	}
	return r.Server.Notifications(ctx, org, c.ID, page)
}

func (r *Registry) checkChannel(c *tandem.Channel, secret []byte) error {
	var p problems
	p.add(checkLine("name", c.Name, 1, maxName))
	p.add(oneOf("type", c.Type, tandem.SlackChannel, tandem.EmailChannel, tandem.WebhookChannel))
	p.add(between("throttle", c.ThrottleS, 0, 24*3600))
	if c.MinSeverity != "" {
		p.add(oneOf("min_severity", c.MinSeverity, tandem.Warning, tandem.Critical))
	}
	c.Kinds = slices.Compact(slices.Sorted(slices.Values(c.Kinds)))
	for _, kind := range c.Kinds {
		p.add(oneOf("kind", kind, tandem.AlertConflicts, tandem.AlertRunFailed, tandem.AlertRunBlocked, tandem.AlertServiceDegraded, tandem.AlertKeyRejected, tandem.AlertDeadLetters))
	}
	if !json.Valid(c.Config) {
		p.add(invalid("config", "is not JSON"))
	}
	if err := p.err("check channel", c.Name); err != nil {
		return err
	}
	if r.Notifier == nil {
		return notHere("check channel")
	}
	return r.Notifier.CheckChannel(c, secret)
}

// mailServer is to whom a channel's password is sent, and how; the zero value for a channel that sends its secret nowhere.
func mailServer(c *tandem.Channel) (to struct {
	Host, Security, Username string
	Port                     int
}) {
	if c.Type == tandem.EmailChannel {
		_ = json.Unmarshal(c.Config, &to) // it was checked; what cannot be read is no server
	}
	return to
}

func (r *Registry) sealChannel(c *tandem.Channel, secret []byte) (err error) {
	if len(secret) > 0 {
		c.Credentials, err = r.Vault.Seal(ChannelPlace(c), secret)
	}
	return err
}

// ChannelPlace is where a channel's secret is sealed for.
func ChannelPlace(c *tandem.Channel) Place {
	return Place{OrganizationID: c.OrganizationID, Table: "notification_channels", Column: "credentials", Row: c.ID}
}

// channelAudit is what the audit keeps of a channel; of its secret, that it changed.
func channelAudit(c *tandem.Channel, secret bool) map[string]any {
	said := map[string]any{"name": c.Name, "type": c.Type, "config": c.Config, "kinds": c.Kinds, "min_severity": c.MinSeverity,
		"escalation_only": c.EscalationOnly, "throttle_seconds": c.ThrottleS, "is_active": c.IsActive}
	if secret {
		said["secret"] = "changed"
	}
	return said
}

// notHere says that this program was started without what the use case needs.
func notHere(op string) error {
	return tandem.Errorf(tandem.Invalid, op, "", "this cannot be done here").WithHint("do it on the server that `tandem serve` runs")
}
