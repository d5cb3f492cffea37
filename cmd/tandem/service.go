package main

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"tandem"
	"tandem/golioth"
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

// Settings are a service's settings as flags; what is not given stays as it is.
type Settings struct {
	BaseURL           *string           `name:"base-url" placeholder:"URL" help:"Where the API is (https://api.golioth.io)."`
	Project           *string           `help:"The project's id."`
	Fields            []string          `help:"The fields to sync: name, enabled, hardware_ids, tags, blueprint, cohort, metadata, status, battery, location, firmware."`
	Direction         *string           `help:"import, export or bidirectional (bidirectional)."`
	Conflicts         *string           `help:"What settles a conflict: manual, local_wins, remote_wins or newest_wins (manual)."`
	FieldConflicts    map[string]string `placeholder:"FIELD=STRATEGY" help:"The same for single fields, such as tags=local_wins."`
	CreateLocal       *bool             `negatable:"" help:"Create devices here that are only there (on)."`
	CreateRemote      *bool             `negatable:"" help:"Create devices there that are only here (off)."`
	OnRemoteDelete    *string           `help:"When a device was deleted there: unlink, delete or recreate (unlink)."`
	DeleteRemote      *bool             `negatable:"" help:"Delete devices there that were deleted here (off)."`
	MaxDelete         *float64          `placeholder:"RATIO" help:"Share of the linked devices that may be deleted or unlinked in a day before a person is asked (0.1)."`
	MaxChange         *float64          `placeholder:"RATIO" help:"The same for changes of enabled and cohort on the service (0.1)."`
	MetadataPath      *string           `placeholder:"PATH" help:"Where metadata is kept, such as state:metadata; empty is off."`
	BatteryPath       *string           `placeholder:"PATH" help:"Where the battery level is, such as stream:battery; empty is off."`
	LocationPath      *string           `placeholder:"PATH" help:"Where the location is, such as state:location; empty is off."`
	FilterName        *string           `placeholder:"PATTERN" help:"Import only new devices whose name matches, such as gw-*."`
	FilterTag         Listed            `placeholder:"TAG" help:"Import only new devices that have all these tags."`
	FilterBlueprint   *string           `placeholder:"NAME" help:"Import only new devices of this blueprint."`
	FilterCohort      *string           `placeholder:"NAME" help:"Import only new devices of this cohort."`
	RequestsPerMinute *int              `help:"The most requests a minute, over all processes."`
	Concurrency       *int              `help:"The most requests at once, over all processes."`
	StateReads        *int              `help:"The most device-by-device state reads of one run."`
	OnlineWindow      *time.Duration    `help:"How recent a report makes a device online (15m)."`
}

// apply puts the given flags into a service's settings.
func (f *Settings) apply(c *tandem.ServiceConfig) error {
	put(&c.BaseURL, f.BaseURL)
	put(&c.Project, f.Project)
	put((*string)(&c.Direction), f.Direction)
	put((*string)(&c.Strategy), f.Conflicts)
	put(&c.CreateLocal, f.CreateLocal)
	put(&c.CreateRemote, f.CreateRemote)
	put((*string)(&c.OnRemoteDelete), f.OnRemoteDelete)
	put(&c.DeleteRemote, f.DeleteRemote)
	put(&c.Guards.MaxDelete, f.MaxDelete)
	put(&c.Guards.MaxChange, f.MaxChange)
	put(&c.Paths.Metadata, f.MetadataPath)
	put(&c.Paths.Battery, f.BatteryPath)
	put(&c.Paths.Location, f.LocationPath)
	put(&c.Filters.Name, f.FilterName)
	put(&c.Filters.Tags, f.FilterTag.Values)
	put(&c.Filters.Blueprint, f.FilterBlueprint)
	put(&c.Filters.Cohort, f.FilterCohort)
	put(&c.RequestsPerMinute, f.RequestsPerMinute)
	put(&c.Concurrency, f.Concurrency)
	put(&c.StateReads, f.StateReads)
	if f.OnlineWindow != nil {
		c.OnlineWindow = int(f.OnlineWindow.Seconds())
	}
	if f.Fields != nil {
		c.Fields = tandem.NoFields
		for _, name := range f.Fields {
			field, err := tandem.ParseField(name)
			if err != nil {
				return err
			}
			c.Fields = c.Fields.With(field)
		}
	}
	if f.FieldConflicts != nil {
		c.FieldStrategies = map[string]tandem.Strategy{}
		for field, strategy := range f.FieldConflicts {
			c.FieldStrategies[field] = tandem.Strategy(strategy)
		}
	}
	return nil
}

func put[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
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

// ServiceShowCmd is `tandem service show`.
type ServiceShowCmd struct {
	In
	Service string `arg:"" optional:"" help:"Its name or id."`
}

// Run shows it.
func (c *ServiceShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		v, err := s.service(ctx, org, c.Service, "its name")
		if err != nil {
			return err
		}
		return a.showService(ctx, s, org, &v)
	})
}

func (a *app) showService(ctx context.Context, s *desk, org tandem.Organization, v *tandem.Service) error {
	if a.out.json {
		return a.out.value(v)
	}
	linked, err := s.LinkedCount(ctx, org.ID, v.ID)
	if err != nil {
		return err
	}
	c := &v.Config
	byField := make([]string, 0, len(c.FieldStrategies))
	for field, strategy := range c.FieldStrategies {
		byField = append(byField, field+" "+string(strategy))
	}
	slices.Sort(byField)
	pin := ""
	if v.Pin != nil {
		pin = fmt.Sprintf("%s, made %s", clean(v.Pin.ID), v.Pin.CreatedAt.Format(time.DateOnly))
	}
	a.out.pairs("name", clean(v.Name), "id", v.ID, "type", v.ServiceType, "project", clean(c.Project), "pinned to", pin, "address", clean(c.BaseURL),
		"API key", "stored encrypted", "state", a.stateText(v), "linked devices", number(linked),
		"last run", a.out.ago(v.LastRunAt), "fields", list(c.Fields.Names()), "direction", string(c.Direction),
		"conflicts", string(c.Strategy), "by field", cmp.Or(strings.Join(byField, ", "), "none"), "creates here", yes(c.CreateLocal), "creates there", yes(c.CreateRemote),
		"deleted there", string(c.OnRemoteDelete), "deletes there", yes(c.DeleteRemote),
		"guards", fmt.Sprintf("%g of the devices deleted, %g changed in a day", c.Guards.MaxDelete, c.Guards.MaxChange),
		"metadata path", orOff(c.Paths.Metadata), "battery path", orOff(c.Paths.Battery), "location path", orOff(c.Paths.Location),
		"imports only", cmp.Or(filterText(&c.Filters), "no filter: every new device"),
		"budget", fmt.Sprintf("%s requests a minute, %d at once", number(c.RequestsPerMinute), c.Concurrency),
		"state reads", number(c.StateReads)+" a run at most",
		"online window", duration(time.Duration(c.OnlineWindow)*time.Second),
		"automatic sync", map[bool]string{true: "on", false: "off"}[v.SyncEnabled],
		"interval", duration(time.Duration(v.SyncInterval)*time.Second), "next run", a.nextRun(v), "failed in a row", failures(v))
	a.out.pairs(webhookPairs(v)...)
	return nil
}

// stateText says how a service is, why, and when it is tried next.
func (a *app) stateText(v *tandem.Service) string {
	text := serviceState(v)
	if v.StateReason != "" {
		text += ": " + clean(v.StateReason)
	}
	if v.RetryAt != nil && v.State != tandem.ServiceOK {
		text += "; the next try by itself: " + v.RetryAt.UTC().Format(time.DateTime) + " UTC, " + a.out.since(*v.RetryAt)
	}
	return text
}

// nextRun says when the schedule starts the next run, where it does.
func (a *app) nextRun(v *tandem.Service) string {
	switch {
	case !v.IsActive:
		return "none: the service is paused"
	case !v.SyncEnabled:
		return ""
	case v.State == tandem.ServiceRejected || v.State == tandem.ServiceLocked:
		return "none until the key is right"
	case v.NextSyncAt == nil:
		return "as soon as a server runs"
	}
	return v.NextSyncAt.UTC().Format(time.DateTime) + " UTC, " + a.out.since(*v.NextSyncAt)
}

func failures(v *tandem.Service) string {
	if v.SyncFailures == 0 {
		return ""
	}
	return number(v.SyncFailures)
}

func orOff(path string) string {
	if path == "" {
		return "off"
	}
	return clean(path)
}

func filterText(f *tandem.Filters) string {
	var parts []string
	for _, p := range [][2]string{{"name", f.Name}, {"tags", strings.Join(f.Tags, "+")}, {"blueprint", f.Blueprint}, {"cohort", f.Cohort}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+clean(p[1]))
		}
	}
	return strings.Join(parts, ", ")
}

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

// ServiceTestCmd is `tandem service test`.
type ServiceTestCmd struct {
	In
	Service string `arg:"" optional:"" help:"Its name or id."`
}

// Run asks the project once.
func (c *ServiceTestCmd) Run(ctx context.Context, a *app) error {
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

// checkPin compares a project with the one that a service is pinned to (S21).
func checkPin(v *tandem.Service, is tandem.ProjectIdentity) error {
	if v.Pin == nil || v.Pin.ID == is.ID && v.Pin.OrganizationID == is.OrganizationID && v.Pin.CreatedAt.Equal(is.CreatedAt) {
		return nil
	}
	return tandem.Errorf(tandem.Mismatch, "check project", v.Name, "the project at this address is another one than before: it was made %s, the old one %s",
		is.CreatedAt.Format(time.DateTime), v.Pin.CreatedAt.Format(time.DateTime)).
		WithHint("if that is meant: tandem service update %s --org %s --confirm-project, which unlinks its devices first; they stay", word(v.Name), word(v.OrganizationID))
}

// ServicePauseCmd is `tandem service pause`.
type ServicePauseCmd struct {
	In
	Service string `arg:"" optional:"" help:"Its name or id."`
	All     bool   `help:"Pause every service of the organization."`
}

// Run pauses.
func (c *ServicePauseCmd) Run(ctx context.Context, a *app) error {
	return a.switchServices(ctx, c.In, c.Service, c.All, false)
}

// ServiceResumeCmd is `tandem service resume`.
type ServiceResumeCmd struct {
	In
	Service string `arg:"" optional:"" help:"Its name or id."`
	All     bool   `help:"Resume every service of the organization."`
}

// Run resumes.
func (c *ServiceResumeCmd) Run(ctx context.Context, a *app) error {
	return a.switchServices(ctx, c.In, c.Service, c.All, true)
}

func (a *app) switchServices(ctx context.Context, in In, ref string, all, active bool) error {
	return a.inOrganization(ctx, in, func(s *desk, org tandem.Organization) error {
		var services []tandem.Service
		if all {
			found, err := s.Services(ctx, org.ID)
			if err != nil {
				return err
			}
			services = found
		} else {
			one, err := s.service(ctx, org, ref, "its name, or --all")
			if err != nil {
				return err
			}
			services = []tandem.Service{one}
		}
		done := []tandem.Service{}
		for i := range services {
			v, err := s.UpdateService(ctx, org.ID, services[i].ID, serviceEdit{IsActive: &active})
			if err != nil {
				return err
			}
			done = append(done, v)
			a.out.printf("%s %s\n", map[bool]string{true: "resumed", false: "paused"}[active], clean(v.Name))
		}
		if a.out.json {
			return a.out.value(map[string]any{"services": done})
		}
		return nil
	})
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
