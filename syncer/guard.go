package syncer

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/merge"
)

// guards is what the guards decided about this run (S18).
type guards struct {
	changesHeld  atomic.Bool // exports of enabled and cohort
	removalsHeld bool
	approved     bool // a person let them through

	mu       sync.Mutex
	rollouts map[uint64]struct{} // devices whose enabled or cohort goes to the remote, by hash
	known    bool                // earlier and linked
	earlier  int                 // rollouts within 24 hours, before this run
	linked   int
}

// guardWindow is over what time the guards count.
const guardWindow = 24 * time.Hour

// guardFloor is how many devices every guard lets through.
const guardFloor = 5

// overLimit decides whether n more are too many of linked devices, by S18: more than the ratio (at
// least five), or more than half of them.
func overLimit(n, earlier, linked int, ratio float64) bool {
	if n == 0 {
		return false
	}
	return aboveRatio(n+earlier, linked, ratio) || 2*(n+earlier) > linked
}

// aboveRatio decides whether n changes are too many of linked devices: more than the ratio, at least five.
// Exports of enabled and cohort go by it alone: in a fleet of one or two, the half that guards deletions
// would hold back every single one of them (docs/decisions/0013).
func aboveRatio(n, linked int, ratio float64) bool {
	return n > max(guardFloor, int(ratio*float64(linked)))
}

// decideGuards looks at what the run would remove and roll out, before any of it is done.
func (r *run) decideGuards(ctx context.Context, w *work, l *listed) error {
	if err := r.guardRemovals(ctx, w, l); err != nil {
		return err
	}
	return r.guardRollouts(ctx)
}

// guardRemovals holds deletes, unlinks and recreates back where they are too many. It decides again once
// everything was looked at: a device may have vanished under a write.
func (r *run) guardRemovals(ctx context.Context, w *work, l *listed) error {
	if w.removals == 0 || r.guard.approved || r.guard.removalsHeld {
		return nil
	}
	linked, err := r.e.Store.LinkedCount(ctx, r.org, r.service.ID)
	if err != nil {
		return err
	}
	earlier, err := r.e.Store.Removals(ctx, r.org, r.service.ID, r.now().Add(-guardWindow))
	if err != nil {
		return err
	}
	empty, ratio := l != nil && l.empty, r.service.Config.Guards.MaxDelete
	over := overLimit(w.removals, earlier, linked+earlier, ratio)
	if r.record.Operation == tandem.OpRevert { // a person asked for it by name (docs/decisions/0013)
		over = aboveRatio(w.removals+earlier, linked+earlier, ratio)
	}
	if empty || over {
		r.guard.removalsHeld = true
		text := fmt.Sprintf("%d devices would be deleted, unlinked or recreated of %d linked%s", w.removals, linked, earlierText(earlier))
		if empty {
			text = fmt.Sprintf("the service lists no device at all, where %d were linked", linked)
		}
		r.block(text)
	}
	return nil
}

// earlierText says how many a guard counts from before, where there are any.
func earlierText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %d more were within 24 hours", n)
}

// rollsOut reports whether an edit for the remote is one that the guard on changes counts.
func rollsOut(e merge.Edit) bool { return e.Path == "enabled" || e.Path == "cohort" }

// countRollout counts a device whose enabled or cohort goes to the remote, once in a run.
func (r *run) countRollout(d *decision) {
	if slices.ContainsFunc(d.send, rollsOut) {
		r.countRolledOut(d.linked.Device.ID)
	}
}

func (r *run) countRolledOut(deviceID string) {
	r.guard.mu.Lock()
	defer r.guard.mu.Unlock()
	if r.guard.rollouts == nil {
		r.guard.rollouts = map[uint64]struct{}{}
	}
	r.guard.rollouts[maphash.String(r.metSeed, deviceID)] = struct{}{}
}

// guardRollouts holds exports of enabled and cohort back where they are of too many devices. What was done
// earlier is counted before this run does any.
func (r *run) guardRollouts(ctx context.Context) error {
	g := &r.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	n := len(g.rollouts)
	if n == 0 || g.approved || g.changesHeld.Load() {
		return nil
	}
	if !g.known {
		var err error
		if g.linked, err = r.e.Store.LinkedCount(ctx, r.org, r.service.ID); err != nil {
			return err
		}
		if g.earlier, err = r.e.Store.Rollouts(ctx, r.org, r.service.ID, r.now().Add(-guardWindow)); err != nil {
			return err
		}
		g.known = true
	}
	if aboveRatio(n+g.earlier, g.linked, r.service.Config.Guards.MaxChange) {
		g.changesHeld.Store(true)
		r.block(fmt.Sprintf("enabled or cohort of %d devices would be changed on the service of %d linked%s", n, g.linked, earlierText(g.earlier)))
	}
	return nil
}

// guardOne guards a device that is about to be written, however the run came to it.
func (r *run) guardOne(ctx context.Context, d *decision) error {
	if !slices.ContainsFunc(d.send, rollsOut) {
		return nil
	}
	r.countRollout(d)
	if err := r.guardRollouts(ctx); err != nil || !r.guard.changesHeld.Load() {
		return err
	}
	var send []merge.Edit
	for _, e := range d.send {
		if rollsOut(e) {
			d.held = append(d.held, e)
		} else {
			send = append(send, e)
		}
	}
	d.send = send
	return nil
}

// foresee counts what a run about some devices would roll out by what was edited here, before it writes the
// first of them: there is no listing that tells.
func (r *run) foresee(ctx context.Context, ids []string) error {
	for some := range slices.Chunk(ids, batchSize) {
		linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, some)
		if err != nil {
			return err
		}
		open, err := r.openConflicts(ctx, nil, some)
		if err != nil {
			return err
		}
		var list []decision
		for _, l := range linked {
			if l.Assignment.Status != tandem.SyncUnlinked && l.Assignment.SyncEnabled && l.Device.DeletedAt == nil {
				list = append(list, r.decide(l, reading{shared: l.Assignment.Base.Remote}, open[l.Assignment.ExternalDeviceID], nil))
			}
		}
		if err := r.limitAllowed(ctx, list); err != nil {
			return err
		}
		for i := range list {
			r.countRollout(&list[i])
		}
	}
	return nil
}

func (r *run) block(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.details.BlockedBy != "" {
		text = r.details.BlockedBy + "; " + text
	}
	r.details.BlockedBy = text
}

// undoGuarded reports whether undoing an entry is something that the guards count: it deletes what a run
// created, or rolls an old value out. rollout says which of the two.
func undoGuarded(was *tandem.Change) (guarded, rollout bool) {
	rollout = was.Side == tandem.RemoteSide && was.Action == tandem.ActUpdate && rollsOut(merge.Edit{Path: was.Path})
	return rollout || was.Action == tandem.ActCreate, rollout
}

// guardUndo lets the undoing of an entry through, or holds it back for a person, with those like it (S18).
// With an approval, only what was held back is undone.
func (r *run) guardUndo(c *committer, l *tandem.Linked, was *tandem.Change) (through bool, err error) {
	guarded, rollout := undoGuarded(was)
	if !guarded {
		return r.allow == nil, nil
	}
	change := about(l)
	change.Side, change.Action, change.Before = was.Side, tandem.ActDelete, was.After
	held := r.guard.removalsHeld
	if rollout {
		held = r.guard.changesHeld.Load()
		change.Action, change.Path, change.After = tandem.ActUpdate, was.Path, was.Before
	}
	if !r.allows(change) {
		return false, nil
	}
	if !held {
		return true, nil
	}
	change.Note = undoing + "; held back by the guard"
	return false, c.put(&piece{counts: tandem.Summary{Processed: 1, Successful: 1}, changes: tandem.Changes{Entries: []tandem.Entry{r.entry(change, tandem.OutcomeHeld)}}})
}

// baseValue gives a field's value whole, metadata as a map.
func baseValue(s tandem.Shared, p tandem.Path) any {
	switch p {
	case "name":
		return s.Name
	case "enabled":
		return s.Enabled
	case "hardware_ids":
		return s.HardwareIDs
	case "tags":
		return s.Tags
	case "blueprint":
		return s.Blueprint
	case "cohort":
		return s.Cohort
	case "metadata":
		return asAny(s.Metadata)
	}
	return nil
}
