package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How an API is read where many people work.
const (
	signedIn    = 1000
	liveStreams = 500
	readRate    = 200.0 // a second
	editEvery   = time.Second
	readFor     = 20 * time.Second
	readWarm    = 4 * time.Second // before it counts
	readers     = 64
)

// reads measures reading the API at a steady rate, as people with sessions of their own, while streams follow what changes
// and something does change.
func (b *bench) reads(ctx context.Context, d *databases) (err error) {
	people, streams, warm, lasting := signedIn, liveStreams, readWarm, readFor
	if b.devices < 1000 {
		people, streams, warm, lasting = 20, 10, glimpse, glimpse
	}
	h, err := b.newHouse(ctx, d, b.devices, people)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	crowd, err := h.follow(ctx, streams)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, crowd.leave()) }()
	editing, stop := context.WithCancel(ctx)
	var edits sync.WaitGroup
	var edited int
	var editErr error
	edits.Go(func() { edited, editErr = h.edit(editing) })
	client := manyConnections(readers)
	defer client.CloseIdleConnections()
	_, err = h.read(ctx, client, warm, readRate)
	used := h.cpu()
	var times []time.Duration
	if err == nil {
		times, err = h.read(ctx, client, lasting, readRate)
	}
	used = h.cpu() - used
	stop()
	edits.Wait()
	if err = errors.Join(err, editErr); err != nil {
		return err
	}
	if seen := crowd.events.Load(); edited > 1 && seen == 0 {
		return fmt.Errorf("%d devices were edited, and the streams saw nothing", edited)
	}
	memory := h.memory()
	at := spreadOf(times)
	p95 := percentile(times, 95)
	b.tell("  %d reads at %.0f/s: p50 %.1f ms, p95 %.1f ms, p99 %.1f ms, most %.1f ms; %.2f ms of processor time in the server for each; %d edits, %d events in %d streams",
		at.N, readRate, at.P50*1e3, p95.Seconds()*1e3, at.P99*1e3, at.Max*1e3, used.Seconds()*1e3/float64(at.N), edited, crowd.events.Load(), streams)
	what := fmt.Sprintf("API reads at %.0f/s, %d people, %d streams: ", readRate, people, streams)
	b.add(Row{ID: "r", Database: d.kind, What: what + "p50", Tandem: at.P50 * 1e3, Unit: "ms"})
	b.add(Row{ID: "r", Database: d.kind, What: what + "p95", Tandem: p95.Seconds() * 1e3, Unit: "ms", Limit: 10})
	b.add(Row{ID: "r", Database: d.kind, What: what + "p99", Tandem: at.P99 * 1e3, Unit: "ms"})
	b.add(Row{ID: "r", Database: d.kind, What: "the server's processor time for each of them", Tandem: used.Seconds() * 1e3 / float64(at.N), Unit: "ms"})
	b.add(Row{ID: "r", Database: d.kind, What: "the server's memory then", Tandem: memory, Unit: "MB"})
	return nil
}

// paths are what is read, one after the other.
func (h *house) path(i int) string {
	id := h.devices[i*7919%len(h.devices)]
	switch i % 10 {
	case 0:
		return fmt.Sprintf("devices?limit=50&page=%d", 1+i*31%(1+len(h.devices)/50))
	case 1:
		return fmt.Sprintf("devices?limit=50&search=mp-%03d", i*31%1000)
	case 2:
		return "devices?limit=50&status=online&sort=-last_seen"
	case 3:
		return "devices?limit=50&tag=rare"
	case 4:
		return "runs?limit=50"
	case 5:
		return "conflicts?limit=50"
	case 6:
		return "services"
	case 7:
		return "alerts?limit=50"
	default:
		return "devices/" + id
	}
}

// read reads for a time at a rate. A read takes from when it was due: one that is late counts for those behind it.
func (h *house) read(ctx context.Context, client *http.Client, lasting time.Duration, rate float64) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, lasting+30*time.Second)
	defer cancel()
	var mu sync.Mutex
	var times []time.Duration
	var failed error
	var next atomic.Int64
	begin := time.Now()
	var wait sync.WaitGroup
	for range readers {
		wait.Go(func() {
			own, err := h.reader(ctx, client, begin, lasting, rate, &next)
			mu.Lock()
			defer mu.Unlock()
			times, failed = append(times, own...), errors.Join(failed, err)
		})
	}
	wait.Wait()
	slices.Sort(times)
	return times, failed
}

// reader is one of those who read.
func (h *house) reader(ctx context.Context, client *http.Client, begin time.Time, lasting time.Duration, rate float64, next *atomic.Int64) (times []time.Duration, err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		i := next.Add(1)
		due := begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if due.Sub(begin) >= lasting {
			return times, nil
		}
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			<-timer.C
		}
		if err := fetch(ctx, client, h.url+"/api/v1/"+h.path(int(i)), h.as(int(i*617))); err != nil {
			return times, err
		}
		times = append(times, time.Since(due))
	}
}

// edit changes a device now and then, until ctx ends, and says how often.
func (h *house) edit(ctx context.Context) (n int, err error) {
	tick := time.NewTicker(editEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return n, nil
		case <-tick.C:
		}
		body := fmt.Sprintf(`{"notes":"edit %d"}`, n)
		request, err := http.NewRequestWithContext(ctx, http.MethodPatch, h.url+"/api/v1/devices/"+h.devices[n%len(h.devices)], strings.NewReader(body))
		if err != nil {
			return n, err
		}
		h.as(0)(request)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("If-Match", "*")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			if ctx.Err() != nil {
				return n, nil
			}
			return n, err
		}
		if err := response.Body.Close(); err != nil {
			return n, err
		}
		if response.StatusCode != http.StatusOK {
			return n, fmt.Errorf("PATCH a device: %s", response.Status)
		}
		n++
	}
}

// crowd are streams that are held open.
type crowd struct {
	events  atomic.Int64
	leaving context.CancelFunc
	client  *http.Client
	wait    sync.WaitGroup
	mu      sync.Mutex
	failed  error
}

// follow opens streams, each as another person.
func (h *house) follow(ctx context.Context, n int) (*crowd, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &crowd{leaving: cancel, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}}
	for i := range n {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/api/v1/live", nil)
		if err != nil {
			return nil, errors.Join(err, c.leave())
		}
		h.as(i)(request)
		response, err := c.client.Do(request)
		if err != nil {
			return nil, errors.Join(err, c.leave())
		}
		if response.StatusCode != http.StatusOK {
			return nil, errors.Join(fmt.Errorf("open a stream: %s", response.Status), response.Body.Close(), c.leave())
		}
		c.wait.Go(func() { c.listen(ctx, response) })
	}
	return c, nil
}

// listen counts the events of one stream until it ends.
func (c *crowd) listen(ctx context.Context, response *http.Response) {
	lines := bufio.NewReader(response.Body)
	for {
		line, err := lines.ReadSlice('\n')
		if bytes.HasPrefix(line, []byte("event: devices")) {
			c.events.Add(1)
		}
		if err == nil {
			continue
		}
		closing := response.Body.Close()
		if ctx.Err() == nil {
			c.mu.Lock()
			c.failed = errors.Join(c.failed, fmt.Errorf("a stream ended: %w", err), closing)
			c.mu.Unlock()
		}
		return
	}
}

// leave closes the streams; one that ended before is an error.
func (c *crowd) leave() error {
	c.leaving()
	c.wait.Wait()
	c.client.CloseIdleConnections()
	return c.failed
}
