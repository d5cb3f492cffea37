package syncer

import (
	"bytes"
	"encoding/hex"
	"hash/maphash"
	"slices"
	"sort"
)

// seen is the set of remote ids that a listing showed. Golioth's ids are 12 bytes in hex and listed
// in ascending order, so that a million of them take 12 MB; others are kept as they are.
type seen struct {
	blocks [][]objectID // each sorted, and after the one before
	late   map[string]struct{}
	last   objectID
	second *seen // of a listing read twice
	count  int
}

type objectID [12]byte

const seenBlock = 8192

// parseObjectID reads 24 lower-case hex digits.
func parseObjectID(id string) (o objectID, ok bool) {
	if len(id) != 2*len(o) {
		return o, false
	}
	n, err := hex.Decode(o[:], []byte(id))
	if err != nil || n != len(o) {
		return o, false
	}
	for i := range len(id) {
		if id[i] >= 'A' && id[i] <= 'F' {
			return o, false
		}
	}
	return o, true
}

// add puts id into the set and reports whether it is new.
func (s *seen) add(id string) bool {
	if s.has(id) {
		return false
	}
	s.count++
	o, ok := parseObjectID(id)
	if !ok || (s.count > 1 && len(s.blocks) > 0 && bytes.Compare(o[:], s.last[:]) < 0) {
		if s.late == nil {
			s.late = map[string]struct{}{}
		}
		s.late[id] = struct{}{}
		return true
	}
	if n := len(s.blocks); n == 0 || len(s.blocks[n-1]) == seenBlock {
		s.blocks = append(s.blocks, make([]objectID, 0, seenBlock))
	}
	n := len(s.blocks) - 1
	s.blocks[n] = append(s.blocks[n], o)
	s.last = o
	return true
}

// has reports whether id is in the set.
func (s *seen) has(id string) bool {
	if _, late := s.late[id]; late {
		return true
	}
	o, ok := parseObjectID(id)
	if !ok || len(s.blocks) == 0 || bytes.Compare(o[:], s.last[:]) > 0 {
		return false
	}
	b := sort.Search(len(s.blocks), func(i int) bool {
		block := s.blocks[i]
		return bytes.Compare(block[len(block)-1][:], o[:]) >= 0
	})
	if b == len(s.blocks) {
		return false
	}
	_, found := slices.BinarySearchFunc(s.blocks[b], o, func(a, b objectID) int { return bytes.Compare(a[:], b[:]) })
	return found
}

// tally counts strings by a 64-bit hash: eight bytes for each, so that a collision, which makes two
// strings look like one, is a one in ten million matter at a million strings and errs towards caution.
type tally struct {
	seed   maphash.Seed
	hashes []uint64
	sorted bool
}

func newTally() *tally { return &tally{seed: maphash.MakeSeed()} }

func (t *tally) add(s string) {
	t.hashes = append(t.hashes, maphash.String(t.seed, s))
	t.sorted = false
}

// count says how often s was added.
func (t *tally) count(s string) int {
	if !t.sorted {
		slices.Sort(t.hashes)
		t.sorted = true
	}
	h := maphash.String(t.seed, s)
	from, found := slices.BinarySearch(t.hashes, h)
	if !found {
		return 0
	}
	n := 0
	for _, other := range t.hashes[from:] {
		if other != h {
			break
		}
		n++
	}
	return n
}

// again begins a second round over the same set: round tells what this round has not shown yet.
func (s *seen) again() { s.second = &seen{} }

// round adds id to the round and reports whether it is new in it. Call it before add.
func (s *seen) round(id string) bool {
	if s.second == nil {
		return !s.has(id)
	}
	return s.second.add(id)
}
