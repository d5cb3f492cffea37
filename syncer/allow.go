package syncer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"sync"

	"tandem"
	"tandem/merge"
)

// allowed is a stored plan that is being applied: only its rows are done, and only while both sides
// are as it found them (S27).
type allowed struct {
	plan tandem.Plan
	mu   sync.Mutex
	rows planRows // of the devices looked at last
	done *tally   // what the run's entries tell of, by rowKeys
	used bool     // closed; guarded by run.commits
}

// planRows are a plan's rows about some devices, by remote id and by device id.
type planRows map[string][]tandem.Change

// has reports whether a change is one of the rows, with the same values.
func (rows planRows) has(c *tandem.Change) bool {
	for _, id := range []string{c.ExternalDeviceID, c.DeviceID} {
		for i := range rows[id] {
			row := &rows[id][i]
			if row.Side == c.Side && row.Action == c.Action && row.Path == c.Path &&
				merge.Equal(decode(row.Before), decode(c.Before)) && merge.Equal(decode(row.After), decode(c.After)) {
				return true
			}
		}
	}
	return false
}

// loadAllowed takes the plan that the request names: open, untouched, of this service's present settings.
func (r *run) loadAllowed(ctx context.Context) error {
	if r.req.PlanID == "" {
		return nil
	}
	plan, err := r.e.Store.Plan(ctx, r.org, r.req.PlanID)
	if err != nil {
		return err
	}
	void := func(why, hint string) error {
		return tandem.Errorf(tandem.Stale, "sync", plan.ID, "the plan cannot be applied: %s", why).WithHint("%s", hint)
	}
	switch {
	case plan.ServiceID != r.service.ID:
		return void("it was made for another service", "name the service it was made for")
	case (plan.Operation == tandem.OpRevert) != (r.record.Operation == tandem.OpRevert):
		return void("it is what a revert held back", "approve that run: tandem runs approve")
	case plan.Status != tandem.PlanOpen:
		return void("it was "+string(plan.Status)+" already", "a plan is used once; make a new one with --dry-run --save")
	case plan.ConfigPrint != Fingerprint(&r.service.Config):
		return void("the service's settings changed since it was made", "make a new one with --dry-run --save")
	}
	sum := sha256.New()
	count, isForced := 0, false
	for offset := 0; ; {
		rows, err := r.e.Store.PlanRows(ctx, r.org, plan.ID, offset, 1000)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := hashRow(sum, &rows[i]); err != nil {
				return err
			}
			isForced = isForced || rows[i].Note == forced
		}
		if len(rows) == 0 {
			break
		}
		offset, count = offset+len(rows), count+len(rows)
	}
	if count != plan.Rows || hex.EncodeToString(sum.Sum(nil)) != plan.Checksum {
		return void("its rows are not the ones that were stored", "make a new one with --dry-run --save")
	}
	if plan.Operation != tandem.OpRevert {
		r.req.Operation, r.record.Operation = plan.Operation, plan.Operation
		r.policy.Direction = tandem.Direction(plan.Operation)
	}
	r.req.Force, r.record.Forced, r.policy.Force = isForced, isForced, isForced
	r.create = tandem.MissingBoth // the rows say what is created, whatever the settings or a request say
	r.guard.approved = r.guard.approved || plan.Reason == tandem.PlanGuarded
	r.allow = &allowed{plan: plan, rows: planRows{}, done: newTally()}
	return nil
}

// usePlan closes the plan that is being applied, before the first of its rows is done: a run that fails
// before that leaves it open. The lease keeps a second run from applying it meanwhile.
func (r *run) usePlan(ctx context.Context) error {
	if r.allow == nil || r.allow.used {
		return nil
	}
	if err := r.e.Store.ClosePlan(ctx, r.org, r.allow.plan.ID, tandem.PlanUsed, r.now()); err != nil {
		return err
	}
	r.allow.used = true
	return nil
}

// endPlan closes the plan where none of its rows could be done.
func (r *run) endPlan(ctx context.Context) error {
	r.commits.Lock()
	defer r.commits.Unlock()
	return r.usePlan(ctx)
}

// beginsPlan reports whether the pieces do something of a plan.
func beginsPlan(batch []*piece) bool {
	for _, p := range batch {
		if len(p.changes.PutIntents) > 0 || slices.ContainsFunc(p.changes.Entries, func(e tandem.Entry) bool { return doable(&e.Change) }) {
			return true
		}
	}
	return false
}

// forced marks the changes of a forced run and its plan (S11).
const forced = "forced"

// rowKeys is what makes two changes the same row: one key for the remote id and one for the device, since
// a created device has another id on one side than its plan had.
func rowKeys(c *tandem.Change) []string {
	var keys []string
	for _, id := range []string{c.ExternalDeviceID, c.DeviceID} {
		if id != "" {
			keys = append(keys, string(c.Side)+"\x00"+string(c.Action)+"\x00"+id+"\x00"+string(c.Path))
		}
	}
	return keys
}

// doable reports whether a row is something a run does, rather than something it tells.
func doable(c *tandem.Change) bool { return c.Action.Does() }

// load reads the rows about some devices, and remembers them until others take their place.
func (a *allowed) load(ctx context.Context, r *run, deviceIDs, externalIDs []string) (planRows, error) {
	list, err := r.e.Store.PlanRowsOf(ctx, r.org, a.plan.ID, deviceIDs, externalIDs)
	if err != nil {
		return nil, err
	}
	rows := planRows{}
	for _, id := range slices.Concat(deviceIDs, externalIDs) {
		rows[id] = nil
	}
	for _, row := range list {
		for _, id := range []string{row.DeviceID, row.ExternalDeviceID} {
			if id != "" {
				rows[id] = append(rows[id], row)
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.rows) > 20*batchSize {
		a.rows = planRows{}
	}
	maps.Copy(a.rows, rows)
	return rows, nil
}

// remembers reports whether the rows about a change's device are in memory, and whether it is one of them.
func (a *allowed) remembers(c *tandem.Change) (known, has bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range []string{c.ExternalDeviceID, c.DeviceID} {
		if _, loaded := a.rows[id]; loaded && id != "" {
			return true, a.rows.has(c)
		}
	}
	return false, false
}

// told notes what the run's record tells of a row: it is not left out.
func (a *allowed) told(c *tandem.Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, key := range rowKeys(c) {
		a.done.add(key)
	}
}

// leftOut reports whether nothing was told of a row.
func (a *allowed) leftOut(row *tandem.Change) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, key := range rowKeys(row) {
		if a.done.count(key) > 0 {
			return false
		}
	}
	return true
}

// loadRows loads the plan's rows about some devices; nothing without a plan.
func (r *run) loadRows(ctx context.Context, deviceIDs, externalIDs []string) error {
	if r.allow == nil {
		return nil
	}
	_, err := r.allow.load(ctx, r, deviceIDs, externalIDs)
	return err
}

// allows reports whether a change about a whole device may be made; always without a plan.
func (r *run) allows(c tandem.Change) bool {
	if r.allow == nil {
		return true
	}
	if known, has := r.allow.remembers(&c); known {
		return has
	}
	var devices, externals []string
	if c.DeviceID != "" {
		devices = []string{c.DeviceID}
	}
	if c.ExternalDeviceID != "" {
		externals = []string{c.ExternalDeviceID}
	}
	rows, err := r.allow.load(context.Background(), r, devices, externals)
	if err != nil {
		r.warn(err.Error())
		return false
	}
	return rows.has(&c)
}

// limitAllowed freezes what the plan does not hold, and merges again without it.
func (r *run) limitAllowed(ctx context.Context, decided []decision) error {
	if r.allow == nil || len(decided) == 0 {
		return nil
	}
	var devices, externals []string
	for i := range decided {
		devices, externals = append(devices, decided[i].linked.Device.ID), append(externals, decided[i].linked.Assignment.ExternalDeviceID)
	}
	rows, err := r.allow.load(ctx, r, devices, externals)
	if err != nil {
		return err
	}
	for i := range decided {
		d := &decided[i]
		hold := map[tandem.Path]merge.Hold{}
		for k, list := range [][]merge.Edit{d.local, d.send} {
			for _, e := range list {
				c := about(&d.linked)
				c.Side, c.Action, c.Path, c.Before, c.After = []tandem.Side{tandem.LocalSide, tandem.RemoteSide}[k], tandem.ActUpdate, e.Path, value(e.Before), value(e.After)
				if !rows.has(&c) {
					hold[e.Path] = merge.Frozen
				}
			}
		}
		if len(hold) > 0 {
			*d = r.decide(d.linked, d.remote, d.open, hold)
		}
	}
	return nil
}

// limitAllowedOne does the same for one decision.
func (r *run) limitAllowedOne(d *decision) error {
	list := []decision{*d}
	err := r.limitAllowed(context.Background(), list)
	*d = list[0]
	return err
}

// nameLeftOut records the plan's rows that were not done, because something moved since (S27).
func (r *run) nameLeftOut(ctx context.Context) error {
	if r.allow == nil {
		return nil
	}
	if err := r.endPlan(ctx); err != nil {
		return err
	}
	for offset := 0; ; {
		rows, err := r.e.Store.PlanRows(ctx, r.org, r.allow.plan.ID, offset, batchSize)
		if err != nil || len(rows) == 0 {
			return err
		}
		offset += len(rows)
		p := &piece{}
		for i := range rows {
			if !doable(&rows[i]) || !r.allow.leftOut(&rows[i]) {
				continue
			}
			e := r.entry(rows[i], tandem.OutcomeMoved)
			e.Error = "left out: something changed here or on the service since the plan was made, or its device failed as another entry says"
			p.changes.Entries = append(p.changes.Entries, e)
			p.counts.Failed++
		}
		if _, err := r.commit(ctx, []*piece{p}); err != nil {
			return err
		}
	}
}
