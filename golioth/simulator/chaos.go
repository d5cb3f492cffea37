package simulator

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// chaos decides which faults strike which call.
type chaos struct {
	mu    sync.Mutex
	armed []*armed
	pick  *rand.Rand // what a fault chooses: a device, a place
}

// armed is a fault with what it has done so far. Each has its own dice, so that adding
// one does not change what another does.
type armed struct {
	Fault
	since  time.Time
	seen   int
	struck int
	dice   *rand.Rand
}

func (x *chaos) set(faults []Fault, seed uint64, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pick = rand.New(rand.NewPCG(seed, 2))
	x.armed = nil
	for i, f := range faults {
		x.armed = append(x.armed, &armed{Fault: f, since: now, dice: rand.New(rand.NewPCG(seed, 100+uint64(i)))})
	}
}

func (x *chaos) add(f Fault, seed uint64, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.armed = append(x.armed, &armed{Fault: f, since: now, dice: rand.New(rand.NewPCG(seed, 100+uint64(len(x.armed))))})
}

func (x *chaos) list() []Fault {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := make([]Fault, 0, len(x.armed))
	for _, a := range x.armed {
		list = append(list, a.Fault)
	}
	return list
}

// strike gives the faults that strike this call.
func (x *chaos) strike(method, below, whole string, now time.Time) []Fault {
	x.mu.Lock()
	defer x.mu.Unlock()
	var strikes []Fault
	for _, a := range x.armed {
		if !a.delivers() && a.matches(method, below, whole) && a.strikes(now) {
			strikes = append(strikes, a.Fault)
		}
	}
	return strikes
}

// strikeDelivery gives the faults that strike this delivery.
func (x *chaos) strikeDelivery(path string, now time.Time) []Fault {
	x.mu.Lock()
	defer x.mu.Unlock()
	var strikes []Fault
	for _, a := range x.armed {
		if a.delivers() && (a.Path == "" || pathMatches(a.Path, path)) && a.strikes(now) {
			strikes = append(strikes, a.Fault)
		}
	}
	return strikes
}

// draw draws how long a fault takes.
func (x *chaos) draw(l Latency) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return l.draw(x.pick)
}

func (a *armed) strikes(now time.Time) bool {
	a.seen++
	switch {
	case a.For > 0 && now.Sub(a.since) >= a.For,
		a.seen <= a.After,
		a.Count > 0 && a.struck >= a.Count,
		a.Every > 1 && (a.seen-a.After)%a.Every != 0,
		a.Rate > 0 && a.dice.Float64() >= a.Rate:
		return false
	}
	a.struck++
	return true
}

// chance draws a number below n.
func (x *chaos) chance(n int) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.pick.IntN(n)
}

// before does what strikes before the call. A reply ends the call without effect.
func (c *call) before() (*reply, error) {
	for _, f := range c.strikes {
		switch f.Kind {
		case SlowFault:
			if c.wait(c.server.chaos.draw(f.Latency)) != nil {
				return nil, errReset
			}
		case HangFault:
			<-c.request.Context().Done()
			return nil, errReset
		case ResetBeforeFault:
			return nil, errReset
		case StaleFault:
			c.stale = f.Window
			if c.stale == 0 {
				c.stale = 5 * time.Second
			}
		case HTMLFault:
			r := reply{orStatus(f.Code, http.StatusOK), map[string]string{"Content-Type": "text/html; charset=utf-8"},
				[]byte("<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>Please sign in</h1></body></html>")}
			return &r, nil
		case EmptyFault:
			return &reply{status: orStatus(f.Code, http.StatusInternalServerError)}, nil
		case DeletedFault, CreatedFault, AutoFault, SwapFault:
			if err := c.meddle(f.Kind); err != nil {
				return nil, err
			}
		}
		if status := f.Kind.status(); status != 0 {
			r := refusal(status).reply()
			if f.RetryAfter > 0 {
				form := "seconds"
				if f.Date {
					form = "date"
				}
				r.header = tooMany(f.RetryAfter, form, c.now).header
			}
			return &r, nil
		}
	}
	return nil, nil
}

func orStatus(code, otherwise int) int {
	if code == 0 {
		return otherwise
	}
	return code
}

// meddle changes the project behind the caller's back, in the project that the path names.
func (c *call) meddle(kind Kind) error {
	id, ok := c.vars["project"]
	if !ok {
		return nil
	}
	s := c.server
	if kind == SwapFault {
		return s.SwapProject(id)
	}
	p := s.project(id)
	if p == nil {
		return nil
	}
	number, size, err := c.paging()
	if err != nil {
		return nil // the call itself will say so
	}
	p.lock(c.now)
	defer p.mu.Unlock()
	switch kind {
	case DeletedFault:
		if len(p.order) == 0 {
			return nil
		}
		n := min(number*size, len(p.order)) // one of an earlier page shifts a device past the reader
		if n == 0 {
			n = len(p.order)
		}
		p.remove(p.order[s.chaos.chance(n)])
		return nil
	case CreatedFault:
		_, err = p.create(draft{name: "console device " + strconv.Itoa(p.serial+1)})
	case AutoFault:
		certificate := p.newID()
		_, err = p.create(draft{name: certificate.String(), certificate: certificate.String()})
	}
	return err
}

// write sends the reply, spoiled by what strikes after the call.
func (c *call) write(w http.ResponseWriter, r reply) (reply, error) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Date", c.now.UTC().Format(http.TimeFormat))
	for key, value := range r.header {
		h.Set(key, value)
	}
	drip, cut := 0, -1
	for _, f := range c.strikes {
		switch f.Kind {
		case ResetAfterFault:
			return reply{}, errReset
		case ContentTypeFault:
			h.Set("Content-Type", "text/plain; charset=utf-8")
		case BadDeviceFault:
			r.body = c.spoilDevice(r.body)
		case MalformedFault:
			r.body = spoil(r.body)
		case TruncateFault:
			cut = len(r.body) / 2
			if f.Bytes > 0 {
				cut = min(f.Bytes, len(r.body))
			}
		case DripFault:
			drip = 100
			if f.Bytes > 0 {
				drip = f.Bytes
			}
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(r.body)))
	w.WriteHeader(r.status)
	body := r.body
	if cut >= 0 {
		body = body[:cut]
	}
	if drip > 0 {
		if err := c.drip(w, body, drip); err != nil {
			return r, errReset
		}
	} else if _, err := w.Write(body); err != nil {
		return r, nil //nolint:nilerr // the caller is gone; nobody is left to tell
	}
	if cut >= 0 && cut < len(r.body) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			return r, errReset
		}
		return r, errReset
	}
	return r, nil
}

// drip sends a tenth of the rate ten times a second.
func (c *call) drip(w http.ResponseWriter, body []byte, perSecond int) error {
	flusher := http.NewResponseController(w)
	for chunk := range chunks(body, max(perSecond/10, 1)) {
		if _, err := w.Write(chunk); err != nil {
			return err
		}
		if err := flusher.Flush(); err != nil {
			return err
		}
		if err := c.wait(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func chunks(body []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(body) > 0 {
			n := min(size, len(body))
			if !yield(body[:n]) {
				return
			}
			body = body[n:]
		}
	}
}

// spoil makes a body of the same length that is not JSON.
func spoil(body []byte) []byte {
	spoiled := bytes.Clone(body)
	if len(spoiled) > 0 {
		spoiled[len(spoiled)/2] = 0x01
		spoiled[len(spoiled)-1] = '{'
	}
	return spoiled
}

// spoilDevice makes one device of a page, or a single device, unreadable in one of four ways.
// The rest of the body stays as it was.
func (c *call) spoilDevice(body []byte) []byte {
	const mark = `{"id":"`
	n := bytes.Count(body, []byte(mark))
	if n == 0 {
		return body
	}
	at := 0
	for range c.server.chaos.chance(n) + 1 {
		at += bytes.Index(body[at:], []byte(mark)) + len(mark)
	}
	head, tail := body[:at-len(mark)], body[at-len(mark):]
	ways := []struct{ from, to string }{
		{`"createdAt":"`, `"createdAt":"not a time `},
		{`"hardwareIds":[`, `"hardwareIds":"oops","was":[`},
		{`"enabled":true`, `"enabled":"yes"`},
		{`"name":"`, `"name":17,"was":"`},
	}
	for i, start := 0, c.server.chaos.chance(len(ways)); i < len(ways); i++ {
		way := ways[(start+i)%len(ways)]
		end := len(tail)
		if next := bytes.Index(tail[1:], []byte(mark)); next >= 0 {
			end = next + 1
		}
		if bytes.Contains(tail[:end], []byte(way.from)) {
			return append(bytes.Clone(head), bytes.Replace(tail, []byte(way.from), []byte(way.to), 1)...)
		}
	}
	return body
}
