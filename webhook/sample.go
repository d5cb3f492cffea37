package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"tandem"
	"tandem/report"
)

// The bounds of what is kept of refused deliveries.
const (
	samplesPerMinute = 20 // of each service
	sampleRoom       = 256
	sampleBody       = 64 << 10
)

// sampler stores some of the refused deliveries, so that a person can see why nothing arrives. It never holds up a
// reply: what has no room is counted only.
type sampler struct {
	store Store
	clock tandem.Clock
	ids   tandem.IDs
	log   *slog.Logger

	mu     sync.Mutex
	minute time.Time
	taken  map[string]int // in this minute, by service
	closed bool
	queue  chan tandem.Delivery
	done   chan struct{}
}

func newSampler(o *Options) *sampler {
	s := &sampler{store: o.Store, clock: o.Clock, ids: o.IDs, log: o.Log, taken: map[string]int{},
		queue: make(chan tandem.Delivery, sampleRoom), done: make(chan struct{})}
	go s.write()
	return s
}

// add keeps a refused request of a known service. Its body is given only where it is authentic.
func (s *sampler) add(r *http.Request, to *target, why Reason, detail string, body []byte) {
	if !to.known() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock().UTC()
	if minute := now.Truncate(time.Minute); !minute.Equal(s.minute) {
		s.minute = minute
		clear(s.taken)
	}
	if s.closed || s.taken[to.service.ID] >= samplesPerMinute {
		return
	}
	s.taken[to.service.ID]++
	select {
	case s.queue <- s.delivery(r, to, why, detail, body, now):
	default:
	}
}

// delivery makes the row of a refused request. It shares no identity with an authentic one: who forges a delivery must
// not make the true one look like its double (S35).
func (s *sampler) delivery(r *http.Request, to *target, why Reason, detail string, body []byte, now time.Time) tandem.Delivery {
	id := s.ids()
	digest := sha256.Sum256([]byte("refused " + id))
	d := tandem.Delivery{ID: id, OrganizationID: to.service.OrganizationID, ServiceID: to.service.ID, Digest: hex.EncodeToString(digest[:]),
		Type: "unknown", Headers: keptHeaders(r.Header), Body: []byte{}, Status: tandem.DeliveryRefused,
		Error: string(why), ReceivedAt: now}
	if contentType := report.MediaType(r.Header.Get("Content-Type")); word(contentType) {
		d.ContentType = contentType
	}
	if detail != "" {
		d.Error += ": " + strings.ToValidUTF8(detail, "\uFFFD")
	}
	if len(body) > 0 {
		d.Body = body[:min(len(body), sampleBody)]
	}
	return d
}

// write stores what is sampled.
func (s *sampler) write() {
	defer close(s.done)
	for d := range s.queue {
		batch := []tandem.Delivery{d}
		for len(s.queue) > 0 && len(batch) < 100 {
			batch = append(batch, <-s.queue)
		}
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		if _, err := s.store.StoreDeliveries(ctx, batch); err != nil {
			s.log.Warn("refused deliveries were counted, not stored", "n", len(batch), "error", err)
		}
		cancel()
	}
}

// close stores what waits.
func (s *sampler) close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.queue)
	}
	s.mu.Unlock()
	<-s.done
}
