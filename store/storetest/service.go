package storetest

import (
	"time"

	"tandem"
)

var serviceTests = map[string]func(*world){
	"are created, read by id and name, and listed by name": func(w *world) {
		config := tandem.DefaultServiceConfig()
		config.BaseURL, config.Project, config.Strategy = "https://api.example", "demo", tandem.NewestWins
		config.FieldStrategies = map[string]tandem.Strategy{"name": tandem.LocalWins}
		config.Filters = tandem.Filters{Name: "a*", Tags: []string{"x", "é"}}
		want := tandem.Service{ID: w.id(), OrganizationID: w.org, Name: "prod", ServiceType: "golioth", Config: config, Credentials: []byte{0, 1, 255, '\''},
			IsActive: true, SyncEnabled: true, SyncInterval: 60, State: tandem.ServiceOK, Version: 1, CreatedAt: w.now, UpdatedAt: w.now}
		w.must(w.st.CreateService(w.ctx, w.org, want))
		got := w.readService(want.ID)
		w.equal(got, want)
		byName, err := w.st.Service(w.ctx, w.org, "prod")
		w.must(err)
		w.equal(byName, got)
		w.service("alpha")
		list, err := w.st.Services(w.ctx, w.org)
		w.must(err)
		w.equal(pick(list, func(s tandem.Service) string { return s.Name }), []string{"alpha", "prod"})
		_, err = w.st.Service(w.ctx, w.org, "none")
		w.wantCode(err, tandem.NotFound)
	},
	"a name is taken once in an organization": func(w *world) {
		s := w.service("prod")
		b := w.other()
		b.service("prod")
		s.ID = w.id()
		w.wantCode(w.st.CreateService(w.ctx, w.org, s), tandem.Exists)
		second := w.service("second")
		second.Name = "prod"
		w.wantCode(w.st.UpdateService(w.ctx, w.org, second), tandem.Exists)
	},
	"an update needs the version that was read": func(w *world) {
		s := w.service("prod")
		s.Config.Project = "other"
		s.Credentials, s.IsActive, s.SyncEnabled, s.UpdatedAt = []byte("sealed"), false, true, w.now.Add(time.Second)
		w.must(w.st.UpdateService(w.ctx, w.org, s))
		got := w.readService(s.ID)
		if got.Version <= s.Version {
			w.Errorf("version %d after %d", got.Version, s.Version)
		}
		want := s
		want.Version = got.Version
		w.equal(got, want)
		w.wantCode(w.st.UpdateService(w.ctx, w.org, s), tandem.Stale)
		missing := s
		missing.ID, missing.Name = w.id(), "x"
		w.wantCode(w.st.UpdateService(w.ctx, w.org, missing), tandem.NotFound)
	},
	"what a run marks moves no version and survives an update": func(w *world) {
		s := w.service("prod")
		pin := &tandem.ProjectIdentity{ID: "p", OrganizationID: "o", CreatedAt: w.now}
		state, reason, config, run, retry, at := tandem.ServiceDegraded, "502", "abc", "r1", &w.now, w.now
		w.apply(tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: s.ID, Pin: pin, State: &state, StateReason: &reason, RetryAt: &retry,
			ApprovedConfig: &config, LastListedAt: &at, LastRunID: &run, LastRunAt: &at}}})
		want := s
		want.Pin, want.State, want.StateReason, want.RetryAt, want.ApprovedConfig = pin, state, reason, retry, config
		want.LastListedAt, want.LastRunID, want.LastRunAt = &at, run, &at
		w.equal(w.readService(s.ID), want)
		w.apply(tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: s.ID}}}) // nil members stay
		w.equal(w.readService(s.ID), want)

		edited := s // read before the marks
		edited.Name = "renamed"
		w.must(w.st.UpdateService(w.ctx, w.org, edited))
		want.Name, want.Version = "renamed", w.readService(s.ID).Version
		w.equal(w.readService(s.ID), want)

		var none *time.Time
		ok := tandem.ServiceOK
		w.apply(tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: s.ID, State: &ok, RetryAt: &none}}})
		want.State, want.RetryAt = ok, nil
		w.equal(w.readService(s.ID), want)
	},
	"detaching lets go of a project, under the fence": func(w *world) {
		s, kept := w.service("prod"), w.service("kept")
		d := w.device("d")
		w.link(d, s, "x1")
		w.link(d, kept, "y1")
		open := w.newConflict(s, d, "name")
		pin := tandem.ProjectIdentity{ID: "p", OrganizationID: "o", CreatedAt: w.now}
		w.apply(tandem.Changes{PutConflicts: []tandem.Conflict{open}, PutServices: []tandem.ServiceMark{{ServiceID: s.ID, Pin: &pin, LastListedAt: &w.now}}})
		lease, err := w.st.AcquireLease(w.ctx, w.org, s.ID, "holder", "", time.Hour)
		w.must(err)
		run := w.newRun(s)
		entry := func(l tandem.Linked) tandem.Entry {
			e := w.newEntry(run, l.Device)
			e.ExternalDeviceID = l.Assignment.ExternalDeviceID
			return e
		}
		_, err = w.st.DetachService(w.ctx, w.org, tandem.Fence{ServiceID: s.ID, Token: lease.Fence + 1}, run, entry, w.now)
		w.wantCode(err, tandem.LeaseLost)
		w.readAssignment(s.ID, "x1")
		n, err := w.st.DetachService(w.ctx, w.org, tandem.Fence{ServiceID: s.ID, Token: lease.Fence}, run, entry, w.now)
		w.must(err)
		if n != 1 {
			w.Errorf("detached %d, want 1", n)
		}
		_, err = w.st.Assignment(w.ctx, w.org, s.ID, "x1")
		w.wantCode(err, tandem.NotFound)
		w.readAssignment(kept.ID, "y1")
		if now := w.readService(s.ID); now.Pin != nil || now.LastListedAt != nil || now.Version != s.Version+1 {
			w.Errorf("the service keeps its project: %+v", now)
		}
		c, err := w.st.Conflict(w.ctx, w.org, open.ID)
		w.must(err)
		if c.Status != tandem.ConflictSuperseded {
			w.Errorf("the conflict is %s", c.Status)
		}
		entries, _, err := w.st.Entries(w.ctx, w.org, tandem.EntryFilter{RunID: run.ID})
		w.must(err)
		if len(entries) != 1 || entries[0].ExternalDeviceID != "x1" {
			w.Errorf("the record holds %+v", entries)
		}
	},
	"deleting unlinks, supersedes and frees the name": func(w *world) {
		s, kept := w.service("prod"), w.service("kept")
		d, e := w.device("d"), w.device("e")
		w.link(d, s, "x1")
		w.link(e, s, "x2")
		w.link(d, kept, "y1")
		open, other := w.newConflict(s, d, "name"), w.newConflict(kept, d, "name")
		w.apply(tandem.Changes{PutConflicts: []tandem.Conflict{open, other}})
		_, err := w.st.DeleteService(w.ctx, w.org, s.ID, s.Version+1, w.now)
		w.wantCode(err, tandem.Stale)
		lease, err := w.st.AcquireLease(w.ctx, w.org, s.ID, "a run", "", time.Minute)
		w.must(err)
		n, err := w.st.DeleteService(w.ctx, w.org, s.ID, s.Version, w.now.Add(time.Hour))
		w.must(err)
		late := tandem.Changes{Fence: &tandem.Fence{ServiceID: s.ID, Token: lease.Fence}} // of a run that was going on
		w.wantCode(w.st.Apply(w.ctx, w.org, &late), tandem.LeaseLost)
		_, err = w.st.RenewLease(w.ctx, w.org, lease, time.Minute)
		w.wantCode(err, tandem.LeaseLost)
		if n != 2 {
			w.Errorf("unlinked %d, want 2", n)
		}
		list, err := w.st.Services(w.ctx, w.org)
		w.must(err)
		w.equal(pick(list, func(s tandem.Service) string { return s.Name }), []string{"kept"})
		_, err = w.st.Service(w.ctx, w.org, "prod")
		w.wantCode(err, tandem.NotFound)
		for external, want := range map[string]tandem.SyncStatus{"x1": tandem.SyncUnlinked, "x2": tandem.SyncUnlinked} {
			if got := w.readAssignment(s.ID, external).Status; got != want {
				w.Errorf("%s is %s, want %s", external, got, want)
			}
		}
		if got := w.readAssignment(kept.ID, "y1").Status; got != tandem.SyncSynced {
			w.Errorf("another service's assignment is %s", got)
		}
		c, err := w.st.Conflict(w.ctx, w.org, open.ID)
		w.must(err)
		if c.Status != tandem.ConflictSuperseded {
			w.Errorf("the conflict is %s", c.Status)
		}
		c, err = w.st.Conflict(w.ctx, w.org, other.ID)
		w.must(err)
		if c.Status != tandem.ConflictPending {
			w.Errorf("another service's conflict is %s", c.Status)
		}
		w.service("prod") // the name is free
		_, err = w.st.DeleteService(w.ctx, w.org, w.id(), 1, w.now)
		w.wantCode(err, tandem.NotFound)
	},
}
