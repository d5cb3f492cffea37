package server

import (
	"crypto/sha256"
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The buckets' bounds: shards, and buckets in each. When a shard is full, one that has not been used for long makes room.
const (
	shards    = 64
	perShard  = 1024
	evictLook = 16
)

// rates are the buckets of one process: by address, by token, by service and by address of deliveries.
type rates struct {
	address, token, service, sender, devices *buckets
}

// newRates makes empty buckets.
func newRates(l Limits) *rates {
	return &rates{
		address: newBuckets(l.AddressRate, l.AddressBurst), token: newBuckets(l.TokenRate, l.TokenBurst),
		service: newBuckets(l.WebhookRate, l.WebhookBurst), sender: newBuckets(l.WebhookRate, l.WebhookBurst),
		devices: newBuckets(l.IngestRate, l.IngestBurst),
	}
}

// allow takes what a request costs, or says how long to wait. A token does not free an address from its rate: anybody can
// invent tokens.
func (l *rates) allow(r *http.Request, kind Kind, now time.Time) (wait time.Duration, ok bool) {
	address := addressKey(addressOf(r))
	if kind == Webhook {
		if wait, ok = l.sender.take(address, now); ok {
			wait, ok = l.service.take(r.PathValue("service_id"), now)
		}
		return wait, ok
	}
	if kind == Ingest {
		return l.devices.take(address, now)
	}
	if wait, ok = l.address.take(address, now); !ok {
		return wait, false
	}
	if authorization := r.Header.Get("Authorization"); authorization != "" {
		sum := sha256.Sum256([]byte(authorization))
		return l.token.take(string(sum[:16]), now)
	}
	return 0, true
}

// buckets are token buckets by key, as many as fit.
type buckets struct {
	rate  rate.Limit
	burst int
	seed  maphash.Seed
	shard [shards]shard
}

// shard is a part of them under one lock.
type shard struct {
	mu  sync.Mutex
	all map[string]*bucket
}

// bucket is one of them.
type bucket struct {
	*rate.Limiter
	used time.Time
}

// newBuckets makes buckets of one size; nil for a negative rate, which limits nothing.
func newBuckets(perSecond float64, burst int) *buckets {
	if perSecond < 0 {
		return nil
	}
	return &buckets{rate: rate.Limit(perSecond), burst: max(burst, 1), seed: maphash.MakeSeed()}
}

// take takes one from a key's bucket, or says when there will be one.
func (b *buckets) take(key string, now time.Time) (wait time.Duration, ok bool) {
	if b == nil {
		return 0, true
	}
	s := &b.shard[maphash.String(b.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[key]
	if one == nil {
		if s.all == nil {
			s.all = map[string]*bucket{}
		}
		if len(s.all) >= perShard {
			s.evict()
		}
		one = &bucket{Limiter: rate.NewLimiter(b.rate, b.burst)}
		s.all[key] = one
	}
	one.used = now
	if one.AllowN(now, 1) {
		return 0, true
	}
	missing := 1 - one.TokensAt(now)
	return time.Duration(missing / float64(b.rate) * float64(time.Second)), false
}

// evict drops the least recently used of some buckets; a map gives them in no order.
func (s *shard) evict() {
	var oldest string
	var at time.Time
	looked := 0
	for key, one := range s.all {
		if looked == 0 || one.used.Before(at) {
			oldest, at = key, one.used
		}
		if looked++; looked == evictLook {
			break
		}
	}
	delete(s.all, oldest)
}
