package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"tandem"
	"tandem/store"
	"tandem/store/postgres"
	"tandem/store/sqlite"
	"tandem/webhook"
)

// The environment that makes this program, or its test, the receiver of the deliveries: a process of its own, so that
// what the load costs is not taken for what the receiver costs.
const (
	receiverDatabase = "TANDEM_BENCH_RECEIVER"         // the database's URL
	receiverProfile  = "TANDEM_BENCH_RECEIVER_PROFILE" // file for a CPU profile, "" for none
)

// benchSecret is what the deliveries carry.
const benchSecret = "bench-secret-of-no-value"

type plainSecret string

func (s plainSecret) Reveal() string { return string(s) }

// received is what a receiver tells at its end.
type received struct {
	Counts    map[webhook.Outcome]int64 `json:"counts"`
	Stored    spread                    `json:"stored"`
	Processed spread                    `json:"processed"`
}

// spread is how durations are spread, in seconds.
type spread struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// spreadOf sorts durations.
func spreadOf(durations []time.Duration) spread {
	slices.Sort(durations)
	n := len(durations)
	if n == 0 {
		return spread{}
	}
	return spread{n, durations[n/2].Seconds(), durations[n*99/100].Seconds(), durations[n-1].Seconds()}
}

// keeper is a Meter that keeps every duration.
type keeper struct {
	webhook.Tally
	mu    sync.Mutex
	times map[webhook.Stage][]time.Duration
}

// Took keeps one.
func (k *keeper) Took(stage webhook.Stage, d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.times[stage] = append(k.times[stage], d)
}

// receive serves deliveries over a database until its input ends, as `tandem serve` does; it says its address first and
// what it counted last.
func receive(ctx context.Context, database string, in io.Reader, out io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if profile := os.Getenv(receiverProfile); profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return errors.Join(err, file.Close())
		}
		defer pprof.StopCPUProfile()
	}
	st, err := openStore(ctx, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	batch := webhook.LargeClaim
	if strings.HasPrefix(database, "sqlite:") {
		batch = webhook.DefaultClaim
	}
	meter := &keeper{times: map[webhook.Stage][]time.Duration{}}
	processor := webhook.NewProcessor(webhook.ProcessorOptions{Store: st, Clock: time.Now, IDs: newID, Holder: newID(), Batch: batch, Meter: meter})
	handler := webhook.NewHandler(webhook.Options{Store: st, Clock: time.Now, IDs: newID, Meter: meter, Processor: processor,
		Open: func(context.Context, tandem.Service) ([]webhook.Secret, error) {
			return []webhook.Secret{plainSecret(benchSecret)}, nil
		}})
	defer handler.Close()
	running, end := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { _ = processor.Run(running) }) // it ends with its context
	defer work.Wait()
	defer end()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(webhook.Pattern, handler)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	work.Go(func() { _ = server.Serve(listener) }) // it ends with Close
	if _, err := fmt.Fprintln(out, listener.Addr()); err != nil {
		return errors.Join(err, server.Close())
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return errors.Join(err, server.Close())
	}
	said := received{Counts: map[webhook.Outcome]int64{}}
	for _, c := range meter.Counts() {
		said.Counts[c.What] += c.N
	}
	meter.mu.Lock()
	said.Stored, said.Processed = spreadOf(meter.times[webhook.ToStored]), spreadOf(meter.times[webhook.ToProcessed])
	meter.mu.Unlock()
	return errors.Join(json.NewEncoder(out).Encode(said), server.Close())
}

// openStore opens a database by its URL.
func openStore(ctx context.Context, database string) (*store.Store, error) {
	u, err := url.Parse(database)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "sqlite" {
		return sqlite.Open(ctx, database[len("sqlite:"):])
	}
	return postgres.Open(ctx, database)
}
