package audit

import (
	"encoding/hex"
	"slices"

	"tandem"
)

// walk checks a chain place by place. It reads nothing: whoever drives it hands it the places in order.
type walk struct {
	result *Result
	at     Head // the place before
	// broken are places whose entry does not fit their seal, for finding out whether they were exchanged.
	broken []place
	// doubt is the place before when its entry does not fit: the next seal says whether the entry or the seal was changed.
	doubt *place
	// gap is the place before when nothing is known of what stood there.
	gap bool
}

// place is what stands at one place of the chain.
type place struct {
	seal    tandem.AuditSeal
	entry   string
	encoded []byte
	hash    string // as recomputed
	problem int    // index of its problem, -1 when that list is full
}

// step checks the next place.
func (w *walk) step(e tandem.SealedEntry) {
	seal := *e.Seal
	w.result.Sealed++
	switch {
	case seal.Seq <= w.at.Seq:
		w.result.add(Inserted, seal.Seq, e.ID, "two entries stand at one place, or the places are not in order: entry %s", e.ID)
		return
	case seal.Seq > w.at.Seq+1:
		w.missing(seal.Seq)
	}
	w.settleDoubt(&seal)
	if !w.gap && seal.Previous != w.at.Hash && seal.Seq == w.at.Seq+1 {
		w.result.add(Inserted, seal.Seq, e.ID, "entry %s does not follow the place before it: one of the two was changed or put there later", e.ID)
	}
	w.gap = false
	w.content(&e, &seal)
	w.at = Head{OrganizationID: w.at.OrganizationID, Seq: seal.Seq, Hash: seal.Hash, At: seal.SealedAt}
}

// missing enters the places before seq that nothing stands at.
func (w *walk) missing(seq int64) {
	first, last := w.at.Seq+1, seq-1
	if first == last {
		w.result.add(Removed, first, "", "the entry at place %d is gone", first)
	} else {
		w.result.add(Removed, first, "", "the entries at the places %d to %d are gone", first, last)
	}
	w.doubt, w.gap = nil, true
}

// content checks that an entry is the one that was sealed.
func (w *walk) content(e *tandem.SealedEntry, seal *tandem.AuditSeal) {
	if e.ID == "" { // a seal whose entry is gone
		w.result.add(Removed, seal.Seq, seal.EntryID, "the entry %s at place %d is gone", seal.EntryID, seal.Seq)
		return
	}
	encoded := Encode(e.AuditEntry)
	hash := hashOf(seal.Previous, seal.Seq, encoded)
	if hash == seal.Hash && e.ID == seal.EntryID && e.OrganizationID == w.at.OrganizationID {
		return
	}
	w.result.add(Changed, seal.Seq, e.ID, "the entry %s at place %d is not what it was when it was sealed", e.ID, seal.Seq)
	p := place{seal: *seal, entry: e.ID, encoded: encoded, hash: hash, problem: len(w.result.Problems) - 1}
	if w.result.More > 0 {
		return
	}
	w.broken = append(w.broken, p)
	w.doubt = &p
}

// settleDoubt decides by what follows it whether a place's entry or its seal was changed.
func (w *walk) settleDoubt(following *tandem.AuditSeal) {
	if d := w.doubt; d != nil && following.Previous == d.hash && following.Previous != d.seal.Hash {
		p := &w.result.Problems[d.problem]
		p.Kind, p.Message = Resealed, "the seal of entry "+d.entry+" was changed; the entry itself is what it was"
		w.at.Hash = d.hash
	}
	w.doubt = nil
}

// finish names the entries among the broken ones that were sealed at one another's places.
func (w *walk) finish() {
	for i := range w.broken {
		p := &w.result.Problems[w.broken[i].problem]
		if p.Kind != Changed {
			continue
		}
		at := slices.IndexFunc(w.broken, func(other place) bool {
			return other.seal.Seq != w.broken[i].seal.Seq &&
				hashOf(other.seal.Previous, other.seal.Seq, w.broken[i].encoded) == other.seal.Hash
		})
		if at >= 0 {
			p.Kind = Reordered
			p.Message = "the entry " + w.broken[i].entry + " was sealed at place " + itoa(w.broken[at].seal.Seq) +
				" and now stands at place " + itoa(p.Seq)
		}
	}
	w.broken = nil
	w.result.Head = w.at
}

// wellFormed reports whether a text could be a hash.
func wellFormed(hash string) bool {
	b, err := hex.DecodeString(hash)
	return err == nil && len(b) == 32
}
