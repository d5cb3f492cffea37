package syncer

import (
	"context"
	"errors"
	"time"

	"tandem"
)

// recover settles the intents that a dead run left open, field by field (S24), before anything else.
func (r *run) recover(ctx context.Context) error {
	open, err := r.e.Store.Intents(ctx, r.org, r.service.ID)
	if err != nil {
		return err
	}
	if r.dry != nil {
		for _, in := range open {
			r.freeze(in.DeviceID)
		}
		if len(open) > 0 {
			r.warn("some remote writes of an earlier run are not settled yet; their devices are left out of this plan")
		}
		return nil
	}
	if len(open) == 0 {
		return nil
	}
	r.enter("recovering", len(open))
	if err := r.outwait(ctx, open); err != nil {
		return err
	}
	// A settlement that is under way has no lease: its intent may have gone meanwhile, or be young. A young
	// one's device is left to the next run.
	if open, err = r.e.Store.Intents(ctx, r.org, r.service.ID); err != nil {
		return err
	}
	now, err := r.e.Store.Now(ctx)
	if err != nil {
		return err
	}
	c := r.startCommitter(context.WithoutCancel(ctx))
	defer c.stop()
	w := newWork()
	defer w.close()
	for _, in := range open {
		if err := r.border(ctx); err != nil {
			return err
		}
		if left := in.Until.Sub(now); left > 0 && left < 2*r.e.longestWrite() { // a clock that jumped makes it longer
			r.freeze(in.DeviceID)
			continue
		}
		if err := r.recoverOne(ctx, w, c, in); err != nil {
			if err = r.notRecovered(ctx, &in, err); err != nil {
				return err
			}
		}
		r.advance(1)
	}
	// This run's devices are those that it meets from now on.
	r.mu.Lock()
	defer r.mu.Unlock()
	r.record.Summary.Processed, r.record.Summary.Successful = 0, 0
	return nil
}

// notRecovered leaves one write whose effect cannot be found out, and its device, to the next run (S26).
func (r *run) notRecovered(ctx context.Context, in *tandem.Intent, err error) error {
	moved := errors.Is(err, errMoved)
	if ctx.Err() != nil || fatal(err) && !moved {
		return err
	}
	r.freeze(in.DeviceID)
	if moved {
		return nil // whoever changed the device is at work on it
	}
	r.fail(in.Changes[0], err)
	return nil
}

// clockGrain is the least step of a database's clock: SQLite tells milliseconds.
const clockGrain = 2 * time.Millisecond

// outwait waits until every write that may still be under way has certainly ended (S19), by the database's clock.
func (r *run) outwait(ctx context.Context, open []tandem.Intent) error {
	now, err := r.e.Store.Now(ctx)
	if err != nil {
		return err
	}
	var wait time.Duration
	for _, in := range open {
		wait = max(wait, in.Until.Sub(now)+clockGrain)
	}
	// A clock that jumped must not hold the run up for longer than a write can last.
	return sleep(ctx, min(wait, r.e.longestWrite()))
}

func (r *run) freeze(deviceID string) {
	if r.frozen == nil {
		r.frozen = map[string]bool{}
	}
	r.frozen[deviceID] = true
}

// frozenByIntent reports whether a device's last remote write is not settled: it is left alone.
func (r *run) frozenByIntent(deviceID string) bool { return r.frozen[deviceID] }

// recoverOne finds out what one remote write did.
func (r *run) recoverOne(ctx context.Context, w *work, c *committer, in tandem.Intent) error {
	if in.Kind == tandem.IntentCreate {
		return r.recoverCreate(ctx, w, c, in)
	}
	linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, []string{in.DeviceID})
	if err != nil {
		return err
	}
	if len(linked) == 0 {
		return r.dropIntent(c, &in)
	}
	l := linked[0]
	rd, err := r.remote.Device(ctx, in.ExternalDeviceID)
	switch {
	case tandem.Is(err, tandem.NotFound) && in.Kind == tandem.IntentDelete:
		return r.removed(ctx, c, &l, &in)
	case tandem.Is(err, tandem.NotFound):
		return r.dropIntent(c, &in) // the listing will tell
	case err != nil && fatal(err):
		return err
	case err != nil && parted(&in, &l.Assignment): // it is no business of the device's any more: asked again by the next run
		r.warn(l.Device.Name + ": what an earlier run wrote to " + in.ExternalDeviceID + " is not known: " + err.Error())
		return nil
	case err != nil:
		r.freeze(in.DeviceID)
		return r.perDevice(ctx, &l, err, false)
	case in.Kind == tandem.IntentDelete:
		return r.dropIntent(c, &in) // it did not happen
	}
	after := r.read(rd, r.now())
	if r.state.metadata != "" && touchesMetadata(&in) {
		if err := r.readStateOf(ctx, &after); err != nil {
			return err
		}
	}
	if in.Temporary != "" && rd.Name == in.Temporary {
		return r.unpark(ctx, w, c, l, in, after)
	}
	open, err := r.e.openOf(ctx, r.org, r.service.ID, &l)
	if err != nil {
		return err
	}
	return r.conclude(ctx, w, c, writeResult{linked: l, intent: in, reply: &after, open: open, counted: true})
}

// dropIntent forgets a write that did not take place; a conflict that it was to settle waits for a person again.
func (r *run) dropIntent(c *committer, in *tandem.Intent) error {
	p := &piece{changes: tandem.Changes{DropIntents: []string{in.ID}}}
	l := tandem.Linked{Device: tandem.Device{ID: in.DeviceID, Name: in.Changes[0].DeviceName}, Assignment: tandem.Assignment{ExternalDeviceID: in.ExternalDeviceID}}
	if err := r.settledConflict(&writeResult{linked: l, intent: *in}, p, false); err != nil {
		return err
	}
	return c.put(p)
}

func touchesMetadata(in *tandem.Intent) bool {
	for _, c := range in.Changes {
		if f, _ := c.Path.Field(); f == tandem.FieldMetadata {
			return true
		}
	}
	return false
}

// openOf gives the open conflicts of one linked device.
func (e *Engine) openOf(ctx context.Context, org, service string, l *tandem.Linked) ([]tandem.Conflict, error) {
	rows, _, err := e.Store.Conflicts(ctx, org, tandem.ConflictFilter{ServiceID: service,
		DeviceIDs: []string{l.Device.ID}, ExternalDeviceIDs: []string{l.Assignment.ExternalDeviceID}, Page: tandem.Page{Limit: 1000}})
	return rows, err
}

// unpark gives a device that was left with a temporary name the one it was to have, or else its old one (S27).
func (r *run) unpark(ctx context.Context, w *work, c *committer, l tandem.Linked, in tandem.Intent, now reading) error {
	target := nameOf(&in)
	old, _ := decode(beforeName(&in)).(string)
	for _, name := range []string{target, old} {
		if err := r.mayWrite(ctx, nil); err != nil {
			return err
		}
		rd, err := r.remote.UpdateDevice(context.WithoutCancel(ctx), in.ExternalDeviceID, tandem.RemotePatch{Name: &name})
		if tandem.Is(err, tandem.Exists) {
			continue
		}
		if err != nil {
			r.freeze(in.DeviceID)
			return r.perDevice(ctx, &l, err, false)
		}
		after := r.read(rd, r.now())
		after.keepState(&now)
		return r.conclude(ctx, w, c, writeResult{linked: l, intent: in, reply: &after, counted: true})
	}
	// Both names are taken: it stays parked, and is tried again when other renames are through.
	r.park(in)
	return nil
}

// recoverCreate looks a device up by the hardware id that its create carried: ours if it carries it,
// else the same create is sent again, verbatim (S14).
func (r *run) recoverCreate(ctx context.Context, w *work, c *committer, in tandem.Intent) error {
	d, err := r.e.Store.Device(ctx, r.org, in.DeviceID)
	if tandem.Is(err, tandem.NotFound) {
		return r.dropIntent(c, &in)
	}
	if err != nil {
		return err
	}
	on, err := r.e.Store.Assignments(ctx, r.org, []string{d.ID})
	if err != nil {
		return err
	}
	found, err := r.findOurs(ctx, in.Create)
	if err != nil {
		return err
	}
	for _, a := range on { // linked meanwhile
		switch {
		case a.ServiceID != r.service.ID || in.Changes[0].Action == tandem.ActRecreate:
		case found != nil && found.ID != a.ExternalDeviceID:
			return r.orphan(c, &in, found.ID)
		default:
			return r.dropIntent(c, &in)
		}
	}
	if in.Changes[0].Action == tandem.ActRecreate {
		return r.recoverRecreate(ctx, w, c, d, in, found)
	}
	switch {
	case found != nil:
		return r.created(ctx, w, c, d, in, *found)
	case d.DeletedAt != nil || !r.createsRemote():
		return r.dropIntent(c, &in) // nobody wants it any more
	}
	return r.createOne(ctx, w, c, d, in)
}
