package syncer

import (
	"context"
	"errors"
	"maps"
	"slices"

	"tandem"
)

// A run is taken back from its last entry to its first. What many devices were changed in is undone by
// many workers; what one device went through keeps its order.

// undoChunk is how many entries are read at once.
const undoChunk = 200

// undo walks the run's entries and changes back what still is as the run left it.
func (r *run) undo(ctx context.Context, runID string) error {
	r.enter("contacting", 0)
	var err error
	if r.remote, err = r.e.connect(ctx, r.service); err != nil {
		return err
	}
	if _, err := r.identifyProject(ctx); err != nil {
		return err
	}
	r.anyConflicts = true
	if err := r.loadAllowed(ctx); err != nil {
		return err
	}
	if err := r.recover(ctx); err != nil {
		return err
	}
	if r.anyConflicts, err = r.hasConflicts(ctx); err != nil {
		return err
	}
	w := newWork()
	defer w.close()
	total, err := r.foreseeUndo(ctx, w, runID)
	if err != nil {
		return err
	}
	r.enter("undoing", total)
	refused := &refusals{}
	if err := r.eachDone(ctx, runID, func(rows []tandem.Entry) error {
		for len(rows) > 0 {
			n := together(rows)
			if err := r.undoTogether(ctx, rows[:n], refused); err != nil {
				return err
			}
			rows = rows[n:]
		}
		return nil
	}); err != nil {
		return err
	}
	if err := r.undoTaken(ctx, refused); err != nil {
		return err
	}
	if err := r.endPlan(ctx); err != nil {
		return err
	}
	return r.storeHeld(ctx)
}

// eachDone gives what a run did, the last first, some at a time.
func (r *run) eachDone(ctx context.Context, runID string, give func([]tandem.Entry) error) error {
	var before tandem.EntryPlace
	for {
		if err := r.border(ctx); err != nil {
			return err
		}
		rows, err := r.e.Store.DoneEntries(ctx, r.org, runID, before, undoChunk)
		if err != nil || len(rows) == 0 {
			return err
		}
		before = tandem.EntryPlace{CreatedAt: rows[len(rows)-1].CreatedAt, ID: rows[len(rows)-1].ID}
		if err := give(rows); err != nil {
			return err
		}
	}
}

// foreseeUndo counts the entries, and what undoing would delete and roll out before any of it is done (S18).
func (r *run) foreseeUndo(ctx context.Context, w *work, runID string) (total int, err error) {
	err = r.eachDone(ctx, runID, func(rows []tandem.Entry) error {
		total += len(rows)
		for i := range rows {
			switch guarded, rollout := undoGuarded(&rows[i].Change); {
			case rollout:
				r.countRolledOut(rows[i].DeviceID)
			case guarded:
				w.removals++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return total, r.decideGuards(ctx, w, nil)
}

// bearing says what undoing an entry means for other devices. Names and hardware ids, which one device
// frees for another, are not among it: what is refused as taken is tried again at the end (undoTaken).
type bearing uint8

const (
	none  bearing = iota // nothing
	frees                // a device on the service may be had by another afterwards
	takes                // it needs a device on the service that another may have had
)

func bearingOf(was *tandem.Change) bearing {
	switch was.Action {
	case tandem.ActCreate, tandem.ActLink:
		return frees
	case tandem.ActUnlink, tandem.ActDelete:
		return takes
	case tandem.ActUpdate, tandem.ActRecreate, tandem.ActConflict, tandem.ActSettle, tandem.ActDrift, tandem.ActRename, tandem.ActRead:
	}
	return none
}

// together gives how many of the entries, from the first, can be undone in any order across devices.
func together(rows []tandem.Entry) int {
	all := none
	for i := range rows {
		one := bearingOf(&rows[i].Change)
		if one != none && all != none && one != all {
			return i
		}
		all = max(all, one)
	}
	return len(rows)
}

// undoTogether undoes entries, those of a device one after another.
func (r *run) undoTogether(ctx context.Context, rows []tandem.Entry, refused *refusals) error {
	of := map[string][]*tandem.Change{}
	var ids []string
	for i := range rows {
		was := &rows[i].Change
		if !doable(was) {
			r.advance(1)
			continue
		}
		if len(of[was.DeviceID]) == 0 {
			ids = append(ids, was.DeviceID)
		}
		of[was.DeviceID] = append(of[was.DeviceID], was)
	}
	if len(ids) == 0 {
		return nil
	}
	pairs, err := r.pairs(ctx, ids)
	if err != nil {
		return err
	}
	return r.inParallel(ctx, func(ctx context.Context, c *committer, give func(func() error) error) error {
		for _, id := range ids {
			if err := give(func() error { return r.undoDevice(ctx, c, pairs[id], of[id], refused) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// pair is a device here with the one there, and the open conflicts about them.
type pair struct {
	linked tandem.Linked
	open   []tandem.Conflict
}

// pairs loads the pairs of some devices.
func (r *run) pairs(ctx context.Context, ids []string) (map[string]*pair, error) {
	linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[string]*pair, len(linked))
	var externals []string
	for i := range linked {
		found[linked[i].Device.ID] = &pair{linked: linked[i]}
		if id := linked[i].Assignment.ExternalDeviceID; id != "" {
			externals = append(externals, id)
		}
	}
	open, err := r.openConflicts(ctx, externals, ids)
	if err != nil || len(open) == 0 {
		return found, err
	}
	here := map[string][]tandem.Conflict{}
	for _, c := range slices.Concat(slices.Collect(maps.Values(open))...) {
		here[c.DeviceID] = append(here[c.DeviceID], c)
	}
	for id, p := range found {
		p.open = here[id]
		for _, c := range open[p.linked.Assignment.ExternalDeviceID] {
			if c.DeviceID != id {
				p.open = append(p.open, c)
			}
		}
	}
	return found, nil
}

// undoDevice undoes what a device went through. After a change of it, and where somebody else changed it, it is
// read again. What is refused as taken goes to later, or, where there is no later, is named.
func (r *run) undoDevice(ctx context.Context, c *committer, of *pair, list []*tandem.Change, later *refusals) error {
	for i, was := range list {
		for try := 1; ; try++ {
			if of == nil || try > 1 || i > 0 && r.dry == nil {
				again, err := r.pairs(ctx, []string{was.DeviceID})
				if err != nil {
					return err
				}
				of = again[was.DeviceID]
			}
			err := r.undoOne(ctx, c, of, was, later)
			if errors.Is(err, errTakenForNow) {
				later.add(was)
				break
			}
			if errors.Is(err, errMoved) {
				if try < tries {
					continue
				}
				err = r.cannotUndo(ctx, c, was, tandem.Errorf(tandem.Stale, "revert", was.DeviceName, "it is being changed right now"))
			}
			if err != nil {
				return err
			}
			r.advance(1)
			break
		}
	}
	return nil
}

// undoOne undoes one entry, or says why not; errMoved where the device was changed since it was read.
func (r *run) undoOne(ctx context.Context, c *committer, found *pair, was *tandem.Change, later *refusals) error {
	of, err := undoTarget(found, was)
	if err != nil {
		return r.cannotUndo(ctx, c, was, err)
	}
	l := &of.linked
	if through, err := r.guardUndo(c, l, was); err != nil || !through {
		return err
	}
	switch was.Action {
	case tandem.ActUpdate:
		err = r.undoUpdate(ctx, c, &of, was, later != nil)
	case tandem.ActCreate:
		err = r.undoCreate(ctx, c, &of, was)
	case tandem.ActLink:
		err = c.put(r.unlinkPiece(l, undoing, of.open))
	case tandem.ActUnlink, tandem.ActDelete:
		err = r.undoEnd(c, l, was)
	case tandem.ActRecreate:
		err = tandem.Errorf(tandem.Invalid, "revert", was.DeviceName, "it was created anew on the service: its old id, credentials and data there are gone")
	case tandem.ActConflict, tandem.ActSettle, tandem.ActDrift, tandem.ActRename, tandem.ActRead:
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errMoved), errors.Is(err, errTakenForNow), ctx.Err() != nil, fatal(err):
		return err
	}
	return r.cannotUndo(ctx, c, was, err)
}

// undoTarget gives the pair that an entry is about, of its own: the same device here with the same one there.
func undoTarget(found *pair, was *tandem.Change) (pair, error) {
	if found == nil {
		return pair{}, tandem.Errorf(tandem.NotFound, "revert", was.DeviceName, "the device is not on this service any more")
	}
	hereAlone := was.Side == tandem.LocalSide && was.Action == tandem.ActUpdate
	if now := found.linked.Assignment.ExternalDeviceID; !hereAlone && was.ExternalDeviceID != "" && was.ExternalDeviceID != now {
		return pair{}, tandem.Errorf(tandem.Stale, "revert", was.DeviceName, "it is linked to another device there since: to %s, and the run was about %s", now, was.ExternalDeviceID).
			WithHint("do by hand what you still want undone")
	}
	return *found, nil
}

// cannotUndo names what is left as it is.
func (r *run) cannotUndo(ctx context.Context, c *committer, was *tandem.Change, why error) error {
	if fatal(why) || ctx.Err() != nil {
		return why
	}
	change := *was
	change.Before, change.After = was.After, was.Before
	change.Note = "not undone"
	return c.put(&piece{counts: tandem.Summary{Processed: 1, Failed: 1}, changes: tandem.Changes{Entries: []tandem.Entry{r.failure(change, why)}}})
}
