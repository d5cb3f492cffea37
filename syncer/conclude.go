package syncer

import (
	"context"
	"errors"
	"maps"
	"slices"

	"tandem"
	"tandem/merge"
)

// effect is what a remote device shows of one change of an intent (S24).
type effect uint8

const (
	untouched effect = iota // remote = before
	applied                 // remote = after
	foreign                 // neither: someone else wrote it too
	unread                  // its value was not read
)

// effectOf compares one change with what the remote holds now. A set counts by what was added and removed.
func effectOf(c *tandem.Change, now reading) effect {
	f, ok := c.Path.Field()
	if !ok || !now.shared.Known.Has(f) {
		return unread
	}
	v, _ := merge.Value(now.shared, c.Path)
	before, after := decode(c.Before), decode(c.After)
	if f == tandem.FieldTags || f == tandem.FieldHardwareIDs {
		have, was, want := toStrings(v), toStrings(before), toStrings(after)
		hits, misses := 0, 0
		for _, x := range want {
			if !slices.Contains(was, x) {
				count(slices.Contains(have, x), &hits, &misses)
			}
		}
		for _, x := range was {
			if !slices.Contains(want, x) {
				count(!slices.Contains(have, x), &hits, &misses)
			}
		}
		if misses == 0 {
			return applied
		}
		return untouched // what is missing, the next merge adds or removes again (S2)
	}
	switch {
	case same(c.Path, v, after):
		return applied
	case same(c.Path, v, before):
		return untouched
	}
	return foreign
}

func count(yes bool, hits, misses *int) {
	if yes {
		*hits++
	} else {
		*misses++
	}
}

// showsEffect reports whether any of the write's changes can be seen at the remote.
func (r *run) showsEffect(after *writeResult) bool {
	return slices.ContainsFunc(after.intent.Changes, func(c tandem.Change) bool {
		e := effectOf(&c, *after.reply)
		return e == applied || e == foreign
	})
}

// conclude records what a remote write did: its entries, the base it moves, and whatever else its
// reply shows (S23). The intent goes in the same transaction.
func (r *run) conclude(ctx context.Context, w *work, c *committer, after writeResult) error {
	if after.reply == nil {
		return r.concludeRefused(ctx, w, c, after)
	}
	for try := 1; ; try++ {
		p, err := r.concluded(&after)
		if err != nil {
			return err
		}
		err = c.put(p)
		if !errors.Is(err, errMoved) {
			return err
		}
		quiet := context.WithoutCancel(ctx)
		again, err := r.e.Store.LinkedByDevice(quiet, r.org, r.service.ID, []string{after.linked.Device.ID})
		if err != nil || len(again) == 0 {
			return err
		}
		if open, err := r.stillIntended(quiet, after.intent.ID); err != nil || !open {
			return err // another run found the intent and concluded it
		}
		if try > 10*tries {
			return errMoved // the intent stays; the next run settles it
		}
		after.linked = again[0]
		// What moved may be a conflict that someone settled meanwhile.
		if after.open, err = r.e.openOf(quiet, r.org, r.service.ID, &after.linked); err != nil {
			return err
		}
	}
}

// stillIntended reports whether an intent is open: a run and a settlement may meet at one that seemed left behind.
func (r *run) stillIntended(ctx context.Context, id string) (bool, error) {
	open, err := r.e.Store.Intents(ctx, r.org, r.service.ID)
	return slices.ContainsFunc(open, func(in tandem.Intent) bool { return in.ID == id }), err
}

// concluded makes the piece of a write whose outcome the remote shows.
func (r *run) concluded(after *writeResult) (*piece, error) {
	l, in := after.linked, &after.intent
	if parted(in, &l.Assignment) {
		return r.tellAlone(after)
	}
	base := l.Assignment.Base
	over := map[tandem.Path]any{}
	var entries []tandem.Entry
	var disputed []tandem.Conflict
	done, undone := 0, 0
	var ignored []tandem.Path // the service answered yes, and did not do it
	hold := map[tandem.Path]merge.Hold{}
	sent := map[tandem.Path]bool{}
	after.settled = append(slices.Clone(after.settled), r.overridden(after)...)
	for i := range in.Changes {
		change := in.Changes[i]
		change.DeviceName = l.Device.Name
		switch effectOf(&change, *after.reply) {
		case applied:
			done++
			sent[change.Path] = true
			if change.Note == undoing { // it counts as edited there (S29): the next merge carries it here
				hold[""] = merge.Frozen
			} else {
				base = r.moveBase(base, &change, after.reply)
			}
			over[change.Path] = decode(change.Before)
			e := r.entry(change, tandem.OutcomeDone)
			e.RunID = in.RunID
			entries = append(entries, e)
		case untouched, unread:
			undone++
			if after.err == nil && after.answered && effectOf(&change, *after.reply) == untouched {
				ignored = append(ignored, change.Path)
				entries = append(entries, r.failure(change, tandem.Errorf(tandem.Invalid, "sync", l.Device.Name,
					"the service took the new %s and kept the old one", change.Path).WithHint("it is sent again when either side changes it")))
			}
			if after.err != nil {
				entries = append(entries, r.failure(change, after.err))
			}
		case foreign:
			disputed = append(disputed, r.disputed(&l, &change, after))
		}
	}
	l.Assignment.Base = base
	for _, c := range disputed {
		hold[c.FieldName] = merge.Frozen
	}
	open := slices.DeleteFunc(slices.Clone(after.open), func(c tandem.Conflict) bool {
		return sent[c.FieldName] || openAt(disputed, c.FieldName) != nil // these rows are written below
	})
	for i := range open {
		if open[i].ID == in.ConflictID { // it did not come about: the person is asked again
			open[i] = pendingAgain(open[i])
		}
	}
	d := r.decide(l, *after.reply, open, hold)
	d.told = true
	for _, e := range d.send {
		if slices.Contains(ignored, e.Path) { // drift from now on: not sent at every run (S25, S33)
			d.stays[e.Path] = notTaken(&d, e.Path)
		}
	}
	p, err := r.piece(&d)
	if err != nil {
		return nil, err
	}
	if p == nil {
		p = &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID}
	}
	p.pending = nil // met before the write
	a := l.Assignment
	if len(p.changes.UpdateAssignments) > 0 {
		a = p.changes.UpdateAssignments[0]
	}
	now := r.now()
	a.UpdatedAt, a.Error, a.Retries = now, "", 0
	if done > 0 {
		a.LastSync, a.WrittenAt, a.WrittenOver = &now, &now, r.writtenOver(&l.Assignment, over)
		a.RemoteUpdatedAt = &after.reply.device.UpdatedAt
		p.counts.Remote.Updated++
	}
	if len(ignored) > 0 {
		p.counts.Failed, p.counts.Successful = 1, -1
	}
	if undone > 0 && after.err != nil {
		a.Status, a.Error, a.Retries = tandem.SyncError, after.err.Error(), l.Assignment.Retries+1
		p.counts.Failed, p.counts.Successful = 1, -1
	}
	if len(disputed) > 0 {
		a.Status = tandem.SyncConflict
		for _, c := range disputed {
			p.waits(c.ExternalDeviceID, c.FieldName)
		}
	}
	p.changes.UpdateAssignments = []tandem.Assignment{a}
	p.changes.DropIntents = append(p.changes.DropIntents, in.ID)
	p.changes.PutConflicts = append(p.changes.PutConflicts, disputed...)
	p.changes.Entries = append(entries, p.changes.Entries...)
	r.settledBy(after, &d, sent, p)
	if err := r.settledConflict(after, p, done > 0 && undone == 0 && len(disputed) == 0); err != nil {
		return nil, err
	}
	return p, nil
}

// tellAlone makes the piece of a write to a device that a person has unlinked since, or replaced by
// another: it tells what the write did, and changes nothing.
func (r *run) tellAlone(after *writeResult) (*piece, error) {
	in := &after.intent
	p := &piece{deviceID: in.DeviceID, changes: tandem.Changes{DropIntents: []string{in.ID}}}
	for i := range in.Changes {
		if effectOf(&in.Changes[i], *after.reply) != applied {
			continue
		}
		e := r.entry(in.Changes[i], tandem.OutcomeDone)
		e.RunID = in.RunID
		p.changes.Entries, p.counts.Remote.Updated = append(p.changes.Entries, e), 1
	}
	return p, r.settledConflict(after, p, false)
}

// writtenOver gives the values that stand to be read for a while yet (S6): those that this write replaced,
// and those of one just before it.
func (r *run) writtenOver(before *tandem.Assignment, now map[tandem.Path]any) map[tandem.Path]any {
	if !r.justWrote(before) {
		return now
	}
	all := maps.Clone(before.WrittenOver)
	if all == nil {
		return now
	}
	maps.Copy(all, now)
	return all
}

// justWrote reports whether our last write of a device is so young that its old values may still be read (S6).
func (r *run) justWrote(a *tandem.Assignment) bool {
	return a.WrittenAt != nil && r.now().Sub(*a.WrittenAt) < r.e.settleWindow()
}

// moveBase moves the base of a confirmed change: a scalar or leaf to what was sent; a set by element,
// which merging with the reply does.
func (r *run) moveBase(base tandem.Base, c *tandem.Change, reply *reading) tandem.Base {
	if f, _ := c.Path.Field(); f == tandem.FieldTags || f == tandem.FieldHardwareIDs {
		was, _ := merge.Value(base.Remote, c.Path)
		have, before, want := toStrings(valueOf(reply, c.Path)), toStrings(decode(c.Before)), toStrings(decode(c.After))
		var kept []string
		for _, x := range toStrings(was) {
			if slices.Contains(have, x) || slices.Contains(want, x) || !slices.Contains(before, x) {
				kept = append(kept, x)
			}
		}
		for _, x := range want { // only what this write added: the rest of want may never have been here (S7)
			if slices.Contains(have, x) && !slices.Contains(before, x) && !slices.Contains(kept, x) {
				kept = append(kept, x)
			}
		}
		slices.Sort(kept)
		return merge.SetBase(base, c.Path, kept, kept)
	}
	v := decode(c.After)
	return merge.SetBase(base, c.Path, v, v)
}

func valueOf(rd *reading, p tandem.Path) any {
	v, _ := merge.Value(rd.shared, p)
	return v
}

// disputed makes the conflict of a change where the remote shows neither its before nor its after (S24).
func (r *run) disputed(l *tandem.Linked, change *tandem.Change, after *writeResult) tandem.Conflict {
	now := r.now()
	row := tandem.Conflict{ID: r.e.NewID(), OrganizationID: r.org, ServiceID: r.service.ID, RunID: r.record.ID, DeviceID: l.Device.ID,
		DeviceName: l.Device.Name, ExternalDeviceID: l.Assignment.ExternalDeviceID, Type: tandem.ConcurrentModification,
		FieldName: change.Path, Status: tandem.ConflictPending, CreatedAt: now}
	if open := openAt(after.open, change.Path); open != nil {
		row = pendingAgain(*open)
	}
	local, _ := merge.Value(l.Device.Shared(), change.Path)
	row.BaseValue, row.LocalValue, row.RemoteValue = change.Before, value(local), value(valueOf(after.reply, change.Path))
	row.ByHand, row.UpdatedAt = true, now
	row.Explanation = "a write was under way when this value changed on the service too: it shows neither what was there nor what was sent"
	return row
}

// overridden gives the conflicts that a strategy settled by a write whose process died before it could say
// so: what the write replaced was not the base, so someone had changed it there (S8, S24).
func (r *run) overridden(after *writeResult) []merge.Conflict {
	if after.intent.ConflictID != "" {
		return nil // a person settled that one
	}
	base := after.linked.Assignment.Base
	if r.words.anyRenamed() { // what was renamed there is no other value
		base, _ = r.words.follow(base, after.linked.Device.Shared())
	}
	var list []merge.Conflict
	for i := range after.intent.Changes {
		c := &after.intent.Changes[i]
		f, ok := c.Path.Field()
		known := slices.ContainsFunc(after.settled, func(x merge.Conflict) bool { return x.Path == c.Path })
		strategy := r.service.Config.StrategyFor(f)
		if !ok || known || f == tandem.FieldTags || f == tandem.FieldHardwareIDs || c.Note == forced || strategy == tandem.Manual {
			continue // manual settles nothing by itself
		}
		there, was := decode(c.Before), any(nil)
		kind := tandem.InitialMismatch
		if base.Remote.Known.Has(f) {
			kind = tandem.ConcurrentModification
			was, _ = merge.Value(base.Remote, c.Path)
			if same(c.Path, was, there) || same(c.Path, was, decode(c.After)) { // or a settlement beside this run has agreed on it
				continue
			}
			was, _ = merge.Value(base.Local, c.Path)
		} else if there == nil || there == "" {
			continue // S4: an empty side takes the other
		}
		list = append(list, merge.Conflict{Path: c.Path, Type: kind, Base: was, Local: decode(c.After), Remote: there,
			Settled: strategy, Value: decode(c.After)})
	}
	return list
}

// settledBy records the conflicts that a strategy settled by this write, now that it holds (S8).
func (r *run) settledBy(after *writeResult, d *decision, sent map[tandem.Path]bool, p *piece) {
	for i := range after.settled {
		c := &after.settled[i]
		if c.Settled == "" || !sent[c.Path] {
			continue
		}
		row, _ := r.conflictRow(d, c, openAt(after.open, c.Path))
		p.changes.PutConflicts = append(p.changes.PutConflicts, row)
		p.changes.Entries = append(p.changes.Entries, r.conflictEntry(&d.linked, &row))
	}
}

// settledConflict ends, or gives back to the person, the conflict that the write was to settle (S10).
func (r *run) settledConflict(after *writeResult, p *piece, held bool) error {
	id := after.intent.ConflictID
	if id == "" {
		return nil
	}
	c, err := r.e.Store.Conflict(context.Background(), r.org, id)
	if err != nil {
		return err
	}
	if c.Status != tandem.ConflictResolving {
		return nil
	}
	now := r.now()
	if held {
		c.Status, c.ResolvedAt = tandem.ConflictResolved, &now
	} else {
		c = pendingAgain(c)
	}
	c.UpdatedAt = now
	for i := range p.changes.PutConflicts {
		if p.changes.PutConflicts[i].ID == c.ID {
			return nil
		}
	}
	p.changes.PutConflicts = append(p.changes.PutConflicts, c)
	p.changes.Entries = append(p.changes.Entries, r.conflictEntry(&after.linked, &c))
	return nil
}

// pendingAgain gives a conflict back to the person whose settlement did not come about.
func pendingAgain(c tandem.Conflict) tandem.Conflict {
	c.Status, c.ResolutionStrategy, c.ResolvedValue, c.ResolvedBy, c.ResolvedAt = tandem.ConflictPending, "", nil, "", nil
	return c
}

// concludeRefused records that the remote did not take a write. A name that is taken may become free
// when another rename is through; a refused tag is drift, and the rest is tried without it.
func (r *run) concludeRefused(ctx context.Context, w *work, c *committer, after writeResult) error {
	in, l := &after.intent, &after.linked
	p := &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID}
	if in.Temporary == "" || !tandem.Is(after.err, tandem.Exists) { // a parked device keeps its intent
		p.changes.DropIntents = []string{in.ID}
	}
	retry := errors.Is(after.err, errTagRefused)
	taken := tandem.Is(after.err, tandem.Exists) && w != nil && hasName(in)
	if !retry && !taken {
		for _, change := range in.Changes {
			p.changes.Entries = append(p.changes.Entries, r.failure(change, after.err))
		}
		a := l.Assignment
		a.Status, a.Error, a.Retries, a.UpdatedAt = tandem.SyncError, after.err.Error(), a.Retries+1, r.now()
		p.changes.UpdateAssignments = []tandem.Assignment{a}
		p.counts.Failed, p.counts.Successful = 1, -1
	}
	if err := r.settledConflict(&after, p, false); err != nil {
		return err
	}
	if err := c.put(p); err != nil {
		return err
	}
	switch {
	case retry:
		return errMoved
	case taken:
		w.mu.Lock()
		defer w.mu.Unlock()
		t := takenName{DeviceID: l.Device.ID, ExternalID: in.ExternalDeviceID, Name: nameOf(in)}
		if slices.ContainsFunc(in.Changes, func(c tandem.Change) bool { return c.Path == "hardware_ids" }) {
			t.Error = after.err.Error()
		}
		return w.taken.add(t)
	case fatal(after.err):
		return after.err
	case tandem.Is(after.err, tandem.NotFound) && w != nil:
		return r.vanished(ctx, w, c, *l, true)
	}
	return nil
}

func hasName(in *tandem.Intent) bool { return nameOf(in) != "" }

// nameOf gives the name that an intent wants to give.
func nameOf(in *tandem.Intent) string {
	for _, c := range in.Changes {
		if c.Path == "name" {
			name, _ := decode(c.After).(string)
			return name
		}
	}
	return ""
}
