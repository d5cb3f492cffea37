package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"tandem"
	"tandem/golioth"
	"tandem/secret"
)

// ServiceCmd is `tandem service`.
type ServiceCmd struct {
	Add     ServiceAddCmd     `cmd:"" help:"Connect a Golioth project."`
	List    ServiceListCmd    `cmd:"" help:"List the services."`
	Show    ServiceShowCmd    `cmd:"" help:"Show one with its settings."`
	Update  ServiceUpdateCmd  `cmd:"" help:"Change a service's settings or key."`
	Test    ServiceTestCmd    `cmd:"" help:"Ask the project whether it answers and takes the key."`
	Connect ServiceConnectCmd `cmd:"" help:"Have the project send its messages to a server here, with a webhook; or end that."`
	Pause   ServicePauseCmd   `cmd:"" help:"Stop syncing a service, or all of them."`
	Resume  ServiceResumeCmd  `cmd:"" help:"Go on syncing a paused service."`
	Delete  ServiceDeleteCmd  `cmd:"" help:"Delete a service; its devices stay on both sides."`
}

// Key is how an API key comes in.
type Key struct {
	APIKeyFile string `name:"api-key-file" placeholder:"FILE" help:"The file that holds the API key; - reads standard input. Or set TANDEM_API_KEY; an update takes it from there when it changes nothing else."`
	APIKey     string `name:"api-key" hidden:""`
}

// refuse turns down a key among the arguments.
func (k *Key) refuse() error {
	if k.APIKey == "" {
		return nil
	}
	return &usageError{"an API key must not be an argument: every user of this machine can see it, and the shell keeps it",
		"give it with --api-key-file FILE, --api-key-file - for standard input, or in TANDEM_API_KEY; and make a new key, since this one has been seen"}
}

// ServiceAddCmd is `tandem service add`.
type ServiceAddCmd struct {
	In
	Key
	Settings
	Type      string `arg:"" help:"The platform: golioth."`
	Name      string `required:"" help:"What to call it here."`
	SkipCheck bool   `help:"Do not contact the project now."`
}

// Run connects the project, after one look at whether it answers.
func (c *ServiceAddCmd) Run(ctx context.Context, a *app) error {
	if err := c.refuse(); err != nil {
		return err
	}
	if c.Project == nil {
		return &usageError{"--project is missing", "it is the last part of the project's address in the Golioth console"}
	}
	key, err := a.readKey(c.APIKeyFile)
	if err != nil {
		return err
	}
	config := tandem.DefaultServiceConfig()
	config.BaseURL = golioth.DefaultBaseURL
	if err := c.apply(&config); err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		service, err := s.AddService(ctx, org.ID, newService{Name: c.Name, Type: c.Type, Config: config, Key: key, Check: !c.SkipCheck})
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(service)
		}
		done := "connected %s to the project %s at %s\n"
		if c.SkipCheck {
			done = "added %s for the project %s at %s; the project has not been asked yet\n"
		}
		a.out.printf(done, a.out.bold(clean(service.Name)), clean(service.Config.Project), clean(service.Config.BaseURL))
		a.out.note("next: tandem sync %s --org %s --dry-run   shows what a first sync would do\n", word(service.Name), org.Slug)
		return nil
	})
}

// ServiceListCmd is `tandem service list`.
type ServiceListCmd struct {
	In
	Sort string `enum:"${sort_service}" default:"" help:"${sorts_service}"`
}

// Run lists them.
func (c *ServiceListCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		all, err := s.Services(ctx, org.ID)
		if err != nil {
			return err
		}
		if err := tandem.ServiceOrder.Sort(all, c.Sort); err != nil {
			return err
		}
		if a.out.json {
			if all == nil {
				all = []tandem.Service{}
			}
			return a.out.value(map[string]any{"services": all})
		}
		if len(all) == 0 {
			a.out.printf("no service yet; connect one: tandem service add golioth --org %s --name NAME --project ID --api-key-file FILE\n", org.Slug)
			return nil
		}
		rows := make([][]string, len(all))
		for i := range all {
			v := &all[i]
			rows[i] = []string{clean(v.Name), v.ServiceType, clean(v.Config.Project), serviceState(v), string(v.Config.Direction), string(v.Config.Strategy), a.out.ago(v.LastRunAt)}
		}
		a.out.table([]string{"name", "type", "project", "state", "direction", "conflicts", "last run"}, rows)
		return nil
	})
}

func serviceState(v *tandem.Service) string {
	if !v.IsActive {
		return "paused"
	}
	return string(v.State)
}

// ServiceTestCmd is `tandem service test`.
type ServiceTestCmd struct {
	In
	Key
	Service string `arg:"" optional:"" help:"Its name or id; none, with --project and a key, tries a project that is not connected."`
	Project string `placeholder:"ID" help:"Try this project instead; nothing is stored."`
	BaseURL string `name:"base-url" placeholder:"URL" help:"Try this address instead; nothing is stored."`
}

// Run asks the project once: as it is stored, or as it would be with what the flags say.
func (c *ServiceTestCmd) Run(ctx context.Context, a *app) error {
	if err := c.refuse(); err != nil {
		return err
	}
	if c.Project != "" || c.BaseURL != "" || c.APIKeyFile != "" {
		return c.try(ctx, a)
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.service(ctx, org, c.Service, "its name")
		if err != nil {
			return err
		}
		project, took, err := s.TestService(ctx, org.ID, &v)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"service": v.Name, "ok": true, "project": project, "duration_ms": took.Milliseconds()})
		}
		a.out.printf("%s: the project %s (%s) answers in %s and takes the key\n", clean(v.Name), clean(project.ID), clean(project.Name), duration(took))
		return nil
	})
}

// try asks a project with settings that are not stored.
func (c *ServiceTestCmd) try(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v := tandem.Service{Config: tandem.ServiceConfig{BaseURL: golioth.DefaultBaseURL}}
		if c.Service != "" {
			var err error
			if v, err = s.service(ctx, org, c.Service, "its name"); err != nil {
				return err
			}
		}
		var key *secret.Text
		if _, set := a.LookupEnv("TANDEM_API_KEY"); c.APIKeyFile != "" || c.Service == "" || set {
			read, err := a.readKey(c.APIKeyFile)
			if err != nil {
				return err
			}
			key = &read
		}
		at, project := cmp.Or(c.BaseURL, v.Config.BaseURL), cmp.Or(c.Project, v.Config.Project)
		if project == "" {
			return &usageError{"--project is missing", "it is the last part of the project's address in the Golioth console"}
		}
		is, took, err := s.TryService(ctx, org.ID, v.ID, at, project, key)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"service": v.Name, "ok": true, "project": is, "duration_ms": took.Milliseconds()})
		}
		a.out.printf("the project %s (%s) at %s answers in %s and takes the key; nothing was stored\n", clean(is.ID), clean(is.Name), clean(at), duration(took))
		return nil
	})
}

// checkPin compares a project with the one that a service is pinned to (S21).
func checkPin(v *tandem.Service, is tandem.ProjectIdentity) error {
	if v.Pin == nil || v.Pin.ID == is.ID && v.Pin.OrganizationID == is.OrganizationID && v.Pin.CreatedAt.Equal(is.CreatedAt) {
		return nil
	}
	return tandem.Errorf(tandem.Mismatch, "check project", v.Name, "the project at this address is another one than before: it was made %s, the old one %s",
		is.CreatedAt.Format(time.DateTime), v.Pin.CreatedAt.Format(time.DateTime)).
		WithHint("if that is meant: tandem service update %s --org %s --confirm-project, which unlinks its devices first; they stay", word(v.Name), word(v.OrganizationID))
}

// ServiceDeleteCmd is `tandem service delete`.
type ServiceDeleteCmd struct {
	In
	Service string `arg:"" help:"Its name or id."`
	Yes     bool   `help:"Do not ask."`
}

// Run deletes it.
func (c *ServiceDeleteCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.service(ctx, org, c.Service, "its name")
		if err != nil {
			return err
		}
		linked, err := s.LinkedCount(ctx, org.ID, v.ID)
		if err != nil {
			return err
		}
		if err := a.confirm(c.Yes, fmt.Sprintf("delete the service %s and unlink its %s? The devices stay on both sides", clean(v.Name), devices(linked))); err != nil {
			return err
		}
		v, unlinked, err := s.DeleteService(ctx, org.ID, v.ID, v.Version)
		if err != nil {
			return err
		}
		if a.out.json {
			return a.out.value(map[string]any{"deleted": v.ID, "unlinked": unlinked})
		}
		a.out.printf("deleted the service %s; %s unlinked\n", clean(v.Name), devices(unlinked))
		return nil
	})
}
