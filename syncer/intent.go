package syncer

import (
	"context"
	"time"

	"tandem"
	"tandem/merge"
)

// maxCalls is for how many calls to the remote an intent lasts at most. What a write needs more of is sent
// as far as the time goes; the next run does the rest.
const maxCalls = 6

// longestWrite is how long an intent can last.
func (e *Engine) longestWrite() time.Duration { return maxCalls*e.writeTimeout() + e.leeway() }

// leeway is how much of a settlement's intent may pass before its write begins.
func (e *Engine) leeway() time.Duration { return max(e.writeTimeout(), e.leaseTTL()/20) }

// intent is a remote write that is about to be made (S24).
func (r *run) intent(l *tandem.Linked, kind tandem.IntentKind, edits []merge.Edit) tandem.Intent {
	in := tandem.Intent{ID: r.e.NewID(), OrganizationID: r.org, ServiceID: r.service.ID, RunID: r.record.ID, DeviceID: l.Device.ID,
		ExternalDeviceID: l.Assignment.ExternalDeviceID, Kind: kind}
	for _, e := range edits {
		change := about(l)
		change.Side, change.Action, change.Path, change.Before, change.After = tandem.RemoteSide, tandem.ActUpdate, e.Path, value(e.Before), value(e.After)
		if r.req.Force {
			change.Note = forced
		}
		in.Changes = append(in.Changes, change)
	}
	r.cover(&in)
	return in
}

// parted reports whether a link is not the one any more that a write was made for: a person has unlinked
// the device since, or linked it to another.
func parted(in *tandem.Intent, a *tandem.Assignment) bool {
	return a.Status == tandem.SyncUnlinked || a.ExternalDeviceID != in.ExternalDeviceID
}

// linkable refuses to change a device's link while a write to the service is under way for it (S24). A
// create counts until it is known what became of it: it may have made a twin there (S14).
func (r *run) linkable(ctx context.Context, op string, d *tandem.Device) error {
	open, err := r.e.Store.Intents(ctx, r.org, r.service.ID)
	if err != nil {
		return err
	}
	now, err := r.e.Store.Now(ctx)
	if err != nil {
		return err
	}
	for _, in := range open {
		switch {
		case in.DeviceID != d.ID:
		case in.Create != nil:
			return tandem.Errorf(tandem.Busy, op, d.Name, "it is being created on the service").WithHint("try again once a sync has told what became of that")
		case now.Before(in.Until):
			return tandem.Errorf(tandem.Busy, op, d.Name, "a change of it is on its way to the service").WithHint("try again in a moment")
		}
	}
	return nil
}

// fence is the token that an intent was made under; a settlement has none.
func (r *run) fence() int64 {
	if r.lease == nil {
		return 0
	}
	return r.lease.fence().Token
}

// cover says in an intent until when it lasts: by then all the calls of a write that begins now have
// certainly ended, by the database's clock (S19). A run's lease is renewed while it waits for its turn;
// a settlement has none, so that its intent lasts a while longer, and not a moment more.
func (r *run) cover(in *tandem.Intent) {
	lasts := time.Duration(r.calls(in)) * r.e.writeTimeout()
	if r.lease == nil {
		lasts += r.e.leeway()
		r.ends.Store(in.ID, time.Now().Add(lasts))
	}
	in.Fence, in.CreatedAt = r.fence(), r.now()
	in.Until = in.CreatedAt.Add(r.databaseAhead + lasts)
}

// calls is how many calls to the remote a write takes at most: one for what a device's own update
// carries, one for each tag that is to be made, and one for each leaf.
func (r *run) calls(in *tandem.Intent) int {
	update, others := 0, 0
	for i := range in.Changes {
		c := &in.Changes[i]
		f, _ := c.Path.Field()
		if f == tandem.FieldMetadata {
			others++
			continue
		}
		update = 1
		if f != tandem.FieldTags {
			continue
		}
		add, _ := apart(toStrings(decode(c.Before)), toStrings(decode(c.After)))
		for _, name := range add {
			if _, known := r.words.id(tandem.TagEntity, name); !known {
				others++
			}
		}
	}
	return min(max(1, update+others), maxCalls)
}

// writing is the context of a remote write: it outlives the cancellation of whoever asked for it, but not
// the intent of a settlement, which is all that keeps others away from the device meanwhile.
func (r *run) writing(ctx context.Context, in *tandem.Intent) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	if ends, ok := r.endOf(in); ok {
		return context.WithDeadline(ctx, ends)
	}
	return context.WithCancel(ctx)
}

// endOf gives when a settlement's write must have ended; nothing for a run's.
func (r *run) endOf(in *tandem.Intent) (time.Time, bool) {
	ends, _ := r.ends.Load(in.ID)
	at, ok := ends.(time.Time)
	return at, ok
}

// mayWrite makes sure that a call to the remote that begins now ends in time: a run's before its lease
// does (S19), a settlement's before its intent does, whose write counts as ended from then on. The
// intent is nil for what needs none.
func (r *run) mayWrite(ctx context.Context, in *tandem.Intent) error {
	if r.lease != nil {
		return r.lease.outlasts(ctx, r.e.writeTimeout())
	}
	if in == nil {
		return nil
	}
	if ends, ok := r.endOf(in); ok && time.Until(ends) < r.e.writeTimeout() {
		return tandem.Errorf(tandem.Stale, "sync", in.Changes[0].DeviceName, "its turn to be written came too late, and nothing was sent").WithHint("try again")
	}
	return nil
}
