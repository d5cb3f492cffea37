package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tandem"
	"tandem/gateway"
	"tandem/store"
)

// How devices report over MQTT. The figures are those that must be reached.
const (
	mqttClients  = 10_000 // connected at once
	mqttSenders  = 1000   // of which report as fast as they are answered …
	mqttWindow   = 8      // … each with so many messages under way
	mqttDialers  = 64     // that connect at once
	mqttRate     = 10_000
	mqttMemory   = 500 // MB
	mqttBurst    = 8 * time.Second
	mqttSettle   = 3 * time.Second // before memory is looked at
	mqttPassword = "bench-device"
)

// reportsOverMQTT is (m): how many reports a second with QoS 1 become durable in `tandem serve`, and how much memory it
// has with many devices connected. The load is this process's: connections that speak no more MQTT than this takes.
func (b *bench) reportsOverMQTT(ctx context.Context, d *databases) (err error) {
	clients, senders, lasting, settle := min(b.devices, mqttClients), mqttSenders, mqttBurst, mqttSettle
	if b.devices < 1000 {
		senders, lasting, settle = b.devices, glimpse, glimpse
	}
	f, err := b.newField(ctx, d, clients)
	if err != nil {
		return err
	}
	defer func() {
		failed := err != nil
		if err = errors.Join(err, f.stop()); failed {
			err = fmt.Errorf("%w; the server said: %s", err, tail(f.server.said.String()))
		}
	}()
	empty := f.server.memory()
	if err := f.connect(ctx); err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	idle := f.server.memory()
	var perSecond []float64
	for range b.repeat {
		own, server, database, begin := usage(), f.server.cpu(), d.cpu(), time.Now()
		sent, err := f.report(senders, lasting)
		if err != nil {
			return err
		}
		took := time.Since(begin)
		perSecond = append(perSecond, float64(sent)/took.Seconds())
		each := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(max(sent, 1)) }
		b.tell("  %d reports in %.1f s; processor time of each: server %.0f µs, database server %.0f µs, load %.0f µs", sent, took.Seconds(),
			each(f.server.cpu()-server), each(d.cpu()-database), each(usage()-own))
	}
	busy := f.server.memory()
	stored, err := f.stored(ctx)
	if err != nil {
		return err
	}
	if stored < f.acknowledged {
		return fmt.Errorf("%d reports were acknowledged, and %d are stored", f.acknowledged, stored)
	}
	b.tell("  resident: %.0f MB with no client, %.0f MB with %d, %.0f MB after %d reports", empty, idle, clients, busy, stored)
	least := 0.0
	if d.kind == "postgres" {
		least = mqttRate
	}
	b.add(Row{ID: "m", Database: d.kind, What: "MQTT: reports with QoS 1 stored in a second", Tandem: median(perSecond), Unit: "/s", Least: least})
	b.add(Row{ID: "m", Database: d.kind, What: fmt.Sprintf("MQTT: memory with %d clients (%.0f with none, %.0f while they report)", clients, empty, busy), Tandem: idle, Unit: "MB", Limit: mqttMemory})
	return nil
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// field is devices with a server that they speak to.
type field struct {
	store        *store.Store
	org          string
	dir          string
	address      string
	server       *served
	clients      []*device
	acknowledged int
}

// device is one connection.
type device struct {
	name string
	conn net.Conn
	r    *bufio.Reader
}

func (b *bench) newField(ctx context.Context, d *databases, n int) (f *field, err error) {
	f = &field{org: newID()}
	if f.dir, err = os.MkdirTemp("", "tandem-bench-"); err != nil {
		return nil, err
	}
	database, err := d.fresh(ctx)
	if err != nil {
		return nil, err
	}
	if f.store, err = d.open(ctx, database); err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err == nil {
		f.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		err = f.fill(ctx, n)
	}
	if err == nil {
		f.server, err = b.serve(ctx, database, f.dir, "--mqtt-listen", f.address, "--device-rate=-1")
	}
	if err != nil {
		return nil, errors.Join(err, f.stop())
	}
	return f, nil
}

// fill makes the organization, and the devices with their passwords.
func (f *field) fill(ctx context.Context, n int) error {
	now := time.Now().UTC()
	if err := f.store.CreateOrganization(ctx, tandem.Organization{ID: f.org, Name: "Bench", Slug: "bench", CreatedAt: now, UpdatedAt: now}); err != nil {
		return err
	}
	var c tandem.Changes
	hash := gateway.HashSecret(mqttPassword)
	for i := range n {
		d := tandem.Device{ID: newID(), OrganizationID: f.org, Name: deviceName(i), DeviceID: deviceName(i), Lifecycle: tandem.Active, Enabled: true, CreatedAt: now, UpdatedAt: now}
		c.CreateDevices = append(c.CreateDevices, d)
		c.PutCredentials = append(c.PutCredentials, tandem.Credential{ID: newID(), DeviceID: d.ID, Kind: tandem.PasswordCredential, Name: "bench", Identity: "bench/" + deviceName(i),
			Hash: hash, CreatedAt: now, UpdatedAt: now})
		f.clients = append(f.clients, &device{name: deviceName(i)})
	}
	return f.store.Apply(ctx, f.org, &c)
}

func deviceName(i int) string { return fmt.Sprintf("device-%d", i) }

func (f *field) stop() (err error) {
	for _, d := range f.clients {
		if d.conn != nil {
			err = errors.Join(err, d.conn.Close())
		}
	}
	if f.server != nil {
		err = errors.Join(err, f.server.stop())
	}
	if f.store != nil {
		err = errors.Join(err, f.store.Close())
	}
	return errors.Join(err, os.RemoveAll(f.dir))
}

// connect connects all devices.
func (f *field) connect(ctx context.Context) error {
	var next atomic.Int64
	var wait sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range mqttDialers {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(f.clients)); i = next.Add(1) - 1 {
				if err := f.clients[i].connect(ctx, f.address); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	wait.Wait()
	return failed
}

// report lets some devices report for a time, and gives how many reports were acknowledged.
func (f *field) report(senders int, lasting time.Duration) (int, error) {
	var wait sync.WaitGroup
	var sent atomic.Int64
	var mu sync.Mutex
	var failed error
	until := time.Now().Add(lasting)
	for i := range senders {
		d := f.clients[i*len(f.clients)/senders]
		wait.Go(func() {
			n, err := d.report(until)
			sent.Add(int64(n))
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
		})
	}
	wait.Wait()
	f.acknowledged += int(sent.Load())
	return int(sent.Load()), failed
}

// stored counts the reports in the database.
func (f *field) stored(ctx context.Context) (n int, err error) {
	err = f.store.DB().QueryRowContext(ctx, "SELECT count(*) FROM device_observations WHERE path = 'telemetry'").Scan(&n)
	return n, err
}

// connect says CONNECT, with MQTT 3.1.1.
func (d *device) connect(ctx context.Context, address string) (err error) {
	if d.conn, err = new(net.Dialer).DialContext(ctx, "tcp", address); err != nil {
		return err
	}
	d.r = bufio.NewReaderSize(d.conn, 256)
	body := append(field16(nil, "MQTT"), 4, 0xc2, 0, 0) // a clean session, a user and a password, no keepalive
	body = field16(field16(field16(body, d.name), "bench/"+d.name), mqttPassword)
	if _, err := d.conn.Write(append([]byte{0x10, byte(len(body))}, body...)); err != nil {
		return err
	}
	var answer [4]byte
	if _, err := io.ReadFull(d.r, answer[:]); err != nil {
		return fmt.Errorf("%s is not let in: %w", d.name, err)
	}
	if answer[0] != 0x20 || answer[3] != 0 {
		return fmt.Errorf("%s is not let in: %x", d.name, answer)
	}
	return nil
}

// field16 appends a text with its length.
func field16(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// report keeps the window full until a time, and then waits for what is not acknowledged.
func (d *device) report(until time.Time) (acknowledged int, err error) {
	topic := "tandem/bench/devices/" + d.name + "/telemetry"
	var text []byte
	send := func(id uint16) error {
		payload := fmt.Sprintf(`{"battery":%d,"temperature":%d.5,"uptime":%d}`, id%101, id%40, id)
		text = append(text[:0], 0x32, byte(2+len(topic)+2+len(payload)))
		text = binary.BigEndian.AppendUint16(field16(text, topic), id)
		_, err := d.conn.Write(append(text, payload...))
		return err
	}
	if err := d.conn.SetDeadline(until.Add(time.Minute)); err != nil {
		return 0, err
	}
	id, under := uint16(0), 0
	for {
		for under < mqttWindow && time.Now().Before(until) {
			if id++; id == 0 {
				id = 1
			}
			if err := send(id); err != nil {
				return acknowledged, err
			}
			under++
		}
		if under == 0 {
			return acknowledged, nil
		}
		var ack [4]byte
		if _, err := io.ReadFull(d.r, ack[:]); err != nil {
			return acknowledged, fmt.Errorf("%s: %w", d.name, err)
		}
		if ack[0] != 0x40 || ack[1] != 2 {
			return acknowledged, fmt.Errorf("%s: instead of an acknowledgement there is %x", d.name, ack)
		}
		acknowledged++
		under--
	}
}
