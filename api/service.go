package api

import (
	"cmp"
	"context"
	"net/http"

	"tandem"
	"tandem/registry"
)

// serviceSettings are a service's settings as they are sent; what is left out stays as it is.
type serviceSettings struct {
	BaseURL           *string                     `json:"base_url,omitempty" maxLength:"500"`
	Project           *string                     `json:"project,omitempty" maxLength:"255"`
	Fields            *[]string                   `json:"fields,omitempty" maxItems:"20" doc:"Which fields are synced: name, enabled, hardware_ids, tags, blueprint, cohort, metadata, status, battery, location, firmware."`
	Direction         *tandem.Direction           `json:"sync_direction,omitempty" enum:"import,export,bidirectional"`
	Strategy          *tandem.Strategy            `json:"conflict_resolution,omitempty" enum:"manual,local_wins,remote_wins,newest_wins"`
	FieldStrategies   *map[string]tandem.Strategy `json:"field_strategies,omitempty" doc:"By field, where it differs."`
	CreateLocal       *bool                       `json:"create_local,omitempty"`
	CreateRemote      *bool                       `json:"create_remote,omitempty"`
	OnRemoteDelete    *tandem.OnRemoteDelete      `json:"on_remote_delete,omitempty" enum:"unlink,delete,recreate"`
	DeleteRemote      *bool                       `json:"delete_remote,omitempty"`
	Guards            *tandem.Guards              `json:"guards,omitempty"`
	Paths             *tandem.Paths               `json:"paths,omitempty"`
	Filters           *tandem.Filters             `json:"filters,omitempty"`
	RequestsPerMinute *int                        `json:"requests_per_minute,omitempty" minimum:"1"`
	Concurrency       *int                        `json:"concurrency,omitempty" minimum:"1"`
	StateReads        *int                        `json:"state_reads,omitempty" minimum:"0"`
	GatewayPSK        *bool                       `json:"gateway_psk,omitempty" doc:"Lets the devices' pre-shared keys there be used here too."`
	OnlineWindow      *int                        `json:"online_window,omitempty" minimum:"1" doc:"Seconds."`
}

// apply puts what was sent into settings.
func (s *serviceSettings) apply(c *tandem.ServiceConfig) {
	put(&c.BaseURL, s.BaseURL)
	put(&c.Project, s.Project)
	put(&c.Direction, s.Direction)
	put(&c.Strategy, s.Strategy)
	put(&c.FieldStrategies, s.FieldStrategies)
	put(&c.CreateLocal, s.CreateLocal)
	put(&c.CreateRemote, s.CreateRemote)
	put(&c.OnRemoteDelete, s.OnRemoteDelete)
	put(&c.DeleteRemote, s.DeleteRemote)
	put(&c.Guards, s.Guards)
	put(&c.Paths, s.Paths)
	put(&c.Filters, s.Filters)
	put(&c.RequestsPerMinute, s.RequestsPerMinute)
	put(&c.Concurrency, s.Concurrency)
	put(&c.StateReads, s.StateReads)
	put(&c.OnlineWindow, s.OnlineWindow)
	put(&c.GatewayPSK, s.GatewayPSK)
	if s.Fields != nil {
		c.Fields = tandem.NoFields
		for _, name := range *s.Fields {
			if f, err := tandem.ParseField(name); err == nil { // check has looked
				c.Fields = c.Fields.With(f)
			}
		}
	}
}

// check refuses fields that there are not.
func (s *serviceSettings) check() error {
	for _, name := range value(s.Fields) {
		if _, err := tandem.ParseField(name); err != nil {
			return err
		}
	}
	return nil
}

func put[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

// ServiceFields are what people set of a service; what is left out stays as it is.
type ServiceFields struct {
	Name         *string          `json:"name,omitempty" maxLength:"100"`
	Config       *serviceSettings `json:"config,omitempty"`
	Key          *string          `json:"api_key,omitempty" maxLength:"4096" doc:"The project's API key. It is stored encrypted and never replied."`
	IsActive     *bool            `json:"is_active,omitempty"`
	SyncEnabled  *bool            `json:"sync_enabled,omitempty" doc:"Automatic sync."`
	SyncInterval *int             `json:"sync_interval_seconds,omitempty" minimum:"60"`
}

// edit makes an edit of the fields.
func (a *API) serviceEdit(f *ServiceFields) (registry.ServiceEdit, error) {
	e := registry.ServiceEdit{Name: f.Name, IsActive: f.IsActive, SyncEnabled: f.SyncEnabled, SyncInterval: f.SyncInterval}
	if f.Config != nil {
		if err := f.Config.check(); err != nil {
			return e, err
		}
		e.Config = f.Config.apply
	}
	if f.Key != nil {
		e.Key = a.sealKey(*f.Key)
	}
	return e, nil
}

// sealKey encrypts a key for the service's row.
func (a *API) sealKey(key string) registry.Seal {
	return func(org, id string) ([]byte, error) {
		if key == "" {
			return nil, tandem.Errorf(tandem.Invalid, "seal key", "", "the API key is empty").WithHint("make one in the Golioth console, under the project's API keys")
		}
		return a.options.Registry.Vault.Seal(registry.Place{OrganizationID: org, Table: "device_services", Column: "credentials", Row: id}, []byte(key))
	}
}

// serviceReply is a service with whether its settings may run.
type serviceReply struct {
	tandem.Service
	Approved     bool `json:"settings_approved" doc:"A person has let these settings run; otherwise a scheduled run waits for approval."`
	EverApproved bool `json:"ever_approved" doc:"There was a run that a person let."`
}

// checkedKey seals a key that the project takes.
func (a *API) checkedKey(ctx context.Context, add registry.NewService) registry.Seal {
	return func(org, id string) ([]byte, error) {
		sealed, err := add.Key(org, id)
		if err != nil || a.options.Registry.Remote == nil {
			return sealed, err
		}
		_, err = a.options.Registry.Remote(ctx, tandem.Service{ID: id, OrganizationID: org, Name: add.Name, ServiceType: add.ServiceType, Config: add.Config, Credentials: sealed})
		return sealed, err
	}
}

func (a *API) serviceReply(s tandem.Service) serviceReply {
	return serviceReply{Service: s, Approved: a.options.Registry.Engine.Approved(&s), EverApproved: s.ApprovedConfig != ""}
}

func (a *API) serviceReplies(all []tandem.Service) []serviceReply {
	replies := make([]serviceReply, 0, len(all))
	for i := range all {
		replies = append(replies, a.serviceReply(all[i]))
	}
	return replies
}

func (a *API) taggedService(s tandem.Service, err error) (*tagged[serviceReply], error) {
	if err != nil {
		return nil, err
	}
	return &tagged[serviceReply]{versionTag(s.Version), a.serviceReply(s)}, nil
}

func (a *API) services() {
	type listInput struct {
		OrganizationParam
		Listing
		Selection
		Sort serviceSort `query:"sort"`
	}
	type serviceList struct {
		Services   []serviceReply    `json:"services"`
		Pagination tandem.Pagination `json:"pagination"`
	}
	handle(a, route("services-list", http.MethodGet, "/api/v1/services", "services", "List services, by name"),
		func(ctx context.Context, in *listInput) (*body[serviceList], error) {
			c := callerOf(ctx)
			all, err := a.options.Registry.Services(ctx, c.actor, c.org)
			page, err := sortedPage(tandem.ServiceOrder, all, string(in.Sort), in.Listing, err)
			return with(serviceList{a.serviceReplies(page), in.pagination(len(all))}, err)
		})

	type showInput struct {
		ServiceByID
		Selection
	}
	handle(a, route("services-show", http.MethodGet, "/api/v1/services/{id}", "services", "Show a service"),
		func(ctx context.Context, in *showInput) (*tagged[serviceReply], error) {
			c := callerOf(ctx)
			return a.taggedService(a.options.Registry.Service(ctx, c.actor, c.org, in.ID))
		})

	type serviceCreateInput struct {
		InOrg
		Once
		Body struct {
			ServiceFields
			Type  string `json:"service_type,omitempty" enum:"golioth" default:"golioth"`
			Check bool   `json:"check,omitempty" doc:"Ask the project first, and connect nothing when it does not answer or take the key."`
		}
	}
	type createOutput struct {
		ETag     string `header:"ETag" doc:"The version, for If-Match."`
		Location string `header:"Location" doc:"The service."`
		Body     serviceReply
	}
	handle(a, created(describing(route("services-create", http.MethodPost, "/api/v1/services", "services", "Connect a project"),
		"With `check` the project is asked first; later `POST services/{id}/test` asks it. Automatic sync is off until it is turned on.")),
		func(ctx context.Context, in *serviceCreateInput) (*createOutput, error) {
			c, b := callerOf(ctx), &in.Body
			edit, err := a.serviceEdit(&b.ServiceFields)
			if err != nil {
				return nil, err
			}
			config := tandem.DefaultServiceConfig()
			config.BaseURL = "https://api.golioth.io"
			if edit.Config != nil {
				edit.Config(&config)
			}
			add := registry.NewService{Name: value(b.Name), ServiceType: b.Type, Config: config, Key: a.sealKey(value(b.Key))}
			if b.Check {
				add.Key = a.checkedKey(ctx, add)
			}
			s, err := a.options.Registry.AddService(ctx, c.actor, c.org, add)
			if err != nil {
				return nil, err
			}
			if s, err = a.switched(ctx, c, s, edit); err != nil {
				return nil, err
			}
			return &createOutput{versionTag(s.Version), "/api/v1/services/" + s.ID, a.serviceReply(s)}, nil
		})
	a.serviceEdits()
}

// switched sets the switches that a new service is to have.
func (a *API) switched(ctx context.Context, c caller, s tandem.Service, edit registry.ServiceEdit) (tandem.Service, error) {
	if edit.IsActive == nil && edit.SyncEnabled == nil && edit.SyncInterval == nil {
		return s, nil
	}
	return a.options.Registry.UpdateService(ctx, c.actor, c.org, s.ID, registry.ServiceEdit{IsActive: edit.IsActive, SyncEnabled: edit.SyncEnabled, SyncInterval: edit.SyncInterval})
}

// ServiceByID names a service.
type ServiceByID struct {
	OrganizationParam
	ID string `path:"id" maxLength:"300" doc:"Its id or name."`
}

func (a *API) serviceEdits() {
	type updateInput struct {
		ServiceByID
		Edit
		Body ServiceFields
	}
	handle(a, describing(route("services-update", http.MethodPatch, "/api/v1/services/{id}", "services", "Change a service"),
		"Members that are left out stay as they are; those of `config` too. What a change alone would do is said by `POST services/{id}/preview`."),
		func(ctx context.Context, in *updateInput) (*tagged[serviceReply], error) {
			c := callerOf(ctx)
			version, err := in.version(ctx)
			if err != nil {
				return nil, err
			}
			edit, err := a.serviceEdit(&in.Body)
			if err != nil {
				return nil, err
			}
			edit.IfVersion = expected(version)
			s, err := a.options.Registry.UpdateService(ctx, c.actor, c.org, in.ID, edit)
			if err != nil {
				return nil, a.staleService(ctx, c, in.ID, err)
			}
			return a.taggedService(s, nil)
		})

	type deleteInput struct {
		ServiceByID
		Edit
	}
	type serviceDeleted struct {
		Deleted  string `json:"deleted" doc:"Its id."`
		Unlinked int    `json:"unlinked" doc:"How many devices were unlinked; they stay on both sides."`
	}
	handle(a, describing(route("services-delete", http.MethodDelete, "/api/v1/services/{id}", "services", "Remove a service"), "Its devices are unlinked and stay on both sides."),
		func(ctx context.Context, in *deleteInput) (*body[serviceDeleted], error) {
			c := callerOf(ctx)
			version, err := in.version(ctx)
			if err != nil {
				return nil, err
			}
			s, unlinked, err := a.options.Registry.DeleteService(ctx, c.actor, c.org, in.ID, named(version)...)
			return with(serviceDeleted{s.ID, unlinked}, a.staleService(ctx, c, in.ID, err))
		})
}

// staleService adds to the refusal of an old version the service as it is now.
func (a *API) staleService(ctx context.Context, c caller, ref string, err error) error {
	if !tandem.Is(err, tandem.Stale) {
		return err
	}
	now, readErr := a.options.Registry.Service(ctx, c.actor, c.org, ref)
	return stale(ctx, err, a.serviceReply(now), now.Version, readErr)
}

// serviceActions registers what is done with a service.
func (a *API) serviceActions() {
	type serviceTested struct {
		Service  string               `json:"service"`
		OK       bool                 `json:"ok"`
		Project  tandem.RemoteProject `json:"project"`
		Duration int64                `json:"duration_ms"`
	}
	handle(a, route("services-test", http.MethodPost, "/api/v1/services/{id}/test", "services", "Ask the project once, with the stored key"),
		func(ctx context.Context, in *ServiceByID) (*body[serviceTested], error) {
			c := callerOf(ctx)
			at, err := a.options.Registry.TestService(ctx, c.actor, c.org, in.ID)
			return with(serviceTested{at.Service.Name, true, at.Project, at.Took.Milliseconds()}, err)
		})

	type tryInput struct {
		OrganizationParam
		Body struct {
			Service string  `json:"service,omitempty" maxLength:"300" doc:"The service, by id or name, whose stored key and settings are meant where none are given; none for a new one."`
			BaseURL string  `json:"base_url,omitempty" maxLength:"300" doc:"The address of the project's platform."`
			Project string  `json:"project,omitempty" maxLength:"200"`
			Key     *string `json:"api_key,omitempty" maxLength:"500" doc:"It is used once and not kept. A stored key goes to the stored address only."`
		}
	}
	handle(a, describing(route("services-try", http.MethodPost, "/api/v1/services/test", "services", "Ask a project once, with settings that are not stored"),
		"As before a service is connected or changed; nothing is kept."),
		func(ctx context.Context, in *tryInput) (*body[serviceTested], error) {
			c, b := callerOf(ctx), &in.Body
			if b.Service != "" && (b.BaseURL == "" || b.Project == "") {
				s, err := a.options.Registry.Service(ctx, c.actor, c.org, b.Service)
				if err != nil {
					return nil, err
				}
				b.BaseURL, b.Project = cmp.Or(b.BaseURL, s.Config.BaseURL), cmp.Or(b.Project, s.Config.Project)
			}
			var key registry.Seal
			if b.Key != nil {
				key = a.sealKey(*b.Key)
			}
			at, err := a.options.Registry.TryService(ctx, c.actor, c.org, b.Service, b.BaseURL, b.Project, key)
			return with(serviceTested{at.Service.Name, err == nil, at.Project, at.Took.Milliseconds()}, err)
		})

	type servicesSwitched struct {
		Services []serviceReply `json:"services"`
	}
	for _, s := range []struct {
		verb, summary string
		active        bool
	}{{"pause", "Stop a service's runs until it is resumed", false}, {"resume", "Let a service run again", true}} {
		handle(a, route("services-"+s.verb, http.MethodPost, "/api/v1/services/{id}/"+s.verb, "services", s.summary),
			func(ctx context.Context, in *ServiceByID) (*tagged[serviceReply], error) {
				c := callerOf(ctx)
				return a.taggedService(a.options.Registry.UpdateService(ctx, c.actor, c.org, in.ID, registry.ServiceEdit{IsActive: &s.active}))
			})
		handle(a, route("services-"+s.verb+"-all", http.MethodPost, "/api/v1/services/"+s.verb, "services", s.summary+", for all of the organization"),
			func(ctx context.Context, _ *InOrg) (*body[servicesSwitched], error) {
				c := callerOf(ctx)
				all, err := a.options.Registry.Services(ctx, c.actor, c.org)
				if err != nil {
					return nil, err
				}
				for i := range all {
					if all[i], err = a.options.Registry.UpdateService(ctx, c.actor, c.org, all[i].ID, registry.ServiceEdit{IsActive: &s.active}); err != nil {
						return nil, err
					}
				}
				return with(servicesSwitched{a.serviceReplies(all)}, nil)
			})
	}

	type previewInput struct {
		ServiceByID
		Body ServiceFields
	}
	type settingsPreview struct {
		Run     tandem.Run      `json:"run" doc:"As a run with the new settings would end; nothing was done."`
		Changes []tandem.Change `json:"changes" doc:"What the new settings alone would do: the first 1000."`
		Total   int             `json:"total"`
		Gone    int             `json:"gone" doc:"How many changes only the settings as they are would make."`
	}
	handle(a, describing(route("services-preview", http.MethodPost, "/api/v1/services/{id}/preview", "services", "Say what a change of settings alone would do"),
		"It lists the whole project, and stores nothing."),
		func(ctx context.Context, in *previewInput) (*body[settingsPreview], error) {
			c := callerOf(ctx)
			edit, err := a.serviceEdit(&in.Body)
			if err != nil {
				return nil, err
			}
			out := settingsPreview{Changes: []tandem.Change{}}
			p, err := a.options.Registry.PreviewSettings(ctx, c.actor, c.org, in.ID, edit, func(change tandem.Change) error {
				if len(out.Changes) < maxDetails {
					out.Changes = append(out.Changes, change)
				}
				return nil
			})
			out.Run, out.Total, out.Gone = p.Run, p.Changes, p.Gone
			return with(out, err)
		})
}
