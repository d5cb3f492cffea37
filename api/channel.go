package api

import (
	"context"
	"net/http"
	"time"

	"tandem"
	"tandem/registry"
)

// ChannelFields are what people set of a channel; what is left out stays as it is.
type ChannelFields struct {
	Name           *string             `json:"name,omitempty" maxLength:"255"`
	Config         *object             `json:"config,omitempty" doc:"What the type needs, without secrets."`
	Secret         *string             `json:"secret,omitempty" maxLength:"4096" doc:"A Slack URL, an SMTP password, a signing secret. It is never replied."`
	Kinds          *[]tandem.AlertKind `json:"kinds,omitempty" doc:"Only alerts of these kinds; all when empty."`
	MinSeverity    *tandem.Severity    `json:"min_severity,omitempty" enum:"warning,critical"`
	EscalationOnly *bool               `json:"escalation_only,omitempty" doc:"Only what nobody acknowledged in time."`
	Throttle       *int                `json:"throttle_seconds,omitempty" minimum:"0" maximum:"86400" doc:"At most one message in this time; what comes meanwhile is summarized."`
	IsActive       *bool               `json:"is_active,omitempty"`
}

// notification is one alert on its way to a channel, as it is shown.
type notification struct {
	ID        string     `json:"id"`
	AlertID   string     `json:"alert_id"`
	Reason    string     `json:"reason"`
	Attempts  int        `json:"attempts"`
	NextAt    time.Time  `json:"next_at"`
	SentAt    *time.Time `json:"sent_at,omitempty"`
	Error     string     `json:"error,omitempty"`
	DeadAt    *time.Time `json:"dead_at,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
}

func (a *API) channels() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		Sort channelSort `query:"sort"`
	}
	type channelList struct {
		Channels   []tandem.Channel  `json:"channels"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("channels-list", http.MethodGet, "/api/v1/channels", "channels", "List where alerts are sent"),
		func(ctx context.Context, in *listInput) (*body[channelList], error) {
			c := callerOf(ctx)
			all, err := a.options.Registry.Channels(ctx, c.actor, c.org)
			page, err := sortedPage(tandem.ChannelOrder, all, string(in.Sort), in.Listing, err)
			return with(channelList{page, in.pagination(len(all))}, err)
		})
	handle(a, route("channels-show", http.MethodGet, "/api/v1/channels/{id}", "channels", "Show a channel"),
		func(ctx context.Context, in *ByID) (*tagged[tandem.Channel], error) {
			c := callerOf(ctx)
			channel, err := a.options.Registry.Channel(ctx, c.actor, c.org, in.ID)
			return &tagged[tandem.Channel]{versionTag(channel.Version), channel}, err
		})

	type channelCreateInput struct {
		InOrg
		Once
		Body struct {
			ChannelFields
			Type tandem.ChannelType `json:"type" enum:"slack,email,webhook"`
		}
	}
	type createOutput struct {
		ETag     string `header:"ETag" doc:"The version, for If-Match."`
		Location string `header:"Location" doc:"The channel."`
		Body     tandem.Channel
	}
	handle(a, created(route("channels-create", http.MethodPost, "/api/v1/channels", "channels", "Add a channel")),
		func(ctx context.Context, in *channelCreateInput) (*createOutput, error) {
			c := callerOf(ctx)
			channel, err := a.options.Registry.CreateChannel(ctx, c.actor, c.org, in.Body.channel(in.Body.Type))
			return &createOutput{versionTag(channel.Version), "/api/v1/channels/" + channel.ID, channel}, err
		})
	a.channelEdits()
}

// channel makes a new one of the fields.
func (f *ChannelFields) channel(kind tandem.ChannelType) registry.NewChannel {
	add := registry.NewChannel{Type: kind, Name: value(f.Name), MinSeverity: value(f.MinSeverity), EscalationOnly: value(f.EscalationOnly), Throttle: value(f.Throttle),
		Kinds: value(f.Kinds), Secret: []byte(value(f.Secret))}
	if f.Config != nil {
		add.Config = f.Config.text
	}
	return add
}

// value gives what a pointer is to, or nothing.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func (a *API) channelEdits() {
	type updateInput struct {
		ByID
		Edit
		Body ChannelFields
	}
	handle(a, describing(route("channels-update", http.MethodPatch, "/api/v1/channels/{id}", "channels", "Change a channel"), "Members that are left out stay as they are."),
		func(ctx context.Context, in *updateInput) (*tagged[tandem.Channel], error) {
			c, b := callerOf(ctx), &in.Body
			version, err := in.version(ctx)
			if err != nil {
				return nil, err
			}
			edit := registry.ChannelEdit{Name: b.Name, Secret: []byte(value(b.Secret)), Kinds: b.Kinds, MinSeverity: b.MinSeverity, EscalationOnly: b.EscalationOnly, Throttle: b.Throttle,
				IsActive: b.IsActive, IfVersion: expected(version)}
			if b.Config != nil {
				edit.Config = b.Config.text
			}
			channel, err := a.options.Registry.UpdateChannel(ctx, c.actor, c.org, in.ID, edit)
			if err != nil {
				return nil, a.staleChannel(ctx, c, in.ID, err)
			}
			return &tagged[tandem.Channel]{versionTag(channel.Version), channel}, nil
		})

	type deleteInput struct {
		ByID
		Edit
	}
	handle(a, route("channels-delete", http.MethodDelete, "/api/v1/channels/{id}", "channels", "Remove a channel"),
		func(ctx context.Context, in *deleteInput) (*body[deleted], error) {
			c := callerOf(ctx)
			version, err := in.version(ctx)
			if err != nil {
				return nil, err
			}
			channel, err := a.options.Registry.DeleteChannel(ctx, c.actor, c.org, in.ID, named(version)...)
			return with(deleted{channel.ID}, a.staleChannel(ctx, c, in.ID, err))
		})

	type channelTested struct {
		Sent bool `json:"sent"`
	}
	handle(a, route("channels-test", http.MethodPost, "/api/v1/channels/{id}/test", "channels", "Send a test message"),
		func(ctx context.Context, in *ByID) (*body[channelTested], error) {
			c := callerOf(ctx)
			return with(channelTested{true}, a.options.Registry.TestChannel(ctx, c.actor, c.org, in.ID))
		})

	type sentInput struct {
		ByID
		Listing
	}
	type notificationList struct {
		Notifications []notification    `json:"notifications"`
		Pagination    tandem.Pagination `json:"pagination"`
	}
	handle(a, route("channel-notifications-list", http.MethodGet, "/api/v1/channels/{id}/notifications", "channels", "List what goes through a channel, newest first"),
		func(ctx context.Context, in *sentInput) (*body[notificationList], error) {
			c := callerOf(ctx)
			rows, total, err := a.options.Registry.ChannelNotifications(ctx, c.actor, c.org, in.ID, in.page())
			all := []notification{}
			for i := range rows {
				n := &rows[i]
				all = append(all, notification{n.ID, n.AlertID, n.Reason, n.Attempts, n.NextAt, n.SentAt, n.Error, n.DeadAt, n.CreatedAt})
			}
			return with(notificationList{all, tandem.PaginatedSome(in.page(), total)}, err)
		})
}

// staleChannel adds to the refusal of an old version the channel as it is now.
func (a *API) staleChannel(ctx context.Context, c caller, ref string, err error) error {
	if !tandem.Is(err, tandem.Stale) {
		return err
	}
	now, readErr := a.options.Registry.Channel(ctx, c.actor, c.org, ref)
	return stale(ctx, err, now, now.Version, readErr)
}
