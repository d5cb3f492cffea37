package api

import (
	"context"
	"net/http"
	"time"

	"tandem"
	"tandem/registry"
)

// lifeOf reads how long something lasts, 0 for what is usual.
func lifeOf(op, field, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	life, err := time.ParseDuration(text)
	if err != nil || life < 0 {
		return 0, tandem.Errorf(tandem.Invalid, op, "", "%s is %.20q, it must be a duration such as 720h", field, text)
	}
	return life, nil
}

// deviceCredentials registers what devices authenticate with.
func (a *API) deviceCredentials() {
	const at = "/api/v1/devices/{id}/credentials"
	type CredentialByID struct {
		DeviceByID
		Credential string `path:"credential" maxLength:"64"`
	}
	type credentialList struct {
		Credentials []tandem.Credential `json:"credentials"`
	}
	type made struct {
		tandem.Credential
		Secret string `json:"secret,omitempty" doc:"What the device authenticates with. It is shown this once; a certificate and a key that was taken over have none."`
	}
	handle(a, route("devices-credentials-list", http.MethodGet, at, "devices", "List what a device authenticates with, newest first"),
		func(ctx context.Context, in *DeviceByID) (*body[credentialList], error) {
			c := callerOf(ctx)
			all, err := a.options.Registry.Credentials(ctx, c.actor, c.org, in.ID)
			return with(credentialList{list(all)}, err)
		})

	type createInput struct {
		DeviceByID
		Body struct {
			Kind        tandem.CredentialKind `json:"kind" enum:"token,password,psk,certificate" doc:"A token for HTTP, a password for MQTT, a pre-shared key for CoAP, or a client certificate."`
			Name        string                `json:"name,omitempty" maxLength:"255"`
			Identity    string                `json:"identity,omitempty" maxLength:"128" doc:"Of a password or PSK: begins with the organization's slug and a slash. By default that and the device_id."`
			Certificate string                `json:"certificate,omitempty" maxLength:"20000" doc:"PEM."`
			Service     string                `json:"service,omitempty" maxLength:"200" doc:"Take the device's PSK over from this service, where it allows it (gateway_psk)."`
			Expires     string                `json:"expires_in,omitempty" maxLength:"20" doc:"A duration such as 720h; for ever by default."`
		}
	}
	op := created(route("devices-credentials-create", http.MethodPost, at, "devices", "Make a credential for a device"))
	op.Metadata = map[string]any{secretKey: true}
	handle(a, op, func(ctx context.Context, in *createInput) (*body[made], error) {
		c, b := callerOf(ctx), &in.Body
		life, err := lifeOf("create credential", "expires_in", b.Expires)
		if err != nil {
			return nil, err
		}
		is, secret, err := a.options.Registry.CreateCredential(ctx, c.actor, c.org, in.ID, registry.NewCredential{Kind: b.Kind, Name: b.Name, Identity: b.Identity,
			Certificate: b.Certificate, Service: b.Service, Life: life})
		return with(made{is, secret}, err)
	})

	type rotateInput struct {
		CredentialByID
		Body struct {
			Grace string `json:"grace,omitempty" maxLength:"20" doc:"How long the old secret stays good: a duration such as 1h; not at all by default."`
		}
	}
	op = route("devices-credentials-rotate", http.MethodPost, at+"/{credential}/rotate", "devices", "Give a credential a new secret")
	op.Metadata = map[string]any{secretKey: true}
	handle(a, op, func(ctx context.Context, in *rotateInput) (*body[made], error) {
		c := callerOf(ctx)
		grace, err := lifeOf("rotate credential", "grace", in.Body.Grace)
		if err != nil {
			return nil, err
		}
		is, secret, err := a.options.Registry.RotateCredential(ctx, c.actor, c.org, in.ID, in.Credential, grace)
		return with(made{is, secret}, err)
	})

	handle(a, describing(route("devices-credentials-revoke", http.MethodDelete, at+"/{credential}", "devices", "End a credential"), "Within two seconds nobody is let in with it."),
		func(ctx context.Context, in *CredentialByID) (*body[tandem.Credential], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.RevokeCredential(ctx, c.actor, c.org, in.ID, in.Credential))
		})
}

// deviceCommands registers what devices are told to do.
func (a *API) deviceCommands() {
	const at = "/api/v1/devices/{id}/commands"
	type CommandByID struct {
		DeviceByID
		Command string `path:"command" maxLength:"64"`
	}
	type listInput struct {
		DeviceByID
		Listing
		Status string `query:"status" enum:"queued,sent,acknowledged,failed,expired,canceled"`
	}
	type commandList struct {
		Commands   []tandem.Command  `json:"commands"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("devices-commands-list", http.MethodGet, at, "devices", "List a device's commands, newest first"),
		func(ctx context.Context, in *listInput) (*body[commandList], error) {
			c := callerOf(ctx)
			all, total, err := a.options.Registry.Commands(ctx, c.actor, c.org, in.ID, tandem.CommandFilter{Status: tandem.CommandStatus(in.Status), Page: in.page()})
			return with(commandList{list(all), in.pagination(total)}, err)
		})

	type sendInput struct {
		DeviceByID
		Body struct {
			Name    string `json:"name" minLength:"1" maxLength:"64" doc:"The method, one word."`
			Payload any    `json:"payload,omitempty" doc:"Any JSON, at most 4 KB."`
			Expires string `json:"expires_in,omitempty" maxLength:"20" doc:"A duration such as 30s; 1h by default."`
			Service string `json:"service,omitempty" maxLength:"200" doc:"Send it as a remote call through this service."`
		}
	}
	handle(a, describing(created(route("devices-commands-send", http.MethodPost, at, "devices", "Tell a device to do something")),
		"A device with a credential here gets it when it is connected; one that is on Golioth alone gets it as a remote procedure call, whose answer is waited for."),
		func(ctx context.Context, in *sendInput) (*body[tandem.Command], error) {
			c, b := callerOf(ctx), &in.Body
			life, err := lifeOf("send command", "expires_in", b.Expires)
			if err != nil {
				return nil, err
			}
			payload, err := registry.CommandPayload(b.Payload)
			if err != nil {
				return nil, err
			}
			return with(a.options.Registry.SendCommand(ctx, c.actor, c.org, in.ID, registry.NewCommand{Name: b.Name, Payload: payload, Life: life, Service: b.Service}))
		})

	handle(a, route("devices-commands-show", http.MethodGet, at+"/{command}", "devices", "Show a command"),
		func(ctx context.Context, in *CommandByID) (*body[tandem.Command], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.Command(ctx, c.actor, c.org, in.ID, in.Command))
		})
	handle(a, describing(route("devices-commands-cancel", http.MethodDelete, at+"/{command}", "devices", "Withdraw a command"), "As long as it was not sent."),
		func(ctx context.Context, in *CommandByID) (*body[tandem.Command], error) {
			c := callerOf(ctx)
			return with(a.options.Registry.CancelCommand(ctx, c.actor, c.org, in.ID, in.Command))
		})
}

// deviceSeries registers the numbers of plots.
func (a *API) deviceSeries() {
	type seriesInput struct {
		DeviceByID
		Path   string    `query:"path" default:"battery_level" maxLength:"300" doc:"Such as battery_level, or the path of a payload, a colon and the way into it: telemetry:environment/temperature."`
		Since  time.Time `query:"since" doc:"Not before; by default a day before until."`
		Until  time.Time `query:"until" doc:"Before; by default now."`
		Points int       `query:"points" minimum:"1" maximum:"2000" default:"300" doc:"At most so many stretches of equal length."`
	}
	type seriesReply struct {
		Points []tandem.SeriesPoint `json:"points"`
	}
	handle(a, route("devices-series", http.MethodGet, "/api/v1/devices/{id}/series", "devices", "Give the numbers that a device reported, downsampled for a plot"),
		func(ctx context.Context, in *seriesInput) (*body[seriesReply], error) {
			c := callerOf(ctx)
			if in.Until.IsZero() {
				in.Until = a.options.Clock()
			}
			if in.Since.IsZero() {
				in.Since = in.Until.Add(-24 * time.Hour)
			}
			points, err := a.options.Registry.DeviceSeries(ctx, c.actor, c.org, in.ID, in.Path, in.Since, in.Until, in.Points)
			return with(seriesReply{list(points)}, err)
		})
}
