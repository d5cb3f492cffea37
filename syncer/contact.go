package syncer

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem"
)

// contact connects, checks that the project is the one the service is pinned to (S21), and learns the words.
func (r *run) contact(ctx context.Context) error {
	r.enter("contacting", 0)
	var err error
	if r.remote, err = r.e.connect(ctx, r.service); err != nil {
		return err
	}
	if err := r.lookAhead(ctx); err != nil {
		return err
	}
	project, err := r.identifyProject(ctx)
	if err != nil {
		return err
	}
	p := &piece{}
	mark := tandem.ServiceMark{ServiceID: r.service.ID}
	if r.service.Pin == nil {
		pin := project.ProjectIdentity
		mark.Pin, r.service.Pin = &pin, &pin
	}
	if r.service.State != tandem.ServiceOK {
		ok, none, never := tandem.ServiceOK, "", (*time.Time)(nil)
		mark.State, mark.StateReason, mark.RetryAt = &ok, &none, &never
	}
	if mark != (tandem.ServiceMark{ServiceID: r.service.ID}) {
		p.changes.PutServices = []tandem.ServiceMark{mark}
	}
	if err := r.compareWords(ctx, p); err != nil {
		return err
	}
	if r.dry != nil {
		return nil
	}
	return r.commitOne(ctx, p)
}

// checkPin compares the project with the one that the service was first connected to (S21).
func checkPin(service *tandem.Service, project tandem.RemoteProject) error {
	pin := service.Pin
	if pin == nil || (pin.ID == project.ID && pin.OrganizationID == project.OrganizationID && pin.CreatedAt.Equal(project.CreatedAt)) {
		return nil
	}
	return tandem.Errorf(tandem.Mismatch, "sync", service.Name,
		"the project behind this address is not the one that the service was linked to (then %s of %s made at %s, now %s of %s made at %s)",
		pin.ID, pin.OrganizationID, pin.CreatedAt.Format(time.RFC3339), project.ID, project.OrganizationID, project.CreatedAt.Format(time.RFC3339)).
		WithHint("nothing was changed; check the base URL and project, or confirm the new project, which unlinks all its devices: tandem service update %s --confirm-project", service.Name)
}

// lookAhead finds out what this run may leave out, and lets the listing begin while the project is
// still being identified. Not where a dead run left something to settle: that comes before any reading.
func (r *run) lookAhead(ctx context.Context) error {
	conflicts, err := r.hasConflicts(ctx)
	if err != nil {
		return err
	}
	_, others, err := r.e.Store.NotLinked(ctx, r.org, r.service.ID, tandem.NotLinkedFilter{Ignored: true, Page: tandem.Page{Limit: 1}})
	if err != nil {
		return err
	}
	open, err := r.e.Store.Intents(ctx, r.org, r.service.ID)
	if err != nil {
		return err
	}
	r.anyConflicts, r.anyNotLinked = conflicts, others > 0
	if len(open) == 0 && !r.req.Scoped() && r.record.ID != "" && (r.req.Trigger == tandem.ByHand || Approved(&r.service)) {
		r.ahead = r.startListing(ctx)
	}
	return nil
}

// identifyProject asks for the project and the words at once.
func (r *run) identifyProject(ctx context.Context) (tandem.RemoteProject, error) {
	var project tandem.RemoteProject
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		asked := r.now()
		var err error
		if project, err = r.remote.Project(ctx); err != nil {
			return err
		}
		if !project.Now.IsZero() { // the Date header has whole seconds
			r.skew = r.now().Sub(project.Now).Abs() + r.now().Sub(asked).Abs() + time.Second
		}
		return checkPin(&r.service, project)
	})
	for _, kind := range entityKinds {
		if !r.fields.Has(entityFields[kind]) && !r.filtersBy(kind) {
			continue
		}
		group.Go(func() error {
			entities, err := r.remote.Entities(ctx, kind)
			for _, e := range entities {
				r.words.add(e)
			}
			return err
		})
	}
	return project, group.Wait()
}

// filtersBy reports whether the import filters name this kind of entity.
func (r *run) filtersBy(kind tandem.EntityKind) bool {
	f := &r.service.Config.Filters
	switch kind {
	case tandem.TagEntity:
		return len(f.Tags) > 0
	case tandem.BlueprintEntity:
		return f.Blueprint != ""
	case tandem.CohortEntity:
		return f.Cohort != ""
	}
	return false
}

// compareWords finds tags, blueprints and cohorts that were renamed there since the last run (S33).
func (r *run) compareWords(ctx context.Context, p *piece) error {
	kept, err := r.e.Store.KnownEntities(ctx, r.org, r.service.ID)
	if err != nil {
		return err
	}
	put, renames := r.words.compare(r.service.ID, kept)
	p.changes.PutEntities = put
	for _, k := range renames {
		p.changes.Entries = append(p.changes.Entries, r.entry(tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActRename,
			Path: tandem.Path(entityFields[k.Kind].String()), Before: value(k.Was), After: value(k.Name),
			Note: "the " + string(k.Kind) + " was renamed there; its devices follow"}, tandem.OutcomeDone))
	}
	return nil
}

// hasConflicts reports whether a conflict of the service is open.
func (r *run) hasConflicts(ctx context.Context) (bool, error) {
	_, n, err := r.e.Store.Conflicts(ctx, r.org, tandem.ConflictFilter{ServiceID: r.service.ID, Page: tandem.Page{Limit: 1}})
	return n > 0, err
}
