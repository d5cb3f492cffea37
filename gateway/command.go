package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"tandem"
	"tandem/report"
)

// How commands are handed out.
const (
	commandGather = 5 * time.Millisecond // so that many devices are asked about at once
	commandRetry  = 500 * time.Millisecond
	commandAgain  = 250 * time.Millisecond // at least, between a device's asking for what it did not answer: each time is a transaction
	commandPause  = 10 * time.Second       // at most, before a connection that did not take one is tried again
	commandTime   = 10 * time.Second
	mostError     = 500 // bytes of what a device says went wrong
)

// subscription is a device that can be reached here.
type subscription struct {
	device  Device
	via     tandem.Via
	deliver func(tandem.Command) error

	failures int       // in a row; guarded by dispatcher.mu
	after    time.Time // when it may be tried again
}

// Commands has a device's commands handed to deliver, oldest first: at once those that it was sent before and did not
// answer, and then what comes, from whichever process, until cancel is called. A command is given to one connection of
// the device only. Deliver is called by one goroutine for all devices and must not block; where it fails, the command is queued
// again, for any connection of the device, and for this one after a pause. A device that was let out gets none any more.
func (g *Gateway) Commands(d Device, via tandem.Via, deliver func(tandem.Command) error) (cancel func()) {
	s := &subscription{device: d, via: via, deliver: deliver}
	g.commands.add(s)
	return sync.OnceFunc(func() { g.commands.remove(s) })
}

// Acknowledge notes what a device said of one of its commands. NotFound when it has no such command; a second answer,
// or one that comes too late, changes nothing and is no error.
func (g *Gateway) Acknowledge(ctx context.Context, d Device, answer tandem.CommandAnswer) error {
	const op = "gateway: answer a command"
	if err := g.allow(ctx, d, "", d.key.kind == namedKind); err != nil {
		return err
	}
	if len(answer.Reply) > tandem.MaxCommand {
		return tandem.Errorf(tandem.Invalid, op, "", "%w: a reply may have %d bytes", ErrTooLarge, tandem.MaxCommand)
	}
	if len(answer.Reply) > 0 && !json.Valid(answer.Reply) {
		return tandem.Errorf(tandem.Malformed, op, "", "the reply is not JSON")
	}
	answer.Error = clean(answer.Error)
	answered, err := g.o.Store.AnswerCommand(ctx, d.OrganizationID, d.ID, answer, g.o.Clock())
	if answered {
		g.o.Meter.Count("", Answered, 1)
	}
	return err
}

// ReadAnswer reads what a device says of a command: nothing at all, or JSON {"status": "ok" or "failed", "reply": …,
// "error": "…"}, each of which may be left out.
func ReadAnswer(id string, body []byte) (tandem.CommandAnswer, error) {
	answer := tandem.CommandAnswer{ID: id}
	if len(bytes.TrimSpace(body)) == 0 {
		return answer, nil
	}
	var told struct {
		Status string          `json:"status"`
		Reply  json.RawMessage `json:"reply"`
		Error  string          `json:"error"`
	}
	if !utf8.Valid(body) || json.Unmarshal(body, &told) != nil {
		return answer, tandem.Errorf(tandem.Malformed, "gateway: answer a command", id, "the answer is not a JSON object with status, reply and error")
	}
	switch told.Status {
	case "", "ok", string(tandem.CommandAcknowledged):
		answer.Failed = told.Error != ""
	case "failed", "error":
		answer.Failed = true
	default:
		return answer, tandem.Errorf(tandem.Invalid, "gateway: answer a command", id, "the status is neither ok nor failed")
	}
	if len(told.Reply) > 0 && string(told.Reply) != "null" {
		if len(told.Reply) > tandem.MaxCommand {
			return answer, tandem.Errorf(tandem.Invalid, "gateway: answer a command", id, "%w: a reply may have %d bytes", ErrTooLarge, tandem.MaxCommand)
		}
		value, err := report.DecodeJSON(told.Reply)
		if err != nil {
			return answer, tandem.Errorf(tandem.Malformed, "gateway: answer a command", id, "%w", err)
		}
		answer.Reply = report.Keep(value, told.Reply)
	}
	answer.Error = told.Error
	return answer, nil
}

// dispatcher hands commands to the devices that are connected here.
type dispatcher struct {
	o     *Options
	check func(ctx context.Context, d Device) error
	wake  chan struct{}
	fails *complaint

	mu    sync.Mutex
	by    map[string][]*subscription // by device
	fresh map[string]bool            // devices that came since they were last asked about
	again map[string]time.Time       // when those that came lately were asked about
	swept time.Time                  // when again was last rid of what is old
	due   map[string]bool            // devices that commands wait for
}

func newDispatcher(o *Options, check func(context.Context, Device) error) *dispatcher {
	return &dispatcher{o: o, check: check, wake: make(chan struct{}, 1), fails: newComplaint(o, "hand out commands"), by: map[string][]*subscription{}, fresh: map[string]bool{}, again: map[string]time.Time{}, due: map[string]bool{}}
}

func (d *dispatcher) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *dispatcher) add(s *subscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.by[s.device.ID] = append(d.by[s.device.ID], s)
	d.fresh[s.device.ID] = true
	d.poke()
}

func (d *dispatcher) remove(s *subscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(d.by[s.device.ID]), func(other *subscription) bool { return other == s })
	if d.by[s.device.ID] = left; len(left) == 0 {
		delete(d.by, s.device.ID)
		delete(d.fresh, s.device.ID)
		delete(d.due, s.device.ID)
	}
}

// changed says that commands of some devices changed, or of many of an organization.
func (d *dispatcher) changed(org string, devices []string, many bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range devices {
		if len(d.by[id]) > 0 {
			d.due[id] = true
		}
	}
	if many {
		for id, list := range d.by {
			if list[0].device.OrganizationID == org {
				d.due[id] = true
			}
		}
	}
	if len(d.due) > 0 {
		d.poke()
	}
}

// all says that events may have been missed.
func (d *dispatcher) all() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.by {
		d.due[id] = true
	}
	d.poke()
}

// asked is which commands are asked for together.
type asked struct {
	org   string
	via   tandem.Via
	again bool
}

// take gives the devices to ask about, each with its newest connection, and how long those that pause do so: 0 for none.
func (d *dispatcher) take() (groups map[asked][]string, to map[string]*subscription, pause time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	groups, to = map[asked][]string{}, map[string]*subscription{}
	for _, set := range []map[string]bool{d.fresh, d.due} {
		for id := range set {
			list := d.by[id]
			if len(list) == 0 || to[id] != nil {
				continue
			}
			s := list[len(list)-1]
			left := s.after.Sub(now)
			if last, lately := d.again[id]; lately && d.fresh[id] {
				left = max(left, last.Add(commandAgain).Sub(now))
			}
			if left > 0 {
				if pause == 0 || left < pause {
					pause = left
				}
				continue
			}
			to[id] = s
			key := asked{s.device.OrganizationID, s.via, d.fresh[id]}
			groups[key] = append(groups[key], id)
		}
	}
	for id := range to {
		if d.fresh[id] {
			d.again[id] = now
		}
		delete(d.fresh, id)
		delete(d.due, id)
	}
	d.sweep(now)
	return groups, to, pause
}

// sweep forgets who asked long enough ago. The lock is held.
func (d *dispatcher) sweep(now time.Time) {
	if now.Sub(d.swept) < commandAgain {
		return
	}
	d.swept = now
	for id, last := range d.again {
		if now.Sub(last) >= commandAgain {
			delete(d.again, id)
		}
	}
}

// tried notes whether a connection took all that it was handed; one that did not pauses, longer each time.
func (d *dispatcher) tried(s *subscription, took bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if took {
		s.failures = 0
		return
	}
	s.after = time.Now().Add(min(commandRetry<<min(s.failures, 10), commandPause))
	s.failures++
	if len(d.by[s.device.ID]) > 0 {
		d.due[s.device.ID] = true
	}
}

// back asks about devices again.
func (d *dispatcher) back(devices []string, again bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range devices {
		switch {
		case len(d.by[id]) == 0:
		case again:
			d.fresh[id] = true
		default:
			d.due[id] = true
		}
	}
}

// run hands out commands until ctx ends.
func (d *dispatcher) run(ctx context.Context) {
	pause, paused := time.NewTimer(0), time.NewTimer(0)
	defer pause.Stop()
	defer paused.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-paused.C:
		}
		wait(ctx, pause, commandGather)
		groups, to, until := d.take()
		if until > 0 {
			paused.Reset(until)
		}
		failed := false
		for key, devices := range groups {
			if !d.hand(ctx, key, devices, to) {
				failed = true
				d.back(devices, key.again)
			}
		}
		if failed && ctx.Err() == nil {
			wait(ctx, pause, commandRetry)
			d.poke()
		}
	}
}

// hand takes commands for some devices and delivers them; false when that is to be tried again.
func (d *dispatcher) hand(ctx context.Context, key asked, devices []string, to map[string]*subscription) bool {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	devices = slices.DeleteFunc(slices.Clone(devices), func(id string) bool { return tandem.Is(d.check(ctx, to[id].device), tandem.Unauthorized) })
	taken, err := d.o.Store.TakeCommands(ctx, key.org, devices, key.via, key.again)
	d.fails.about(err)
	if err != nil {
		return false
	}
	var failed []string
	took := map[*subscription]bool{}
	for i := range taken {
		c := &taken[i]
		s := to[c.DeviceID]
		if _, met := took[s]; !met {
			took[s] = true
		}
		if err := s.deliver(*c); err != nil {
			failed, took[s] = append(failed, c.ID), false
			continue
		}
		d.o.Meter.Count(key.via, Delivered, 1)
	}
	for s, all := range took {
		d.tried(s, all)
	}
	if len(failed) == 0 {
		return true
	}
	if err := d.o.Store.ReturnCommands(ctx, key.org, failed); err != nil {
		d.o.Log.Warn("commands that could not be delivered stay as sent until their device comes again", "error", err)
	}
	return true
}

// clean bounds what a device says, so that it can be stored and shown.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) > mostError {
		text = strings.ToValidUTF8(text[:mostError], "")
	}
	return text
}
