package coap_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"

	"tandem"
)

// command tells a device to do something.
func (w *world) command(d *tandem.Device, name, payload string) tandem.Command {
	w.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	c := tandem.Command{ID: id(), OrganizationID: w.org, DeviceID: d.ID, Name: name, Payload: json.RawMessage(payload), Status: tandem.CommandQueued,
		ExpiresAt: now.Add(time.Hour), CreatedAt: now, UpdatedAt: now}
	w.must(w.store.Apply(w.Context(), w.org, &tandem.Changes{PutCommands: []tandem.Command{c}}))
	return c
}

// came is a command as a device has it.
type came struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Payload   json.RawMessage `json:"payload"`
	ExpiresAt time.Time       `json:"expires_at"`
}

// readCommand reads a notification; empty is that there is none.
func (w *world) readCommand(m *pool.Message) (c came, empty bool) {
	w.Helper()
	if m.Body() == nil {
		return c, true
	}
	text, err := io.ReadAll(m.Body())
	w.must(err)
	if len(text) == 0 {
		return c, true
	}
	w.must(json.Unmarshal(text, &c))
	return c, false
}

func (w *world) stands(id string) tandem.CommandStatus {
	w.Helper()
	c, err := w.store.Command(w.Context(), w.org, id)
	w.must(err)
	return c.Status
}

func TestCommandsAreObservedAndAnswered(t *testing.T) {
	onBoth(t, func(w *world) {
		early := w.command(&w.device, "early", `null`)
		c := w.dial(&w.device)
		got := make(chan came, 10)
		observation, err := c.Observe(w.Context(), "/commands", func(m *pool.Message) {
			if one, empty := w.readCommand(m); !empty {
				got <- one
			}
		})
		w.must(err)
		next := func() came {
			w.Helper()
			select {
			case one := <-got:
				return one
			case <-time.After(10 * time.Second):
				w.Fatal("no command comes")
				return came{}
			}
		}
		equal(w, next().ID, early.ID)
		blink := w.command(&w.device, "blink", `{"times":3}`)
		one := next()
		equal(w, one.ID, blink.ID)
		equal(w, one.Name, "blink")
		equal(w, string(one.Payload), `{"times":3}`)
		equal(w, w.stands(blink.ID), tandem.CommandSent)
		w.want(c, "/commands/"+blink.ID, 50, `{"status":"ok","reply":{"blinked":3}}`, codes.Changed)
		equal(w, w.stands(blink.ID), tandem.CommandAcknowledged)
		w.want(c, "/commands/"+blink.ID, 50, `{"status":"failed"}`, codes.Changed) // a second answer changes nothing
		equal(w, w.stands(blink.ID), tandem.CommandAcknowledged)
		w.want(c, "/commands/"+early.ID, 60, "\xa2\x66status\x66failed\x65error\x63hot", codes.Changed)
		equal(w, w.stands(early.ID), tandem.CommandFailed)
		w.want(c, "/commands/"+blink.ID, 50, `{"status":"maybe"}`, codes.BadRequest)
		w.want(c, "/commands/"+id(), 50, `{"status":"ok"}`, codes.NotFound)
		w.want(c, "/commands/"+blink.ID, 50, `"`+strings.Repeat("x", 9<<10)+`"`, codes.RequestEntityTooLarge)

		w.must(observation.Cancel(w.Context()))
		late := w.command(&w.device, "late", `null`)
		again, err := c.Get(w.Context(), "/commands") // asked for once
		w.must(err)
		one, _ = w.readCommand(again)
		equal(w, one.ID, late.ID)
		w.want(c, "/commands/"+late.ID, -1, "", codes.Changed)
		equal(w, w.stands(late.ID), tandem.CommandAcknowledged)
		none, err := c.Get(w.Context(), "/commands")
		w.must(err)
		_, empty := w.readCommand(none)
		equal(w, empty, true)
		wrong, err := c.Get(w.Context(), "/commands", message.Option{ID: message.Accept, Value: []byte{60}})
		w.must(err)
		equal(w, wrong.Code(), codes.NotAcceptable)
	})
}

func TestALargeCommandComesInBlocks(t *testing.T) {
	w := newWorld(t)
	long := w.command(&w.device, "configure", fmt.Sprintf(`{"table":%q}`, strings.Repeat("y", 3500)))
	after := w.command(&w.device, "after", `null`)
	c := w.dial(&w.device)
	got := make(chan came, 10)
	_, err := c.Observe(t.Context(), "/commands", func(m *pool.Message) {
		if one, empty := w.readCommand(m); !empty {
			got <- one
		}
	})
	w.must(err)
	for _, want := range []tandem.Command{long, after} {
		select {
		case one := <-got:
			equal(w, one.ID, want.ID)
			equal(w, len(one.Payload), len(want.Payload))
		case <-time.After(10 * time.Second):
			t.Fatal("no command comes")
		}
	}
}

// A device that refuses a notification observes no more; the command comes again when it observes anew.
func TestWhoRefusesANotificationObservesNoMore(t *testing.T) {
	w := newWorld(t)
	c := w.raw(&w.device, "")
	observe := wire(message.Confirmable, codes.GET, 7, "tok", nil, message.Option{ID: message.Observe}, path("commands"))
	w.write(c, observe)
	first := w.next(c)
	equal(w, first.Code, codes.Content)
	equal(w, len(first.Payload), 0)
	blink := w.command(&w.device, "blink", `null`)
	told := w.next(c)
	equal(w, told.Type, message.Confirmable)
	equal(w, string(told.Token), "tok")
	w.write(c, wire(message.Reset, codes.Empty, uint16(told.MessageID), "", nil))
	w.command(&w.device, "unheard", `null`)
	w.nothing(c, 200*time.Millisecond)
	w.write(c, wire(message.Confirmable, codes.GET, 8, "new", nil, message.Option{ID: message.Observe}, path("commands")))
	equal(w, w.next(c).Code, codes.Content)
	again := w.next(c)
	equal(w, string(again.Token), "new")
	equal(w, strings.Contains(string(again.Payload), blink.ID), true)
	// Unacknowledged, it comes again.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	repeated := w.nextWithin(ctx, c)
	equal(w, repeated.MessageID, again.MessageID)
}
