package syncer

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"tandem"
	"tandem/merge"
)

// refusals are changes whose old name or hardware id another device has for now.
type refusals struct {
	mu   sync.Mutex
	list []*tandem.Change
}

func (x *refusals) add(was *tandem.Change) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.list = append(x.list, was)
}

func (x *refusals) take() []*tandem.Change {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := x.list
	x.list = nil
	return list
}

// undoTaken tries again what was refused as taken, as long as one gets through: whoever has its name back
// has freed the one that another waits for. A ring of names is opened by a temporary one, as in a sync (S27).
// What stays refused is named.
func (r *run) undoTaken(ctx context.Context, x *refusals) error {
	c := r.startCommitter(context.WithoutCancel(ctx))
	defer c.stop()
	list := x.take()
	for before := -1; len(list) > 0; {
		if len(list) == before {
			opened, err := r.openUndoneRing(ctx, list)
			if err != nil {
				return err
			}
			if !opened {
				break
			}
		}
		before = len(list)
		waits := make(map[string]*tandem.Change, len(list))
		for _, was := range list {
			waits[wantedName(was)] = was
		}
		delete(waits, "")
		through := make(map[*tandem.Change]bool, len(list))
		for _, was := range list {
			for next := was; next != nil && !through[next]; next = waits[freedName(next)] {
				if err := r.border(ctx); err != nil {
					return err
				}
				if err := r.undoDevice(ctx, c, nil, []*tandem.Change{next}, x); err != nil {
					return err
				}
				if len(x.take()) > 0 {
					break // it is tried again when its name is free
				}
				through[next] = true
			}
		}
		list = slices.DeleteFunc(list, func(was *tandem.Change) bool { return through[was] })
	}
	for _, was := range list {
		if err := r.undoDevice(ctx, c, nil, []*tandem.Change{was}, nil); err != nil {
			return err
		}
	}
	return nil
}

// openUndoneRing finds changes each of which waits for the name that the next one has, round to the first, and gives one
// of their devices a temporary name.
func (r *run) openUndoneRing(ctx context.Context, list []*tandem.Change) (bool, error) {
	has := make(map[string]*tandem.Change, len(list))
	changes := make(map[string]int, len(list)) // of a device
	for _, was := range list {
		has[freedName(was)] = was
		changes[was.DeviceID]++
	}
	delete(has, "")
	met := make(map[*tandem.Change]int, len(list)) // by the walk that met it first
	for walk, start := range list {
		at := start
		for at != nil && met[at] == 0 {
			met[at] = walk + 1
			at = has[wantedName(at)]
		}
		if at == nil || met[at] != walk+1 {
			continue
		}
		for first := at; ; { // each of the ring will do, but for one that waits for something else too
			if _, parked := r.parkedAs(at.ExternalDeviceID); !parked && changes[at.DeviceID] == 1 {
				if opened, err := r.parkUndone(ctx, at); opened || err != nil {
					return opened, err
				}
			}
			if at = has[wantedName(at)]; at == first {
				break
			}
		}
	}
	return false, nil
}

// parkUndone gives the device of a rename that is being undone a name of our own for the moment, if it still is as the run left it.
func (r *run) parkUndone(ctx context.Context, was *tandem.Change) (bool, error) {
	found, err := r.pairs(ctx, []string{was.DeviceID})
	if err != nil {
		return false, err
	}
	of, err := undoTarget(found[was.DeviceID], was)
	if err != nil {
		return false, nil // it is named when it is tried for the last time
	}
	now, err := r.readForSettling(ctx, &of.linked, was.Path)
	switch {
	case err != nil && (fatal(err) || ctx.Err() != nil):
		return false, err
	case err != nil || since(was, now.shared.Name) != nil:
		return false, nil
	}
	in := r.intent(&of.linked, tandem.IntentRename, []merge.Edit{{Path: was.Path, Before: decode(was.After), After: decode(was.Before), At: r.now()}})
	in.Changes[0].Note = undoing
	return r.parkAs(ctx, &of.linked, in)
}

// wantedName gives the name that undoing a rename gives back, freedName the one that it frees.
func wantedName(was *tandem.Change) string { return nameIn(was, was.Before) }
func freedName(was *tandem.Change) string  { return nameIn(was, was.After) }

func nameIn(was *tandem.Change, v json.RawMessage) string {
	if was.Path != "name" {
		return ""
	}
	name, _ := decode(v).(string)
	return name
}
