package webhook

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"tandem"
)

// How deliveries are claimed and tried again.
const (
	DefaultClaim = 125              // deliveries at once: on SQLite, requests wait meanwhile
	LargeClaim   = 250              // where a database takes several writers; more keep requests waiting for a processor
	claimLife    = 25 * time.Second // of a process that was killed: with the next look, another has its work within 30 s
	pollEvery    = time.Second
	gatherTime   = 80 * time.Millisecond // between batches when busy, so that few transactions carry many deliveries
	manyFrom     = 16                    // deliveries in the last batch
	sweepEvery   = 5 * time.Minute
	mostAttempts = 8
	firstRetry   = time.Second
	lastRetry    = time.Hour
	hintDelay    = 500 * time.Millisecond // so that several hints about a device are one run
	hintsBy      = "webhook"
	mostNote     = 500 // bytes
)

// ProcessorOptions say how deliveries are processed.
type ProcessorOptions struct {
	Store  Store
	Clock  tandem.Clock
	IDs    tandem.IDs
	Holder string       // of claims: unlike any other process
	Batch  int          // deliveries claimed at once; 0 for DefaultClaim
	Meter  Meter        // nil for none
	Log    *slog.Logger // nil for none
	// Dead is told of deliveries that failed for good, once that is committed; nil for nobody.
	Dead func(ctx context.Context, deliveries []tandem.Delivery)
}

// Processor brings stored deliveries to effect. Any number of them, in any number of processes, share the work.
type Processor struct {
	o        ProcessorOptions
	services *services
	poke     chan struct{}
	handed   handed
	looked   time.Time // when it last looked what others had left; for Process alone

	mu   sync.Mutex
	held []tandem.Delivery // claimed, and not done since the database went away
	till time.Time         // their claim is ours
}

// NewProcessor makes a Processor.
func NewProcessor(o ProcessorOptions) *Processor {
	if o.Batch <= 0 {
		o.Batch = DefaultClaim
	}
	if o.Meter == nil {
		o.Meter = silent{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dead == nil {
		o.Dead = func(context.Context, []tandem.Delivery) {}
	}
	return &Processor{o: o, services: newServices(o.Store, nil, o.Clock), poke: make(chan struct{}, 1)}
}

// Poke says that there is something to do. It never blocks.
func (p *Processor) Poke() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// Run processes deliveries until ctx ends: after a Poke at once, and what other processes left soon.
func (p *Processor) Run(ctx context.Context) error {
	p.handed.open(true)
	defer p.finish(ctx)
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	gather := time.NewTimer(0)
	defer gather.Stop()
	swept, failing := p.o.Clock(), false
	for ctx.Err() == nil {
		n, err := p.Process(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			p.o.Log.Warn("deliveries are not processed", "error", err)
		}
		failing = err != nil
		if now := p.o.Clock(); err == nil && now.Sub(swept) >= sweepEvery {
			swept = now
			if _, err := p.Wake(ctx); err != nil && ctx.Err() == nil {
				p.o.Log.Warn("waiting deliveries are not looked at", "error", err)
			}
		}
		if err == nil && n >= p.o.Batch {
			continue
		}
		if failing { // not at once again, however often it is poked
			select {
			case <-ctx.Done():
			case <-poll.C:
			}
			continue
		}
		if n >= manyFrom {
			gather.Reset(gatherTime)
			select {
			case <-ctx.Done():
			case <-gather.C:
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-poll.C:
		case <-p.poke:
		}
	}
	return ctx.Err()
}

// Process brings one batch to effect, of what was handed to it or of what it claims, and says how many there were.
func (p *Processor) Process(ctx context.Context) (n int, err error) {
	claimed, till, err := p.next(ctx)
	if err != nil {
		return 0, err
	}
	return len(claimed), p.process(ctx, claimed, till)
}

// next gives what is to be done, and until when it is ours: what was kept since the database went away, what was handed
// over, and now and then, or where there is nothing else, what is claimed.
func (p *Processor) next(ctx context.Context) (list []tandem.Delivery, till time.Time, err error) {
	if list, till = p.release(); len(list) > 0 {
		return list, till, nil
	}
	now := p.o.Clock()
	if now.Sub(p.looked) < pollEvery {
		if list, till = p.handed.take(now, p.o.Batch); len(list) > 0 {
			return list, till, nil
		}
	}
	p.looked, till = now, now.Add(claimLife/2)
	if list, err = p.o.Store.ClaimDeliveries(ctx, p.o.Holder, p.o.Batch, claimLife); err != nil {
		return nil, till, err
	}
	p.handed.fallBehind(len(list) == p.o.Batch)
	if len(list) == 0 {
		list, till = p.handed.take(now, p.o.Batch)
	}
	return list, till, nil
}

// process brings deliveries to effect.
func (p *Processor) process(ctx context.Context, claimed []tandem.Delivery, till time.Time) error {
	var failed error
	for _, group := range byOrganization(claimed) {
		if err := p.group(ctx, group); err != nil {
			failed = errors.Join(failed, err)
			p.hold(group, till)
		}
	}
	return failed
}

// hold keeps deliveries that the database went away over, so that they need not wait until their claim runs out. Where
// some of them are done already, doing them again changes nothing.
func (p *Processor) hold(deliveries []tandem.Delivery, till time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.till = append(p.held, deliveries...), till
}

// release gives what is held, if it is still ours.
func (p *Processor) release() (held []tandem.Delivery, till time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held, till = p.held, p.till
	p.held = nil
	if !p.o.Clock().Before(till) {
		return nil, till
	}
	return held, till
}

// byOrganization splits deliveries, keeping their order.
func byOrganization(deliveries []tandem.Delivery) [][]tandem.Delivery {
	var groups [][]tandem.Delivery
	at := map[string]int{}
	for i := range deliveries {
		org := deliveries[i].OrganizationID
		g, met := at[org]
		if !met {
			g = len(groups)
			at[org] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], deliveries[i])
	}
	return groups
}

// group processes one organization's deliveries in one transaction. Where that fails, each is tried by itself, so that
// one that cannot be applied holds up no other.
func (p *Processor) group(ctx context.Context, deliveries []tandem.Delivery) error {
	err := p.attempt(ctx, deliveries)
	if err == nil || ctx.Err() != nil || tandem.Is(err, tandem.Unavailable, tandem.DiskFull) {
		return err // the database's state: the claim runs out, and no attempt is counted
	}
	var failed error
	for i := range deliveries {
		one := deliveries[i : i+1]
		if len(deliveries) > 1 {
			err = p.attempt(ctx, one)
		}
		if err != nil {
			failed = errors.Join(failed, p.postpone(ctx, &one[0], err))
		}
	}
	return failed
}

// postpone notes that a delivery failed, and when it is tried again, if it is.
func (p *Processor) postpone(ctx context.Context, d *tandem.Delivery, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := p.o.Clock().UTC()
	out := tandem.DeliveryOutcome{ID: d.ID, ServiceID: d.ServiceID, Status: tandem.DeliveryRetrying, Attempts: d.Attempts + 1, Error: brief(cause), At: now}
	what := Retried
	if out.Attempts >= mostAttempts {
		out.Status, what = tandem.DeliveryDead, Died
	} else {
		next := now.Add(backoff(out.Attempts))
		out.NextAt = &next
	}
	if err := p.o.Store.Apply(ctx, d.OrganizationID, &tandem.Changes{Deliveries: []tandem.DeliveryOutcome{out}}); err != nil {
		return err
	}
	p.o.Log.Warn("a delivery failed", "delivery_id", d.ID, "service_id", d.ServiceID, "attempts", out.Attempts, "status", out.Status, "error", cause)
	p.o.Meter.Count(d.ServiceID, what, "", 1)
	if what == Died {
		failed := *d
		failed.Status, failed.Error, failed.Attempts = out.Status, out.Error, out.Attempts
		p.o.Dead(ctx, []tandem.Delivery{failed})
	}
	return nil
}

// backoff gives how long to wait after a number of attempts: 1 s, doubling up to an hour.
func backoff(attempts int) time.Duration {
	return min(firstRetry<<min(attempts-1, 20), lastRetry)
}

// brief gives an error for a person, bounded.
func brief(err error) string {
	text := err.Error()
	return text[:min(len(text), mostNote)]
}

// attempt decides and commits the effects of one organization's deliveries.
func (p *Processor) attempt(ctx context.Context, deliveries []tandem.Delivery) error {
	w := &work{now: p.o.Clock().UTC(), org: deliveries[0].OrganizationID, deliveries: deliveries, ids: p.o.IDs}
	if err := p.load(ctx, w); err != nil {
		return err
	}
	w.decide()
	w.changes.Repeats = true // the deliveries are durable
	if err := p.o.Store.Apply(ctx, w.org, &w.changes); err != nil {
		return err
	}
	p.tell(ctx, w)
	return p.again(ctx, w)
}

// load reads the services that the deliveries are for and the devices that they are about.
func (p *Processor) load(ctx context.Context, w *work) error {
	about := map[string][]string{} // remote ids by service
	seen := map[remoteKey]bool{}
	w.services = map[string]*tandem.Service{}
	for i := range w.deliveries {
		d := &w.deliveries[i]
		if _, asked := w.services[d.ServiceID]; !asked {
			t, err := p.services.get(ctx, d.ServiceID)
			if err != nil {
				return err
			}
			w.services[d.ServiceID] = nil
			if t.known() && t.service.OrganizationID == w.org {
				w.services[d.ServiceID] = &t.service
			}
		}
		key := remoteKey{d.ServiceID, d.ExternalDeviceID}
		if !seen[key] && d.ExternalDeviceID != "" {
			seen[key] = true
			about[d.ServiceID] = append(about[d.ServiceID], d.ExternalDeviceID)
		}
	}
	w.linked = make(map[remoteKey]*tandem.Linked, len(seen))
	for service, ids := range about {
		found, err := p.o.Store.Reporting(ctx, w.org, service, ids)
		if err != nil {
			return err
		}
		for i := range found {
			if found[i].Device.DeletedAt == nil {
				w.linked[remoteKey{service, found[i].Assignment.ExternalDeviceID}] = &found[i]
			}
		}
	}
	return nil
}

// tell counts what was committed.
func (p *Processor) tell(ctx context.Context, w *work) {
	now := p.o.Clock()
	var died []tandem.Delivery
	for i := range w.deliveries {
		d, out := &w.deliveries[i], &w.changes.Deliveries[i]
		what := Processed
		switch out.Status {
		case tandem.DeliveryWaiting:
			what = Waited
		case tandem.DeliveryDead:
			what = Died
			failed := *d
			failed.Status, failed.Error, failed.Attempts = out.Status, out.Error, out.Attempts
			died = append(died, failed)
		default:
			p.o.Meter.Took(ToProcessed, now.Sub(d.ReceivedAt))
		}
		p.o.Meter.Count(d.ServiceID, what, "", 1)
	}
	if len(died) > 0 {
		p.o.Dead(ctx, died)
	}
}
