package syncer

import (
	"errors"
	"sync"

	"tandem"
)

// work is what a run comes back to once the listing is read. Only ids and small things: what they
// stand for is read afresh, which a write needs anyway (S23).
type work struct {
	mu       sync.Mutex
	attend   spool[task]      // devices with something for the remote, or that moved
	renamed  spool[task]      // devices with a new name for the remote: last (S27)
	taken    spool[takenName] // renames that were refused for now
	removal  spool[removal]   // what ends a link: counted, then done (S18)
	deferred spool[meeting]   // new remote devices with candidates here: matched after the listing (S12)
	claims   *tally           // how many remote devices may be the same local one
	removals int              // of those in removal, how many a guard counts
	unproven bool             // the listing: nothing is removed on its word (S15)
	names    *plannedNames    // of a dry run
}

// task is a device to be read afresh and merged.
type task struct {
	DeviceID string `json:"d"`
	Counted  bool   `json:"c,omitempty"` // already in the run's processed devices
}

// meeting is a remote device that nothing here is linked to yet, as listed.
type meeting struct {
	Device tandem.RemoteDevice `json:"d"`
	State  bool                `json:"s,omitempty"` // its listing carried the state
}

// removal is one end of a link that the run would make.
type removal struct {
	DeviceID   string        `json:"d"`
	ExternalID string        `json:"x"`
	Action     tandem.Action `json:"a"` // unlink, delete, recreate
	Side       tandem.Side   `json:"s"` // where it acts
	Guarded    bool          `json:"g"` // counted by the guard on deletes
	Deleted    bool          `json:"t"` // the device here was a tombstone when this was decided
	Note       string        `json:"n,omitempty"`
}

func newWork() *work { return &work{claims: newTally(), names: newPlannedNames()} }

func (w *work) toAttend(t task) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.attend.add(t)
}

func (w *work) toRename(t task) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.renamed.add(t)
}

func (w *work) toRemove(x removal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unproven {
		return nil
	}
	if x.Guarded {
		w.removals++
	}
	return w.removal.add(x)
}

// takeRemovals gives what is to be removed, and keeps nothing of it.
func (w *work) takeRemovals() spool[removal] {
	w.mu.Lock()
	defer w.mu.Unlock()
	todo := w.removal
	w.removal = spool[removal]{}
	return todo
}

// removeNothing forgets what was to be removed, now and from now on, and says of how many devices (S15).
func (w *work) removeNothing() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.removal.count
	_ = w.removal.close() // a file without a name: what fails here leaves nothing behind
	w.removal, w.removals, w.unproven = spool[removal]{}, 0, true
	return n
}

func (w *work) close() {
	// The files have no name any more: what fails here leaves nothing behind.
	_ = errors.Join(w.attend.close(), w.renamed.close(), w.taken.close(), w.removal.close(), w.deferred.close())
}

// plannedNames knows which names the remote would have after a plan (S27): what a create or rename
// would find taken is said before it is tried.
type plannedNames struct {
	mu    sync.Mutex
	there *tally
	freed map[string]int
	taken map[string]int
}

func newPlannedNames() *plannedNames {
	return &plannedNames{there: newTally(), freed: map[string]int{}, taken: map[string]int{}}
}

func (n *plannedNames) listed(name string) { n.there.add(name) }

func (n *plannedNames) rename(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.freed[from]++
	n.taken[to]++
}

func (n *plannedNames) created(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taken[name]++
}

// clash reports whether more than one device would have the name in the end.
func (n *plannedNames) clash(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.there.count(name)-n.freed[name]+n.taken[name] > 1
}
