package integration

import (
	"time"

	"tandem"
	"tandem/registry"
	"tandem/web/shell"
)

// found is what a test of a connection found.
type found struct {
	project tandem.RemoteProject
	took    time.Duration
	skew    time.Duration // of the remote's clock against ours
	stored  bool          // asked with what is stored
	err     error
	now     time.Time
}

// ask asks the project of what the form says, before anything is saved.
func (v *view) ask(key string) found {
	ctx, c := v.c.R.Context(), v.c
	var f found
	var answered registry.Answered
	if !v.isNew() && !v.manages() {
		answered, f.err = c.Registry().TestService(ctx, c.Actor, c.Org.ID, v.s.ID)
		f.stored = true
	} else {
		var seal registry.Seal
		if key != "" {
			seal = registry.ServiceKey(c.Registry().Vault, key)
		}
		answered, f.err = c.Registry().TryService(ctx, c.Actor, c.Org.ID, v.s.ID, v.d["base_url"], v.d["project"], seal)
	}
	f.project, f.took, f.now = answered.Project, answered.Took, c.Now()
	if !f.project.Now.IsZero() {
		f.skew = f.project.Now.Sub(f.now).Abs()
	}
	return f
}

// otherProject reports whether another project is there than the one that the service is pinned to (S21).
func (f *found) otherProject(s *tandem.Service) bool {
	pin := s.Pin
	return f.err == nil && pin != nil && (pin.ID != f.project.ID || pin.OrganizationID != f.project.OrganizationID || !pin.CreatedAt.Equal(f.project.CreatedAt))
}

// try says what is found with the connection that was typed.
func try(c *shell.Call) error {
	v := newView(c)
	if c.Value("id") != "" {
		var err error
		if v, err = read(c, "connection"); err != nil {
			return err
		}
	}
	for _, name := range []string{"name", "project", "base_url"} {
		if c.R.PostForm.Has(name) {
			v.d[name] = c.Form(name)
		}
	}
	answer := v.ask(c.R.PostForm.Get("api_key"))
	v.found = &answer
	if c.Partial() {
		return c.Part(tested(v))
	}
	return v.page()
}

// explained gives what is said of a test that failed.
func explained(err error) string {
	message, hint := shell.Explain(err)
	if hint != "" {
		return message + ". " + hint
	}
	return message
}
