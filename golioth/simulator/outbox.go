package simulator

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// The outbox's bounds.
const (
	outboxWorkers = 64      // requests at once
	outboxRoom    = 100_000 // deliveries that wait; Send then waits too, and what devices do on their own is lost
	mostAnswer    = 64 << 10
	mostTries     = 4 // of a delivery, when retries are switched on
)

// Deliveries is what the outbox counted since the start, or since ResetDeliveries.
type Deliveries struct {
	Made      int         `json:"made"`        // by pipelines and events
	Sent      int         `json:"sent"`        // requests, retries and duplicates among them
	Accepted  int         `json:"accepted"`    // requests answered with a success
	Refused   int         `json:"refused"`     // requests answered with something else
	Failed    int         `json:"failed"`      // requests without an answer
	Retried   int         `json:"retried"`     // requests that were repeated after a refusal or failure
	GivenUp   int         `json:"given_up"`    // deliveries that no request brought through
	Lost      int         `json:"lost"`        // deliveries dropped by a fault
	Overflown int         `json:"overflown"`   // deliveries dropped because too many waited
	Waiting   int         `json:"waiting"`     // deliveries on their way now, delayed ones among them
	ByStatus  map[int]int `json:"by_status"`   // answers
	MaxAtOnce int         `json:"max_at_once"` // requests
}

// delivery is one message on its way to a webhook.
type delivery struct {
	path    string // of the message, or /TYPE of an event; what faults are aimed at
	url     string
	header  http.Header
	secrets []string                          // headers that hold a secret
	sign    func(*http.Request, []byte, bool) // signs an attempt, wrongly when told so; nil for none
	body    []byte
	failed  func(why string) // told when it is given up; nil for nobody

	wrong   bool // with a wrong secret
	corrupt bool // with another body than was signed
	tries   int
}

// outbox sends deliveries with a bounded number of workers, which end when there is nothing to do.
type outbox struct {
	server *Server
	client *http.Client

	mu      sync.Mutex
	changed *sync.Cond
	queue   []*delivery
	workers int
	busy    int
	timers  map[*time.Timer]struct{} // of delayed deliveries and retries
	ctx     context.Context
	cancel  context.CancelFunc
	counts  Deliveries
}

func newOutbox(s *Server, transport http.RoundTripper) *outbox {
	if transport == nil {
		transport = &http.Transport{MaxIdleConns: outboxWorkers, MaxIdleConnsPerHost: outboxWorkers, IdleConnTimeout: 30 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second, DisableCompression: true}
	}
	o := &outbox{server: s, timers: map[*time.Timer]struct{}{}}
	o.client = &http.Client{Transport: transport, Timeout: s.unknowns.WebhookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	o.changed = sync.NewCond(&o.mu)
	o.ctx, o.cancel = context.WithCancel(context.Background())
	o.counts.ByStatus = map[int]int{}
	return o
}

// add takes a delivery in, with what goes wrong with it.
func (o *outbox) add(d *delivery) {
	s := o.server
	copies, lost, late := 1, false, time.Duration(0)
	for _, f := range s.chaos.strikeDelivery(d.path, s.clock()) {
		s.requests.struck(f.String())
		switch f.Kind {
		case LostFault:
			lost = true
		case DoubleFault:
			copies++
		case LateFault:
			late += s.chaos.draw(f.Latency)
		case WrongSecretFault:
			d.wrong = true
		case CorruptFault:
			d.corrupt = true
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts.Made++
	if lost {
		o.counts.Lost++
		return
	}
	for range copies {
		one := *d
		o.after(late, &one)
	}
}

// after queues a delivery, now or later. The lock is held.
func (o *outbox) after(wait time.Duration, d *delivery) {
	if wait > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(wait, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			if _, waits := o.timers[timer]; waits { // else it was called off
				delete(o.timers, timer)
				o.push(d)
			}
		})
		o.timers[timer] = struct{}{}
		return
	}
	o.push(d)
}

func (o *outbox) push(d *delivery) {
	if len(o.queue) >= outboxRoom {
		o.counts.Overflown++
		return
	}
	o.queue = append(o.queue, d)
	if o.workers < outboxWorkers {
		o.workers++
		go o.work()
	}
}

// room waits until a delivery would find a place.
func (o *outbox) room() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) >= outboxRoom {
		o.changed.Wait()
	}
}

// work sends one delivery after another until none waits.
func (o *outbox) work() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 {
		d := o.queue[0]
		o.queue[0] = nil
		o.queue = o.queue[1:]
		o.busy++
		o.counts.MaxAtOnce = max(o.counts.MaxAtOnce, o.busy)
		o.counts.Sent++
		ctx := o.ctx
		o.mu.Unlock()
		status, err := o.attempt(ctx, d)
		o.mu.Lock()
		o.busy--
		o.settle(d, status, err)
		o.changed.Broadcast()
	}
	o.workers--
	o.changed.Broadcast()
}

// settle counts an answer and decides what becomes of the delivery. The lock is held.
func (o *outbox) settle(d *delivery, status int, err error) {
	u := &o.server.unknowns
	good := status >= 200 && status <= 299 && (u.WebhookSuccess != "200" || status == http.StatusOK)
	why := fmt.Sprintf("unexpected status code %d", status)
	switch {
	case o.ctx.Err() != nil:
		return // called off
	case err != nil:
		o.counts.Failed++
		why = "no answer"
	case good:
		o.counts.ByStatus[status]++
		o.counts.Accepted++
		return
	default:
		o.counts.ByStatus[status]++
		o.counts.Refused++
	}
	passing := err != nil || status >= 500 || status == http.StatusTooManyRequests
	d.tries++
	if d.tries < mostTries && (u.WebhookRetry == "always" || u.WebhookRetry == "failures" && passing) {
		o.counts.Retried++
		o.after(u.WebhookBackoff<<(d.tries-1), d)
		return
	}
	o.counts.GivenUp++
	if d.failed != nil {
		d.failed(why)
	}
}

// attempt makes one request.
func (o *outbox) attempt(ctx context.Context, d *delivery) (status int, err error) {
	body := d.body
	if d.corrupt {
		body = spoil(body)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header = d.header.Clone()
	if d.sign != nil {
		d.sign(r, d.body, d.wrong)
	}
	if d.wrong {
		for _, name := range d.secrets {
			r.Header.Set(name, "not-"+r.Header.Get(name))
		}
	}
	answer, err := o.client.Do(r)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, mostAnswer)) // read, so that the connection is used again
	if closed := answer.Body.Close(); err == nil {
		err = closed
	}
	return answer.StatusCode, err
}

// waiting counts what is on its way. The lock is held.
func (o *outbox) waiting() int { return len(o.queue) + o.busy + len(o.timers) }

func (o *outbox) snapshot() Deliveries {
	o.mu.Lock()
	defer o.mu.Unlock()
	counts := o.counts
	counts.Waiting = o.waiting()
	counts.ByStatus = make(map[int]int, len(o.counts.ByStatus))
	for status, n := range o.counts.ByStatus {
		counts.ByStatus[status] = n
	}
	return counts
}

func (o *outbox) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts = Deliveries{ByStatus: map[int]int{}}
}

// drain waits until nothing is on its way.
func (o *outbox) drain(ctx context.Context) error {
	defer context.AfterFunc(ctx, o.changed.Broadcast)()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.waiting() > 0 && ctx.Err() == nil {
		o.changed.Wait()
	}
	return ctx.Err()
}

// stop calls off what is on its way and waits for the workers. The outbox can be used again.
func (o *outbox) stop() {
	o.mu.Lock()
	o.cancel()
	o.queue = nil
	for timer := range o.timers {
		timer.Stop()
	}
	clear(o.timers)
	for o.workers > 0 {
		o.changed.Wait()
	}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	o.changed.Broadcast()
	o.mu.Unlock()
	o.client.CloseIdleConnections()
}

// newUUID makes an id that no other delivery has, of another start of the server neither.
func newUUID() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // never, by its contract
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Deliveries gives what was counted of the deliveries to webhooks.
func (s *Server) Deliveries() Deliveries { return s.outbox.snapshot() }

// ResetDeliveries begins counting deliveries anew.
func (s *Server) ResetDeliveries() { s.outbox.forget() }

// Drain waits until no delivery is on its way, delayed and repeated ones included, or ctx ends.
func (s *Server) Drain(ctx context.Context) error { return s.outbox.drain(ctx) }

// Close calls off the deliveries that are on their way and closes their connections. Calls of the API are not disturbed.
func (s *Server) Close() { s.outbox.stop() }
