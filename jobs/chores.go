package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/riverqueue/river"

	"tandem"
	"tandem/audit"
	"tandem/syncer"
)

// The chores' rhythm. One process does each, whichever leads.
const (
	offlineEvery   = 20 * time.Second
	escalateEvery  = 30 * time.Second
	retentionEvery = time.Hour
)

// periodic are the chores that the job engine's leader asks for.
func (j *Jobs) periodic() []*river.PeriodicJob {
	every := func(kind string, d time.Duration, onStart bool) *river.PeriodicJob {
		d = j.pace(d)
		return river.NewPeriodicJob(river.PeriodicInterval(d), func() (river.JobArgs, *river.InsertOpts) {
			w := work{kind: kind, Key: keyed(time.Now(), "periodic"), Args: map[string]string{"at": j.now().Format(time.RFC3339Nano)}}
			return w, w.options()
		}, &river.PeriodicJobOpts{ID: kind, RunOnStart: onStart})
	}
	return []*river.PeriodicJob{every(kindOffline, offlineEvery, true), every(kindEscalate, escalateEvery, true), every(kindRetention, retentionEvery, true)}
}

// lookAtAudit asks for a job for each organization whose audit has entries that are not sealed.
func (j *Jobs) lookAtAudit(ctx context.Context) (more bool, err error) {
	orgs, err := j.Store.OrganizationsToSeal(ctx)
	if err != nil || len(orgs) == 0 {
		return false, err
	}
	list := make([]work, len(orgs))
	for i, org := range orgs {
		list[i] = work{kind: kindSeal, Org: org, Key: keyed(time.Now(), org)}
	}
	return false, j.engine.insert(ctx, list)
}

// seal puts an organization's audit entries into its chain (S37).
func (j *Jobs) seal(ctx context.Context, w *job) error {
	_, err := audit.Seal(ctx, j.Store, w.Org, j.now())
	return unless(gone(err), err)
}

// settle settles conflicts in bulk (S10). Those that another attempt settled are not pending any more.
func (j *Jobs) settle(ctx context.Context, w *job) error {
	var s tandem.Settlement
	d := json.NewDecoder(bytes.NewReader([]byte(w.Args["settlement"])))
	d.UseNumber()
	if err := d.Decode(&s); err != nil {
		return river.JobCancel(tandem.Errorf(tandem.Invalid, "settle conflicts", "", "what is to be settled cannot be read: %w", err))
	}
	settled, err := j.Engine.Settle(ctx, w.Org, s)
	if err != nil {
		return unless(gone(err), err)
	}
	failed := 0
	for _, one := range settled {
		if one.Error != nil {
			failed++
		}
	}
	j.Log.Info("conflicts were settled", "organization", w.Org, "settled", len(settled)-failed, "failed", failed)
	return nil
}

// pruneAtOnce is how many rows of each kind one step of retention removes.
const pruneAtOnce = 2000

// retention removes what is older than it is kept, step by step, so that nothing waits for long.
func (j *Jobs) retention(ctx context.Context, _ *job) error {
	if err := j.rollUp(ctx); err != nil { // before anything goes
		return err
	}
	if err := j.dropVoidPlans(ctx); err != nil {
		return err
	}
	removed := map[string]int{}
	for {
		some, err := j.Store.Prune(ctx, j.Retention, j.now(), pruneAtOnce)
		if err != nil {
			return err
		}
		n := 0
		for kind, count := range some {
			removed[kind] += count
			n += count
		}
		if n == 0 || j.stopping.Load() {
			break
		}
	}
	if err := j.pruneAudit(ctx, removed); err != nil {
		return err
	}
	for kind, n := range removed {
		if n > 0 {
			j.Log.Info("retention removed rows", "kind", kind, "rows", n)
		}
	}
	return nil
}

// dropVoidPlans discards what blocked runs held back longer ago than runs are kept, where it can be let through no more: the
// service has other settings since, or is gone. Plans that no run waits for go by themselves.
func (j *Jobs) dropVoidPlans(ctx context.Context) error {
	if j.Retention.Runs <= 0 {
		return nil
	}
	orgs, err := j.Store.Organizations(ctx)
	if err != nil {
		return err
	}
	for i := range orgs {
		plans, err := j.Store.Plans(ctx, orgs[i].ID, "")
		if err != nil {
			return err
		}
		for _, p := range plans {
			if p.Status != tandem.PlanOpen || p.RunID == "" || j.now().Sub(p.CreatedAt) < j.Retention.Runs {
				continue
			}
			s, err := j.Store.Service(ctx, p.OrganizationID, p.ServiceID)
			if err != nil && !tandem.Is(err, tandem.NotFound) {
				return err
			}
			if err == nil && syncer.Fingerprint(&s.Config) == p.ConfigPrint {
				continue
			}
			if err := j.dropPlan(ctx, &p); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropPlan discards a plan, unless somebody decided on it meanwhile.
func (j *Jobs) dropPlan(ctx context.Context, p *tandem.Plan) error {
	along := tandem.Along{
		Audit: []tandem.AuditEntry{{ID: j.NewID(), OrganizationID: p.OrganizationID, At: j.now(), ActorKind: tandem.SystemActor, Actor: "retention",
			Action: "plan.discard", ThingType: "plan", ThingID: p.ID, RunID: p.RunID}},
		Events: []tandem.Event{{ID: j.NewID(), OrganizationID: p.OrganizationID, At: j.now(), Kind: "runs", IDs: []string{p.RunID}}},
	}
	err := j.Store.ClosePlan(ctx, p.OrganizationID, p.ID, tandem.PlanDiscarded, j.now(), along)
	return unless(tandem.Is(err, tandem.Stale, tandem.NotFound), err)
}

// rollUpFor bounds what is summed up before anything is removed: the history of months takes several times.
const rollUpFor = 20 * time.Minute

// rollUp sums up hours, until all that was written is looked at.
func (j *Jobs) rollUp(ctx context.Context) error {
	hours, began := 0, time.Now()
	for more := true; more && !j.stopping.Load() && time.Since(began) < rollUpFor; {
		var some int
		var err error
		if some, more, err = j.Store.RollUp(ctx, j.now()); err != nil {
			return err
		}
		hours += some
	}
	if hours > 0 {
		j.Log.Info("hours of devices that report often were summed up", "hours", hours)
	}
	return nil
}

// pruneAudit leaves a checkpoint in each organization's chain (S37).
func (j *Jobs) pruneAudit(ctx context.Context, removed map[string]int) error {
	if j.Retention.Audit <= 0 {
		return nil
	}
	orgs, err := j.audited(ctx)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		for !j.stopping.Load() {
			n, err := j.Store.PruneAudit(ctx, org, j.now().Add(-j.Retention.Audit), pruneAtOnce)
			if err != nil {
				return err
			}
			if removed["audit"] += n; n == 0 {
				break
			}
		}
	}
	return nil
}

// audited names the organizations that have an audit: also those that were deleted.
func (j *Jobs) audited(ctx context.Context) (orgs []string, err error) {
	present, err := j.Store.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	deleted, err := j.Store.DeletedOrganizations(ctx)
	for i := range present {
		orgs = append(orgs, present[i].ID)
	}
	for i := range deleted {
		orgs = append(orgs, deleted[i].ID)
	}
	return orgs, err
}
