package registry

import (
	"bytes"
	"context"
	"maps"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"tandem"
)

// Seal encrypts a service's key for its row; the registry never sees the key itself.
type Seal func(organizationID, serviceID string) ([]byte, error)

// ServiceEdit names what is to change of a service; nil leaves a value as it is.
type ServiceEdit struct {
	Name         *string
	Config       func(*tandem.ServiceConfig) // nil leaves the settings
	Key          Seal                        // nil keeps the key
	IsActive     *bool
	SyncEnabled  *bool
	SyncInterval *int   // seconds
	IfVersion    *int64 // Stale, with the service as it is, when it is at another version
}

// NewService is what a service is made of.
type NewService struct {
	Name        string
	ServiceType string // "golioth"
	Config      tandem.ServiceConfig
	Key         Seal
}

// AddService connects a project. Exists when the name is taken or the project is connected already (S19).
func (r *Registry) AddService(ctx context.Context, actor Actor, org string, add NewService) (tandem.Service, error) {
	if err := actor.may(org, ManageServices); err != nil {
		return tandem.Service{}, err
	}
	now := r.Clock()
	s := tandem.Service{ID: r.NewID(), OrganizationID: org, Name: add.Name, ServiceType: add.ServiceType, Config: add.Config,
		IsActive: true, SyncInterval: 300, State: tandem.ServiceOK, Version: 1, CreatedAt: now, UpdatedAt: now}
	if err := r.checkService(ctx, &s); err != nil {
		return s, err
	}
	s.Config.PrivateAddress = actor.Root
	if err := r.mayCall(ctx, actor, s.Config.BaseURL); err != nil {
		return s, err
	}
	sealed, err := add.Key(org, s.ID)
	if err != nil {
		return s, err
	}
	s.Credentials = sealed
	return s, r.Store.CreateService(ctx, org, s, r.note(actor, org, "service.create", serviceThing(&s), nil, serviceAudit(&s)))
}

// Services lists an organization's services by name.
func (r *Registry) Services(ctx context.Context, actor Actor, org string) ([]tandem.Service, error) {
	if err := actor.may(org, ReadServices); err != nil {
		return nil, err
	}
	return r.Store.Services(ctx, org)
}

// Service finds one by id or name.
func (r *Registry) Service(ctx context.Context, actor Actor, org, ref string) (tandem.Service, error) {
	if err := actor.may(org, ReadServices); err != nil {
		return tandem.Service{}, err
	}
	return r.Store.Service(ctx, org, ref)
}

// UpdateService changes a service's settings, switches or key. A new key clears a refused or locked state (S31).
// Another project is refused while devices are linked: the links belong to the old one (S21). The key, the address
// and the project decide whose devices these are: they need the permission to manage services.
func (r *Registry) UpdateService(ctx context.Context, actor Actor, org, ref string, edit ServiceEdit) (tandem.Service, error) {
	if err := actor.may(org, UpdateServices); err != nil {
		return tandem.Service{}, err
	}
	if edit.Key != nil {
		if err := actor.may(org, ManageServices); err != nil {
			return tandem.Service{}, err
		}
	}
	var s tandem.Service
	err := retryMoved(func() error {
		before, err := r.Store.Service(ctx, org, ref)
		if err != nil {
			return err
		}
		s = before
		if err := expect("update service", before.Name, before.Version, edit.IfVersion); err != nil {
			return err
		}
		if err := r.decideService(ctx, actor, &before, &s, edit); err != nil {
			return err
		}
		if edit.Key != nil {
			if s.Credentials, err = edit.Key(org, s.ID); err != nil {
				return err
			}
		}
		s.UpdatedAt = r.Clock()
		return r.storeService(ctx, actor, org, "service.update", &before, &s)
	})
	return s, err
}

// decideService makes after of before and an edit, and refuses what is wrong with it.
func (r *Registry) decideService(ctx context.Context, actor Actor, before, after *tandem.Service, edit ServiceEdit) error {
	set(&after.Name, edit.Name)
	set(&after.IsActive, edit.IsActive)
	set(&after.SyncEnabled, edit.SyncEnabled)
	set(&after.SyncInterval, edit.SyncInterval)
	if edit.Config != nil {
		after.Config = copied(before.Config)
		edit.Config(&after.Config)
		after.Config.PrivateAddress = before.Config.PrivateAddress
		if !reflect.DeepEqual(before.Config.Webhook, after.Config.Webhook) {
			return invalid("webhook", "settings are changed on their own, not with the others")
		}
		if before.Config.Project != after.Config.Project || !sameBase(before.Config.BaseURL, after.Config.BaseURL) {
			if err := actor.may(after.OrganizationID, ManageServices); err != nil {
				return err
			}
		}
		if !sameBase(before.Config.BaseURL, after.Config.BaseURL) {
			after.Config.PrivateAddress = actor.Root
			if err := r.mayMove(ctx, actor, after, edit.Key != nil); err != nil {
				return err
			}
		}
	}
	if err := r.checkService(ctx, after); err != nil {
		return err
	}
	return r.checkProjectChange(ctx, after.OrganizationID, before, after)
}

// mayMove refuses an address to which the stored key would go on its own: who may change the address may not read the
// key by it. The command line has the key anyway.
func (r *Registry) mayMove(ctx context.Context, actor Actor, s *tandem.Service, newKey bool) error {
	if !actor.Root && !newKey {
		return tandem.Errorf(tandem.Invalid, "update service", s.Name, "another address needs the API key again: the stored one is not sent there").
			WithHint("give the key together with the address")
	}
	return r.mayCall(ctx, actor, s.Config.BaseURL)
}

// mayCall refuses an address that came over the network and leads where it should not.
func (r *Registry) mayCall(ctx context.Context, actor Actor, url string) error {
	if actor.Root || r.MayCall == nil {
		return nil
	}
	return r.MayCall(ctx, url)
}

// copied gives settings whose maps and lists an edit may change without touching the others.
func copied(c tandem.ServiceConfig) tandem.ServiceConfig {
	c.FieldStrategies, c.Webhook.Paths = maps.Clone(c.FieldStrategies), maps.Clone(c.Webhook.Paths)
	c.Filters.Tags = slices.Clone(c.Filters.Tags)
	return c
}

// storeService writes a changed service with its audit.
func (r *Registry) storeService(ctx context.Context, actor Actor, org, action string, before, s *tandem.Service) error {
	was, is := serviceAudit(before), serviceAudit(s)
	newKey := !bytes.Equal(before.Credentials, s.Credentials)
	if newKey {
		is["key"] = "changed"
	}
	if !bytes.Equal(before.WebhookSecrets, s.WebhookSecrets) {
		is["webhook_secrets"] = "changed"
	}
	if err := r.Store.UpdateService(ctx, org, *s, r.note(actor, org, action, serviceThing(s), was, is)); err != nil {
		return err
	}
	s.Version++
	return r.clearState(ctx, org, s, newKey)
}

// serviceAudit is what the audit keeps of a service.
func serviceAudit(s *tandem.Service) map[string]any {
	return map[string]any{"name": s.Name, "config": s.Config, "is_active": s.IsActive, "sync_enabled": s.SyncEnabled, "sync_interval_seconds": s.SyncInterval}
}

// clearState forgets that the remote refused the old key.
func (r *Registry) clearState(ctx context.Context, org string, s *tandem.Service, newKey bool) error {
	if !newKey || s.State == tandem.ServiceOK {
		return nil
	}
	ok, reason := tandem.ServiceOK, ""
	s.State, s.StateReason = ok, reason
	return r.Store.Apply(ctx, org, &tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: s.ID, State: &ok, StateReason: &reason}}})
}

// checkProjectChange refuses to move a service with linked devices to another project.
func (r *Registry) checkProjectChange(ctx context.Context, org string, before, after *tandem.Service) error {
	if before.Config.Project == after.Config.Project {
		return nil
	}
	linked, err := r.Store.LinkedCount(ctx, org, before.ID)
	if err != nil {
		return err
	}
	if linked == 0 && before.Pin == nil {
		return nil
	}
	return tandem.Errorf(tandem.Invalid, "update service", before.Name,
		"it is pinned to the project %s with %d linked devices, and another project has other devices", before.Config.Project, linked).
		WithHint("add a new service for %s, or let this one go over to it, which unlinks its devices first: --confirm-project", after.Config.Project)
}

// DeleteService removes a service and unlinks its devices, which stay on both sides. With a version it is Stale when the
// service is at another one.
func (r *Registry) DeleteService(ctx context.Context, actor Actor, org, ref string, ifVersion ...int64) (s tandem.Service, unlinked int, err error) {
	if err := actor.may(org, ManageServices); err != nil {
		return s, 0, err
	}
	err = retryMoved(func() (err error) {
		if s, err = r.Store.Service(ctx, org, ref); err != nil {
			return err
		}
		if err := expect("delete service", s.Name, s.Version, wanted(ifVersion)); err != nil {
			return err
		}
		along := r.note(actor, org, "service.delete", serviceThing(&s), serviceAudit(&s), nil)
		unlinked, err = r.Store.DeleteService(ctx, org, s.ID, s.Version, r.Clock(), along)
		return err
	})
	return s, unlinked, err
}

// checkService says everything that is wrong with a service, and refuses a project that is connected already.
func (r *Registry) checkService(ctx context.Context, s *tandem.Service) error {
	c := &s.Config
	var p problems
	p.add(checkLine("name", s.Name, 1, 100))
	if s.ServiceType != "golioth" {
		p.add(invalid("service type", "cannot be %q; golioth is the one there is", s.ServiceType))
	}
	p.add(checkBaseURL(c.BaseURL))
	p.add(checkLine("project", c.Project, 1, maxName))
	p.add(oneOf("direction", c.Direction, tandem.Import, tandem.Export, tandem.Bidirectional))
	strategies := []tandem.Strategy{tandem.Manual, tandem.LocalWins, tandem.RemoteWins, tandem.NewestWins}
	p.add(oneOf("conflict strategy", c.Strategy, strategies...))
	for field, strategy := range c.FieldStrategies {
		_, err := tandem.ParseField(field)
		p.add(err)
		p.add(oneOf("conflict strategy of "+field, strategy, strategies...))
	}
	p.add(oneOf("on-remote-delete", c.OnRemoteDelete, tandem.UnlinkLocal, tandem.DeleteLocal, tandem.RecreateRemote))
	p.add(between("max-delete", c.Guards.MaxDelete, 0, 1))
	p.add(between("max-change", c.Guards.MaxChange, 0, 1))
	p.add(between("requests-per-minute", c.RequestsPerMinute, 1, 1_000_000))
	p.add(between("concurrency", c.Concurrency, 1, 1000))
	p.add(between("state-reads", c.StateReads, 0, 1_000_000))
	p.add(between("online-window", c.OnlineWindow, 1, 366*24*3600))
	if s.SyncInterval < 60 || s.SyncInterval > 366*24*3600 {
		p.add(invalid("interval", "is %s, it must be between 1m and 8784h", time.Duration(s.SyncInterval)*time.Second))
	}
	p.add(checkPath("metadata path", c.Paths.Metadata, "state"))
	p.add(checkPath("battery path", c.Paths.Battery, "state", "stream"))
	p.add(checkPath("location path", c.Paths.Location, "state", "stream"))
	if _, err := path.Match(c.Filters.Name, ""); err != nil {
		p.add(invalid("filter-name", "%q is not a pattern; * stands for any text, ? for one character", c.Filters.Name))
	}
	if len(p) > 0 {
		return tandem.Errorf(tandem.Invalid, "check service", s.Name, "%s", strings.Join(p, "; "))
	}
	return r.checkTwice(ctx, s)
}

// checkTwice refuses a project that another service of the organization has, unless the two filters
// cannot let the same device in (S19).
func (r *Registry) checkTwice(ctx context.Context, s *tandem.Service) error {
	others, err := r.Store.Services(ctx, s.OrganizationID)
	if err != nil {
		return err
	}
	for i := range others {
		o := &others[i]
		if o.ID == s.ID {
			continue
		}
		if o.Name == s.Name {
			return tandem.Errorf(tandem.Exists, "check service", s.Name, "a service with this name exists already").
				WithHint("choose another name, or change it with `tandem service update %s`", quoteWord(s.Name))
		}
		if o.Config.Project == s.Config.Project && sameBase(o.Config.BaseURL, s.Config.BaseURL) && !disjoint(&o.Config.Filters, &s.Config.Filters) {
			return tandem.Errorf(tandem.Exists, "check service", s.Config.Project, "the service %s is connected to this project already", o.Name).
				WithHint("use that service; two on one project need filters for different blueprints or cohorts")
		}
	}
	return nil
}

func sameBase(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}

// disjoint reports whether no device can pass both filters: a device has one blueprint and one cohort.
func disjoint(a, b *tandem.Filters) bool {
	return a.Blueprint != "" && b.Blueprint != "" && a.Blueprint != b.Blueprint ||
		a.Cohort != "" && b.Cohort != "" && a.Cohort != b.Cohort
}

func checkBaseURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return invalid("base-url", "is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return invalid("base-url", "%q does not begin with https:// and a host, such as https://api.golioth.io", text)
	case u.User != nil:
		return invalid("base-url", "holds a user or password; the key goes into --api-key-file")
	case u.RawQuery != "" || u.Fragment != "":
		return invalid("base-url", "%q holds a query; give only https:// and the host", text)
	}
	return nil
}

// checkPath accepts "", or one of the kinds, a colon and a path.
func checkPath(name, text string, kinds ...string) error {
	if text == "" {
		return nil
	}
	kind, rest, ok := strings.Cut(text, ":")
	if !ok || !slices.Contains(kinds, kind) || strings.HasPrefix(rest, "/") || strings.HasSuffix(rest, "/") || strings.Contains(rest, "//") {
		return invalid(name, "%q is not %s: followed by a path such as device/info", text, strings.Join(kinds, ": or "))
	}
	return checkLine(name, rest, 0, maxName)
}

func oneOf[T ~string](name string, value T, allowed ...T) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	return invalid(name, "cannot be %q; it is one of %s", value, strings.Join(words, ", "))
}

func between[T int | float64](name string, value, least, most T) error {
	if value >= least && value <= most {
		return nil
	}
	return invalid(name, "is %v, it must be between %v and %v", value, least, most)
}
