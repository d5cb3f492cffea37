package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/text"

	"tandem"
	"tandem/secret"
	"tandem/store"
)

// DoctorCmd is `tandem doctor`.
type DoctorCmd struct {
	Offline bool `help:"Do not contact the services."`
}

// finding is what one check found.
type finding struct {
	Check   string `json:"check"`
	State   string `json:"state"` // ok, warning or problem
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// checkup collects findings.
type checkup struct {
	*app
	found []finding
}

func (c *checkup) ok(check, format string, args ...any) {
	c.found = append(c.found, finding{check, "ok", fmt.Sprintf(format, args...), ""})
}

func (c *checkup) warn(check, hint, format string, args ...any) {
	c.found = append(c.found, finding{check, "warning", fmt.Sprintf(format, args...), hint})
}

// problem notes an error with its own hint.
func (c *checkup) problem(check string, err error) {
	f := failureOf(err)
	c.found = append(c.found, finding{check, "problem", f.Message, f.Hint})
}

// maxSkew is how far two clocks may be apart before it is worth a word.
const maxSkew = 30 * time.Second

// Run checks everything; one failed check does not keep the others from being made.
func (c *DoctorCmd) Run(ctx context.Context, a *app) error {
	check := &checkup{app: a}
	examine := check.database
	if a.flags.Server != "" {
		examine = check.server
	}
	if err := examine(ctx, c.Offline); err != nil {
		return err
	}
	problems := 0
	for _, f := range check.found {
		if f.State == "problem" {
			problems++
		}
	}
	if a.out.json {
		if err := a.out.value(map[string]any{"ok": problems == 0, "checks": check.found}); err != nil {
			return err
		}
	}
	for _, f := range check.found {
		mark := map[string]string{"ok": a.out.paint(text.FgGreen, "ok     "), "warning": a.out.paint(text.FgYellow, "warning"), "problem": a.out.paint(text.FgRed, "problem")}[f.State]
		a.out.printf("%s  %s: %s\n", mark, clean(f.Check), clean(f.Message))
		if f.Hint != "" {
			a.out.printf("         → %s\n", clean(f.Hint))
		}
	}
	if problems > 0 {
		return exitCode(exitFailed)
	}
	return nil
}

func (c *checkup) database(ctx context.Context, offline bool) (err error) {
	c.disk()
	if path := sqlitePath(c.flags.DatabaseURL); strings.HasPrefix(c.flags.DatabaseURL, "sqlite:") {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			c.warn("database", "the first command that needs it makes it, such as tandem org create NAME", "there is no file %s yet", path)
			return nil
		}
	}
	s, err := c.openStore(ctx, store.Options{AnySchema: true})
	if err != nil {
		c.problem("database", err)
		return nil
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	now, err := s.Now(ctx)
	if err != nil {
		c.problem("database", err)
		return nil
	}
	c.ok("database", "it answers")
	if skew := now.Sub(c.Clock()).Abs(); skew > maxSkew {
		c.warn("database clock", "set the clock of one of the two machines", "it is %s from this machine's", duration(skew))
	}
	if strings.HasPrefix(c.flags.DatabaseURL, "sqlite:") {
		if err := integrity(ctx, s); err != nil {
			c.problem("integrity", tandem.Errorf(tandem.Corrupt, "check integrity", "", "the file is damaged: %w", err).WithHint("restore a backup: tandem restore FILE"))
			return nil
		}
		c.ok("integrity", "the file is whole")
	}
	if err := s.CheckSchema(ctx); err != nil {
		c.problem("schema", err)
		return nil
	}
	c.ok("schema", "up to date")
	if pending, err := c.jobsPending(ctx, s); err != nil {
		c.problem("job engine", err)
	} else if pending > 0 {
		c.ok("job engine", "%s of its tables to be applied; `tandem serve` does that when it starts", count(pending, "step", "steps"))
	} else {
		c.ok("job engine", "its tables are up to date")
	}
	keys := c.keys()
	if keys == nil {
		return nil
	}
	session := c.newSession(s, keys)
	found := 0
	err = session.eachService(ctx, func(org tandem.Organization, v tandem.Service) error {
		found++
		return c.service(ctx, session, org, &v, offline)
	})
	session.clients.close()
	if err != nil {
		c.problem("services", err)
	} else if found == 0 {
		c.ok("services", "none yet")
	}
	c.leases(ctx, s)
	return nil
}

func (c *checkup) disk() {
	folder := "."
	if strings.HasPrefix(c.flags.DatabaseURL, "sqlite:") {
		folder = filepath.Dir(sqlitePath(c.flags.DatabaseURL))
	}
	free, known := freeSpace(folder)
	switch {
	case !known:
	case free < 100<<20:
		c.problem("disk", tandem.Errorf(tandem.DiskFull, "check disk", "", "only %s are free", humanize.IBytes(free)).WithHint("free some space before the next sync"))
	case free < 1<<30:
		c.warn("disk", "free some space", "only %s are free", humanize.IBytes(free))
	default:
		c.ok("disk", "%s free", humanize.IBytes(free))
	}
}

// keys opens the key file; nil when it cannot be used.
func (c *checkup) keys() *secret.Keyring {
	keys, err := secret.Open(c.keyFile())
	if err != nil {
		c.problem("key file", err)
		return nil
	}
	ids, err := keys.Keys()
	if err != nil {
		c.problem("key file", err)
		return nil
	}
	if len(ids) > 0 {
		c.ok("key file", "%s, %s", c.keyFile(), count(len(ids), "key", "keys"))
	}
	return keys
}

// service checks one service: its key, its project, its clock, and what an earlier run left.
func (c *checkup) service(ctx context.Context, s *session, org tandem.Organization, v *tandem.Service, offline bool) error {
	name := "service " + org.Slug + "/" + v.Name
	client, err := s.client(*v)
	if err != nil {
		c.problem(name, err)
		return nil
	}
	intents, err := s.store.Intents(ctx, org.ID, v.ID)
	if err != nil {
		return err
	}
	if len(intents) > 0 {
		c.warn(name, fmt.Sprintf("the next sync settles them: tandem sync %s --org %s", word(v.Name), org.Slug),
			"%s that nobody knows the end of", count(len(intents), "write was under way", "writes were under way"))
	}
	if !v.IsActive {
		c.ok(name, "paused")
		return nil
	}
	if offline {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	began := time.Now()
	project, err := client.Project(ctx)
	if err != nil {
		c.problem(name, err)
		return nil
	}
	took := time.Since(began)
	if err := checkPin(v, project.ProjectIdentity); err != nil {
		c.problem(name, err)
		return nil
	}
	c.ok(name, "the project %s answers in %s and takes the key", project.ID, duration(took))
	if skew := project.Now.Sub(c.Clock()).Abs(); !project.Now.IsZero() && skew > maxSkew {
		c.warn(name, "set this machine's clock; newest_wins leaves edits within the difference to a person", "its clock is %s from this machine's", duration(skew))
	}
	return nil
}

// leases finds runs whose process died.
func (c *checkup) leases(ctx context.Context, s *store.Store) {
	now := "CURRENT_TIMESTAMP"
	if strings.HasPrefix(c.flags.DatabaseURL, "sqlite:") {
		now = "strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')" // the form in which the store keeps times
	}
	var stale int
	err := s.DB().DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM service_leases WHERE holder <> '' AND expires_at < "+now).Scan(&stale)
	if err != nil {
		c.problem("leases", err)
	} else if stale > 0 {
		c.warn("leases", "sync the service again: it takes over and settles what was left", "%s ended without finishing", count(stale, "run", "runs"))
	}
}
