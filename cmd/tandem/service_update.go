package main

import (
	"context"
	"reflect"
	"time"

	"tandem"
)

// ServiceUpdateCmd is `tandem service update`.
type ServiceUpdateCmd struct {
	In
	Key
	Settings
	WebhookSettings
	Service     string         `arg:"" optional:"" help:"Its name or id."`
	Name        *string        `help:"The new name."`
	SyncEnabled *bool          `negatable:"" help:"Sync by itself, once a server runs (off)."`
	Interval    *time.Duration `help:"How often (5m), at least 1m."`

	ConfirmProject bool `help:"Let the service have another project: all its devices are unlinked first (they stay here), and the next sync matches anew."`
}

// Run changes the settings; what they do is shown before the next run does it (S28).
func (c *ServiceUpdateCmd) Run(ctx context.Context, a *app) error {
	if err := c.refuse(); err != nil {
		return err
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.service(ctx, org, c.Service, "its name")
		if err != nil {
			return err
		}
		check := v.Config
		if err := c.apply(&check); err != nil {
			return err
		}
		edit := serviceEdit{Name: c.Name, SyncEnabled: c.SyncEnabled, Config: func(config *tandem.ServiceConfig) {
			_ = c.apply(config) // checked just above
		}}
		if c.Interval != nil {
			seconds := int(c.Interval.Seconds())
			edit.SyncInterval = &seconds
		}
		fromEnv, err := c.newKey(s, &v, &edit)
		if err != nil {
			return err
		}
		unchanged := edit.Key == nil && !c.ConfirmProject && c.same(&v, &check)
		if unchanged && c.WebhookSettings.none() {
			if a.out.json {
				return a.out.value(v)
			}
			a.out.printf("nothing to change: %s is like that already\n", clean(v.Name))
			return nil
		}
		if c.ConfirmProject {
			detached, err := s.ConfirmProject(ctx, org.ID, v.ID)
			if err != nil {
				return err
			}
			a.out.note("%d devices are not linked to %s any more; the next sync matches them with its project anew\n", detached, clean(v.Name))
		}
		if !unchanged {
			if v, err = s.UpdateService(ctx, org.ID, v.ID, edit); err != nil {
				return err
			}
		}
		if !c.WebhookSettings.none() {
			return c.updateWebhook(ctx, s, org, &v)
		}
		if a.out.json {
			return a.out.value(v)
		}
		if fromEnv {
			a.out.printf("updated the service %s with the key from TANDEM_API_KEY\n", clean(v.Name))
		} else {
			a.out.printf("updated the service %s\n", clean(v.Name))
		}
		a.out.note("`tandem sync %s --org %s --dry-run` shows what the settings do now\n", word(v.Name), org.Slug)
		return nil
	})
}

// bare reports whether the command gives nothing to change but, maybe, a key in the environment.
func (c *ServiceUpdateCmd) bare() bool {
	return reflect.ValueOf(c.Settings).IsZero() && c.WebhookSettings.none() && c.APIKeyFile == "" && c.Name == nil && c.SyncEnabled == nil && c.Interval == nil && !c.ConfirmProject
}

// same reports whether the settings that the command asks for are those that the service has.
func (c *ServiceUpdateCmd) same(v *tandem.Service, wanted *tandem.ServiceConfig) bool {
	return reflect.DeepEqual(&v.Config, wanted) && (c.Name == nil || *c.Name == v.Name) && (c.SyncEnabled == nil || *c.SyncEnabled == v.SyncEnabled) &&
		(c.Interval == nil || *c.Interval == time.Duration(v.SyncInterval)*time.Second)
}

// newKey puts the key that is given into the edit, unless the service has it already. A variable that stands in
// an environment for good must not give one service the key of another: TANDEM_API_KEY counts only where
// nothing else is changed.
func (c *ServiceUpdateCmd) newKey(s *desk, v *tandem.Service, edit *serviceEdit) (fromEnv bool, err error) {
	_, set := s.LookupEnv("TANDEM_API_KEY")
	switch {
	case c.APIKeyFile != "":
	case set && c.bare():
		fromEnv = true
	case c.bare():
		return false, &usageError{"nothing to change", "give a setting, such as --direction import, or a key with --api-key-file FILE"}
	default:
		return false, nil
	}
	key, err := s.readKey(c.APIKeyFile)
	if err != nil {
		return false, err
	}
	if s.HasKey(v, key) {
		return false, nil
	}
	edit.Key = &key
	return fromEnv, nil
}
