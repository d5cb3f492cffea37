package syncer_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
	"tandem/syncer"
)

// TestS30OneBusyReplyIsNotTheBreaker: a 503 with a Retry-After fails its device; a remote that is not asked any more ends the run.
func TestS30OneBusyReplyIsNotTheBreaker(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cause  error
		status tandem.RunStatus
	}{
		{"one reply", errors.New("HTTP 503"), tandem.RunPartial},
		{"the breaker", tandem.ErrBreakerOpen, tandem.RunFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h hooks
			w := newWorld(t, h.hooked())
			ids := w.remotes("gate", 4)
			w.completed(w.sync(tandem.OpBidirectional))
			for _, id := range ids[:2] {
				w.setHere(w.localOf(id).ID, "tags", []string{"blue"})
			}
			var written atomic.Bool // the breaker refuses what comes after, too
			h.on(func(call, thing string) error {
				if thing != ids[0] {
					return nil
				}
				if call == "remote update" {
					written.Store(true)
				}
				if call == "remote update" || written.Load() && errors.Is(tt.cause, tandem.ErrBreakerOpen) {
					return &tandem.Error{Code: tandem.Unavailable, Message: "busy", RetryAfter: time.Second, Err: tt.cause}
				}
				return nil
			}, nil)
			run, err := w.run(syncer.Request{Operation: tandem.OpBidirectional})
			w.equal(err != nil, tt.status == tandem.RunFailed)
			w.equal(run.Status, tt.status)
			if tt.status == tandem.RunPartial {
				w.equal(w.remoteTags(ids[1]), []string{"blue"})
				w.equal(w.count(run, tandem.ActUpdate, tandem.OutcomeFailed), 1)
			}
			h.on(nil, nil)
			w.completed(w.sync(tandem.OpBidirectional))
			w.equal(w.remoteTags(ids[0]), []string{"blue"})
		})
	}
}
