package syncer

import (
	"context"
	"fmt"
	"time"

	"tandem"
)

// guards is what the guards decided about this run (S18).
type guards struct {
	changesHeld  bool // exports of enabled and cohort
	removalsHeld bool
	approved     bool // a person let them through
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

// decideGuards counts what the run would remove and roll out, before any of it is done.
func (r *run) decideGuards(ctx context.Context, w *work, l *listed) error {
	if w.removals+w.rollouts == 0 || r.guard.approved {
		return nil
	}
	linked, err := r.e.Store.LinkedCount(ctx, r.org, r.service.ID)
	if err != nil {
		return err
	}
	since := r.now().Add(-guardWindow)
	g := r.service.Config.Guards
	if w.removals > 0 {
		earlier, err := r.e.Store.Removals(ctx, r.org, r.service.ID, since)
		if err != nil {
			return err
		}
		empty := l != nil && l.empty
		if empty || overLimit(w.removals, earlier, linked+earlier, g.MaxDelete) {
			r.guard.removalsHeld = true
			text := fmt.Sprintf("%d devices would be deleted, unlinked or recreated (%d more within 24 hours) of %d linked", w.removals, earlier, linked)
			if empty {
				text = fmt.Sprintf("the service lists no device at all, where %d were linked", linked)
			}
			r.block(text)
		}
	}
	if w.rollouts > 0 {
		earlier, err := r.e.Store.Rollouts(ctx, r.org, r.service.ID, since)
		if err != nil {
			return err
		}
		if aboveRatio(w.rollouts+earlier, linked, g.MaxChange) {
			r.guard.changesHeld = true
			r.block(fmt.Sprintf("enabled or cohort of %d devices would be changed on the service (%d more within 24 hours) of %d linked", w.rollouts, earlier, linked))
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

// guardRemovals decides again once everything was looked at: a device may have vanished under a write.
func (r *run) guardRemovals(ctx context.Context, w *work, l *listed) error {
	if r.guard.removalsHeld {
		return nil
	}
	rollouts := w.rollouts
	w.rollouts = 0
	defer func() { w.rollouts = rollouts }()
	return r.decideGuards(ctx, w, l)
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
