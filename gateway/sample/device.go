package sample

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"tandem"
)

// The pace of devices.
const (
	DefaultEvery = 3 * time.Second
	firstPause   = time.Second // after a connection that failed, doubling up to mostPause
	mostPause    = 30 * time.Second
	answerTime   = 15 * time.Second // of the server
	goodbyeTime  = 2 * time.Second
	mostTold     = 16 // commands that wait for the device to get to them
)

// Device is one simulated device.
type Device struct {
	Organization string     // its slug
	DeviceID     string     // what the organization calls the device
	Via          tandem.Via // how it speaks
	Address      string     // of HTTP the server's URL, of MQTT and CoAP HOST:PORT
	Identity     string     // of its password or pre-shared key; a token has none
	Secret       string     // its token, password or key
	Seed         uint64     // the same makes the same values
	Every        time.Duration
	Log          *slog.Logger // nil for none
}

// link is a device's connection.
type link interface {
	report(ctx context.Context, body []byte) error
	answer(ctx context.Context, id string, body []byte) error
	io.Closer
}

// command is what the device is told to do.
type command struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Payload json.RawMessage `json:"payload"`
}

// Run reports and does what it is told until ctx ends; it connects again whenever the connection is lost.
func (d Device) Run(ctx context.Context) error {
	if d.Every <= 0 {
		d.Every = DefaultEvery
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	dial := map[tandem.Via]func(context.Context, Device, chan<- command) (link, error){tandem.ViaHTTP: dialHTTP, tandem.ViaMQTT: dialMQTT, tandem.ViaCoAP: dialCoAP}[d.Via]
	if dial == nil {
		return tandem.Errorf(tandem.Invalid, "run a simulated device", d.DeviceID, "%q is no protocol", d.Via)
	}
	body := newBody(d.Seed)
	for pause := firstPause; ctx.Err() == nil; {
		reported, err := d.live(ctx, dial, body)
		if ctx.Err() != nil {
			break
		}
		if reported {
			pause = firstPause
		}
		d.Log.Debug("a simulated device lost its connection", "device", d.DeviceID, "via", d.Via, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, mostPause)
	}
	return nil //nolint:nilerr // it ends when it is told to, however its last connection did
}

// live is the time of one connection. It says whether a report came through.
func (d Device) live(ctx context.Context, dial func(context.Context, Device, chan<- command) (link, error), body *body) (reported bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	told := make(chan command, mostTold)
	l, err := dial(ctx, d, told)
	if err != nil {
		return false, err
	}
	defer func() {
		if closing := l.Close(); err == nil {
			err = closing
		}
	}()
	tick := time.NewTicker(d.Every)
	defer tick.Stop()
	for {
		asked, end := context.WithTimeout(ctx, answerTime)
		err := l.report(asked, body.next())
		end()
		if err != nil {
			return reported, err
		}
		reported = true
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return reported, nil
			case <-tick.C:
				waiting = false
			case c := <-told:
				asked, end := context.WithTimeout(ctx, answerTime)
				err := l.answer(asked, c.ID, body.do(c))
				end()
				if err != nil {
					return reported, err
				}
			}
		}
	}
}

// take reads a command and hands it on; one that finds no room comes again.
func take(data []byte, told chan<- command) error {
	var c command
	if err := json.Unmarshal(data, &c); err != nil || c.ID == "" {
		return fmt.Errorf("what came is no command: %w", err)
	}
	select {
	case told <- c:
	default:
	}
	return nil
}
