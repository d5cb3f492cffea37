package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/store"
	"tandem/webhook"
)

// How deliveries are sent. The rates are those that must be reached.
const (
	senders     = 256
	burst       = 4 * time.Second // as fast as it goes
	steady      = 8 * time.Second // at the rate
	glimpse     = time.Second / 2 // both, with a fleet that is too small to mean anything
	drainWithin = 2 * time.Minute
)

var rates = map[string]float64{"sqlite": 3_000, "postgres": 5_000}

// deliveries measures webhooks: how many a second become durable and visible device state, and how long they take at
// the rate that must be reached. The receiver is a process of its own; so is the database where it is PostgreSQL. In the
// case w it does nothing else and remembers every duration; in ws it is `tandem serve`, whose metrics know the 99th
// percentile up to the end of its bucket.
func (b *bench) deliveries(ctx context.Context, d *databases, id string) (err error) {
	burst, steady := burst, steady
	if b.devices < 1000 {
		burst, steady = glimpse, glimpse
	}
	where, as := "", ""
	if id == "ws" {
		where, as = b.tandem, "tandem serve: "
	}
	h, err := b.newHook(ctx, d, where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	at := rates[d.kind]
	if b.rate > 0 {
		at = b.rate
	}
	for range b.repeat {
		load, database, begin := usage(), d.cpu(), time.Now()
		sent, _, err := h.send(ctx, burst, 0)
		if err != nil {
			return err
		}
		if err := h.drained(ctx); err != nil {
			return err
		}
		h.rates = append(h.rates, float64(sent)/time.Since(begin).Seconds())
		h.sent += sent
		h.load, h.served = h.load+usage()-load, h.served+d.cpu()-database
	}
	if err := h.restart(ctx); err != nil { // what it counts begins anew
		return err
	}
	b.tell("  as fast as it goes, %s", h.cost())
	h.load, h.served = usage(), d.cpu()
	_, acks, err := h.send(ctx, steady, at)
	if err != nil {
		return err
	}
	if err := h.drained(ctx); err != nil {
		return err
	}
	said, err := h.end()
	if err != nil {
		return err
	}
	h.sent, h.load, h.served = acks.N, usage()-h.load, d.cpu()-h.served
	b.tell("  at %.0f/s, %s; acknowledged p50 %.1f ms, p99 %.1f ms, most %.1f ms; visible p50 %.0f ms, p99 %.0f ms, most %.0f ms; %v",
		at, h.cost(), acks.P50*1e3, acks.P99*1e3, acks.Max*1e3, said.Processed.P50*1e3, said.Processed.P99*1e3, said.Processed.Max*1e3, said.Counts)
	b.add(Row{ID: id, Database: d.kind, What: as + "deliveries stored and processed in a second", Tandem: median(h.rates), Unit: "/s", Least: at})
	b.add(Row{ID: id, Database: d.kind, What: as + fmt.Sprintf("acknowledgement at %.0f/s, p99", at), Tandem: acks.P99 * 1e3, Unit: "ms", Limit: 50})
	b.add(Row{ID: id, Database: d.kind, What: as + fmt.Sprintf("from arrival to device state at %.0f/s, p99", at), Tandem: said.Processed.P99 * 1e3, Unit: "ms", Limit: 1000})
	return nil
}

// hook is a service that receives, and the process that does.
type hook struct {
	database string
	store    *store.Store
	org      string
	service  string
	devices  int
	rates    []float64
	profile  string
	program  string // tandem, where that receives
	dir      string // of its keys

	sent               int
	used, served, load time.Duration // processor time of the receiver that ended last, of the database server and of the load
	server             *served
	command            *exec.Cmd
	input              io.WriteCloser
	output             *bufio.Reader
	address            string
}

// cost says what a delivery took of the processors.
func (h *hook) cost() string {
	each := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(max(h.sent, 1)) }
	return fmt.Sprintf("%d deliveries: processor time of each %.0f µs (receiver %.0f, database server %.0f, load %.0f)",
		h.sent, each(h.used+h.served+h.load), each(h.used), each(h.served), each(h.load))
}

// newHook makes the service with its linked devices, and starts the receiver.
func (b *bench) newHook(ctx context.Context, d *databases, program string) (h *hook, err error) {
	h = &hook{org: newID(), service: newID(), devices: b.devices, program: program}
	if h.dir, err = os.MkdirTemp("", "tandem-bench-"); err != nil {
		return nil, err
	}
	if b.profile != "" {
		h.profile = b.profile + ".receiver"
	}
	if h.database, err = d.fresh(ctx); err != nil {
		return nil, err
	}
	if h.store, err = d.open(ctx, h.database); err != nil {
		return nil, err
	}
	if err = h.fill(ctx); err == nil && program != "" {
		err = h.secret(ctx)
	}
	if err == nil {
		err = h.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, h.stop())
	}
	return h, nil
}

// fill makes the organization, the service and the devices.
func (h *hook) fill(ctx context.Context) error {
	now := time.Now().UTC()
	config := tandem.DefaultServiceConfig()
	config.BaseURL, config.Project = "https://example.com", project
	config.Webhook = tandem.WebhookConfig{Scheme: tandem.HeaderScheme, Paths: map[string]string{"battery_level": "sensor:battery"}}
	s := tandem.Service{ID: h.service, OrganizationID: h.org, Name: "bench", ServiceType: "golioth", Config: config, Credentials: []byte{1}, IsActive: true,
		SyncInterval: 300, State: tandem.ServiceOK, CreatedAt: now, UpdatedAt: now}
	if err := h.store.CreateOrganization(ctx, tandem.Organization{ID: h.org, Name: "Bench", Slug: "bench", CreatedAt: now, UpdatedAt: now}); err != nil {
		return err
	}
	if err := h.store.CreateService(ctx, h.org, s); err != nil {
		return err
	}
	var c tandem.Changes
	for i := range h.devices {
		d := tandem.Device{ID: newID(), OrganizationID: h.org, Name: fmt.Sprintf("device-%d", i), DeviceID: fmt.Sprintf("device-%d", i), Lifecycle: tandem.Active,
			Enabled: true, CreatedAt: now, UpdatedAt: now}
		c.CreateDevices = append(c.CreateDevices, d)
		c.CreateAssignments = append(c.CreateAssignments, tandem.Assignment{ID: newID(), OrganizationID: h.org, DeviceID: d.ID, ServiceID: h.service,
			ExternalDeviceID: remoteID(i), SyncEnabled: true, Status: tandem.SyncSynced, CreatedAt: now, UpdatedAt: now})
	}
	return h.store.Apply(ctx, h.org, &c)
}

func remoteID(i int) string { return fmt.Sprintf("65%022x", i) }

// start starts the receiver and waits for its address.
func (h *hook) start(ctx context.Context) (err error) {
	if h.program != "" {
		h.server, err = (&bench{options: options{tandem: h.program}}).serve(ctx, h.database, h.dir, "--webhook-rate=-1", "--log-level=info")
		if err == nil {
			h.address = strings.TrimPrefix(h.server.url, "http://")
		}
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	h.command = exec.CommandContext(ctx, program)
	h.command.Env = append(os.Environ(), receiverDatabase+"="+h.database, receiverProfile+"="+h.profile)
	h.command.Stderr = os.Stderr
	if h.input, err = h.command.StdinPipe(); err != nil {
		return err
	}
	output, err := h.command.StdoutPipe()
	if err != nil {
		return err
	}
	h.output = bufio.NewReader(output)
	if err := h.command.Start(); err != nil {
		h.command = nil
		return err
	}
	line, err := h.output.ReadString('\n')
	h.address = strings.TrimSpace(line)
	return err
}

// end ends the receiver and gives what it counted.
func (h *hook) end() (said received, err error) {
	if h.server != nil {
		return h.endServer()
	}
	if h.command == nil {
		return said, nil
	}
	err = h.input.Close()
	text, readErr := io.ReadAll(h.output)
	err = errors.Join(err, readErr, h.command.Wait())
	h.used = h.command.ProcessState.UserTime() + h.command.ProcessState.SystemTime()
	h.command = nil
	if err != nil {
		return said, err
	}
	return said, json.Unmarshal(text, &said)
}

func (h *hook) restart(ctx context.Context) error {
	if _, err := h.end(); err != nil {
		return err
	}
	return h.start(ctx)
}

func (h *hook) stop() error {
	_, err := h.end()
	if h.store != nil {
		err = errors.Join(err, h.store.Close())
	}
	return errors.Join(err, os.RemoveAll(h.dir))
}

// drained waits until every delivery has its effect.
func (h *hook) drained(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	every := time.NewTicker(100 * time.Millisecond) // counting costs too
	defer every.Stop()
	for {
		counts, err := h.store.CountDeliveries(ctx, h.org)
		if err != nil {
			return err
		}
		if n := counts[tandem.DeliveryDead] + counts[tandem.DeliveryRetrying] + counts[tandem.DeliveryWaiting]; n > 0 {
			return fmt.Errorf("%d deliveries failed: %v", n, counts)
		}
		if counts[tandem.DeliveryStored] == 0 {
			return nil
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return fmt.Errorf("deliveries are not processed in time: %v", counts)
		}
	}
}

// send posts deliveries for a time over connections of its own, at a rate or (0) as fast as they are answered. Where
// there is a rate, an acknowledgement takes from when its delivery was to be sent: one that is late counts for those behind it.
func (h *hook) send(ctx context.Context, lasting time.Duration, rate float64) (sent int, acks spread, err error) {
	ctx, cancel := context.WithTimeout(ctx, lasting+30*time.Second)
	defer cancel()
	var mu sync.Mutex
	var times []time.Duration
	var failed error
	var next atomic.Int64
	begin := time.Now()
	var wait sync.WaitGroup
	for range senders {
		wait.Go(func() {
			own, err := h.sender(ctx, begin, lasting, rate, &next)
			mu.Lock()
			defer mu.Unlock()
			times, failed = append(times, own...), errors.Join(failed, err)
		})
	}
	wait.Wait()
	return len(times), spreadOf(times), failed
}

// sender is one connection.
func (h *hook) sender(ctx context.Context, begin time.Time, lasting time.Duration, rate float64, next *atomic.Int64) (times []time.Duration, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", h.address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	var text []byte
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		i := next.Add(1)
		due := time.Now()
		if rate > 0 {
			due = begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		}
		if due.Sub(begin) >= lasting {
			return times, nil
		}
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			<-timer.C
		}
		text = h.delivery(text[:0], i)
		if _, err := conn.Write(text); err != nil {
			return times, err
		}
		status, err := answered(reader)
		if err != nil {
			return times, err
		}
		if status != 202 {
			return times, fmt.Errorf("a delivery was answered with %d", status)
		}
		times = append(times, time.Since(due))
	}
}

// delivery writes a request as a Golioth pipeline sends it.
func (h *hook) delivery(text []byte, i int64) []byte {
	body := fmt.Sprintf(`{"battery":%d,"temperature":%d.5,"humidity":41,"uptime":%d}`, i%101, i%40, i)
	return fmt.Appendf(text, "POST /webhooks/golioth/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s: %s\r\n"+
		"Ce-Source: %s\r\nCe-Subject: %s\r\nCe-Type: io.golioth.data.v1/.s/sensor\r\nCe-Time: %s\r\n\r\n%s", h.service, h.address, len(body),
		webhook.DefaultHeader, benchSecret, remoteID(int(i*7919)%h.devices), project, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"), body)
}

// answered reads a reply and gives its status. It does only what this needs, so that the load costs little.
func answered(r *bufio.Reader) (status, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return 0, fmt.Errorf("the reply begins with %q", line)
	}
	code, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0, err
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			break
		}
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	_, err = r.Discard(length)
	return status(code), err
}

// status is an HTTP status.
type status int
