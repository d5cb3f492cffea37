package syncer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"tandem"
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
			run, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional})
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

// TestS26TextThatCannotBeStored: what the store does not take of one device fails that one, whether it is
// new, has something for here, or something for there.
func TestS26TextThatCannotBeStored(t *testing.T) {
	w := newWorld(t, config(withMetadata), wrapStore(func(s tandem.Store) tandem.Store { return pickyStore{s} }))
	ids := w.remotes("gate", 5)
	w.setState(ids[1], "info/note", unkeepable)
	run := w.sync(tandem.OpBidirectional)
	w.ended(run, tandem.RunPartial)
	w.equal(w.names(), []string{"gate-000", "gate-002", "gate-003", "gate-004"})
	w.equal(run.Summary.Failed, 1)
	w.setState(ids[1], "info/note", "fine")
	w.completed(w.sync(tandem.OpBidirectional))

	w.setState(ids[1], "info/note", unkeepable)
	w.setState(ids[2], "info/note", unkeepable)
	w.setHere(w.localOf(ids[2]).ID, "name", "kept back")
	w.setHere(w.localOf(ids[3]).ID, "name", "renamed")
	w.editRemote(ids[4], rename("also renamed"))
	run = w.sync(tandem.OpBidirectional)
	w.ended(run, tandem.RunPartial)
	w.equal(run.Summary.Failed, 2)
	w.equal(w.remoteDevice(ids[3]).Name, "renamed")
	w.equal(w.localOf(ids[4]).Name, "also renamed")
	w.setState(ids[1], "info/note", "fine")
	w.setState(ids[2], "info/note", "fine")
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.remoteDevice(ids[2]).Name, "kept back")
	w.quiet(tandem.OpBidirectional)
}

// pickyStore refuses a text wherever it is written, as PostgreSQL refuses a NUL in a document.
type pickyStore struct{ tandem.Store }

const unkeepable = "unkeepable"

func (s pickyStore) Apply(ctx context.Context, org string, c *tandem.Changes) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if bytes.Contains(b, []byte(unkeepable)) {
		return tandem.Errorf(tandem.Invalid, "test", "", "a text that cannot be stored")
	}
	return s.Store.Apply(ctx, org, c)
}

// TestS26StreamThatCannotBeRead: rows that are unreadable, or a stream that is away, hold nothing else up;
// the rows that were read count.
func TestS26StreamThatCannotBeRead(t *testing.T) {
	for _, code := range []tandem.Code{tandem.Malformed, tandem.Timeout, tandem.Invalid} {
		b := &bent{}
		w := newWorld(t, bending(b), config(func(c *tandem.ServiceConfig) { c.Paths.Battery = "stream:battery" }))
		ids := w.remotes("gate", 5)
		w.completed(w.sync(tandem.OpBidirectional))
		w.setHere(w.localOf(ids[0]).ID, "name", "renamed")
		b.stream = func(yield func(tandem.StreamRow, error) bool) {
			if yield(tandem.StreamRow{DeviceID: ids[1], Time: w.now(), Values: map[string]any{"battery": json.Number("41")}}, nil) {
				yield(tandem.StreamRow{}, tandem.Errorf(code, "test", "", "1 of 2 rows have no device"))
			}
		}
		run := w.sync(tandem.OpBidirectional)
		w.completed(run)
		w.equal(w.remoteDevice(ids[0]).Name, "renamed")
		w.equal(len(w.details(run).Warnings), 1)
		if level := w.localOf(ids[1]).BatteryLevel; level == nil || *level != 41 {
			t.Errorf("%s: the battery is %v", code, level)
		}
	}
}
