package store

import (
	"maps"
	"sync"
	"time"

	"tandem"
)

// recentBytes is about how much memory the deliveries take that are kept until they are claimed.
const recentBytes = 32 << 20

// recent keeps deliveries that this process stored lately. A delivery is never rewritten, so that whoever claims it here
// need not read it again; what another process claims, or nobody for long, is forgotten.
type recent struct {
	mu         sync.Mutex
	young, old map[recentKey]tandem.Delivery
	size       int // bytes of the young
}

type recentKey struct{ org, id string }

// keep remembers what was committed.
func (r *recent) keep(deliveries []tandem.Delivery, stored []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range stored {
		d := &deliveries[i]
		if d.Status == tandem.DeliveryRefused {
			continue
		}
		if r.young == nil {
			r.young = map[recentKey]tandem.Delivery{}
		}
		r.young[recentKey{d.OrganizationID, d.ID}] = asRead(d)
		if r.size += len(d.Body) + 1024; r.size > recentBytes/2 {
			r.young, r.old, r.size = nil, r.young, 0
		}
	}
}

// take gives one back, once; its state is not known.
func (r *recent) take(org, id string) (d tandem.Delivery, ok bool) {
	key := recentKey{org, id}
	r.mu.Lock()
	defer r.mu.Unlock()
	if d, ok = r.young[key]; ok {
		delete(r.young, key)
		r.size -= len(d.Body) + 1024
		return d, true
	}
	if d, ok = r.old[key]; ok {
		delete(r.old, key)
	}
	return d, ok
}

// asRead gives what reading the row of a delivery would give, without its state.
func asRead(d *tandem.Delivery) tandem.Delivery {
	read := *d
	read.Headers = maps.Clone(d.Headers)
	if len(d.Headers) == 0 {
		read.Headers = nil
	}
	if len(d.Body) == 0 {
		read.Body = nil
	}
	read.ReceivedAt = asKept(d.ReceivedAt)
	if d.SentAt != nil {
		sent := asKept(*d.SentAt)
		read.SentAt = &sent
		if d.SentAt.IsZero() {
			read.SentAt = nil
		}
	}
	read.Status, read.Attempts, read.NextAt, read.Error, read.ProcessedAt, read.RunID = "", 0, nil, "", nil, ""
	return read
}

// asKept gives an instant as the databases keep it.
func asKept(t time.Time) time.Time { return t.UTC().Round(time.Microsecond) }
