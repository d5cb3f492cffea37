package api

import (
	"context"
	"net/http"

	"tandem"
	"tandem/registry"
)

// serviceWebhook registers how a service's deliveries come, and whose project it is.
func (a *API) serviceWebhook() {
	type serviceConnectInput struct {
		ServiceByID
		Body *struct {
			PublicURL string   `json:"public_url,omitempty" maxLength:"500" doc:"Where the project reaches this server; its own public URL when left out."`
			Paths     []string `json:"paths,omitempty" maxItems:"20" doc:"Only these paths of the project's messages."`
			DryRun    bool     `json:"dry_run,omitempty" doc:"Say what would be made, and make nothing."`
		} `required:"false"`
	}
	handle(a, describing(route("services-connect", http.MethodPost, "/api/v1/services/{id}/connect", "services", "Have the project's messages posted here"),
		"Makes a secret and a pipeline in the project. Connecting again changes the secret."),
		func(ctx context.Context, in *serviceConnectInput) (*body[registry.Connection], error) {
			c := callerOf(ctx)
			url, dry, paths := a.options.PublicURL, false, []string(nil)
			if b := in.Body; b != nil {
				dry, paths = b.DryRun, b.Paths
				if b.PublicURL != "" {
					url = b.PublicURL
				}
			}
			return with(a.options.Registry.ConnectWebhook(ctx, c.actor, c.org, in.ID, url, dry, paths...))
		})

	handle(a, describing(route("services-disconnect", http.MethodPost, "/api/v1/services/{id}/disconnect", "services", "Take the webhook out of the project again"),
		"No delivery is accepted any more. It can be repeated until everything is gone."),
		func(ctx context.Context, in *ServiceByID) (*tagged[serviceReply], error) {
			c := callerOf(ctx)
			return a.taggedService(a.options.Registry.DisconnectWebhook(ctx, c.actor, c.org, in.ID))
		})

	type serviceWebhookInput struct {
		ServiceByID
		Edit
		Body struct {
			Scheme    *tandem.WebhookScheme `json:"scheme,omitempty" enum:"signature,standard,header"`
			Header    *string               `json:"header,omitempty" maxLength:"64" doc:"Of the header scheme."`
			Paths     *map[string]string    `json:"paths,omitempty" doc:"Where a payload holds battery_level, location, lat, lon, firmware, online: a path such as battery/level, or sensor:battery/level."`
			NewSecret bool                  `json:"new_secret,omitempty" doc:"Make a secret; the one before goes on being accepted until it is dropped."`
			Secret    *string               `json:"secret,omitempty" maxLength:"512" doc:"Or take this one."`
			DropOld   bool                  `json:"drop_old,omitempty" doc:"Accept only the newest from now on."`
		}
	}
	type webhookReply struct {
		tandem.Service
		Secret string `json:"secret,omitempty" doc:"The secret that was made; it is shown this once."`
	}
	handle(a, route("services-webhook", http.MethodPatch, "/api/v1/services/{id}/webhook", "services", "Change how deliveries are authenticated and read"),
		func(ctx context.Context, in *serviceWebhookInput) (*tagged[webhookReply], error) {
			c, b := callerOf(ctx), &in.Body
			version, err := in.version(ctx)
			if err != nil {
				return nil, err
			}
			s, secret, err := a.options.Registry.UpdateWebhook(ctx, c.actor, c.org, in.ID, registry.WebhookEdit{Scheme: b.Scheme, Header: b.Header, Paths: b.Paths, NewSecret: b.NewSecret,
				Secret: []byte(value(b.Secret)), DropOld: b.DropOld, IfVersion: expected(version)})
			if err != nil {
				return nil, a.staleService(ctx, c, in.ID, err)
			}
			return &tagged[webhookReply]{versionTag(s.Version), webhookReply{s, secret}}, nil
		})

	type confirmed struct {
		ServiceID string `json:"service_id"`
		Unlinked  int    `json:"unlinked"`
	}
	handle(a, describing(route("services-confirm-project", http.MethodPost, "/api/v1/services/{id}/confirm-project", "services", "Let the service have another project behind it"),
		"All its devices are unlinked first; they stay here as they are."),
		func(ctx context.Context, in *ServiceByID) (*body[confirmed], error) {
			c := callerOf(ctx)
			s, err := a.options.Registry.Service(ctx, c.actor, c.org, in.ID)
			if err != nil {
				return nil, err
			}
			n, err := a.options.Registry.ConfirmProject(ctx, c.actor, c.org, s.ID)
			return with(confirmed{s.ID, n}, err)
		})
}
