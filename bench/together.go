package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Several processes share one service's budget.
const (
	together     = 3
	sharedBudget = 1200 // requests a minute
	sharedFor    = 75 * time.Second
	sharedFleet  = 2000
	editsApart   = 300 * time.Millisecond
)

// budgetOfMany measures three `tandem serve` over one PostgreSQL that want more of a service than its budget allows: by
// schedule, by hand, about single devices and for edits. The simulator counts what arrives in any 60 seconds.
func (b *bench) budgetOfMany(ctx context.Context, d *databases) (err error) {
	devices, lasting := min(b.devices, sharedFleet), sharedFor
	if b.devices < 1000 {
		lasting = 10 * glimpse // enough for a request, on a machine that does other things too
	}
	sim, err := startSimulator(ctx, b.tandem, devices, b.latency)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sim.stop()) }()
	g, err := b.gather(ctx, d, sim)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	if err := sim.admin(ctx, http.MethodDelete, "requests", nil, nil); err != nil {
		return err
	}
	working, stop := context.WithTimeout(ctx, lasting)
	defer stop()
	did, err := g.work(working)
	if err != nil {
		return err
	}
	var counted struct {
		Total int `json:"total"`
		Peak  int `json:"peak_per_minute"`
	}
	if err := sim.admin(ctx, http.MethodGet, "requests", nil, &counted); err != nil {
		return err
	}
	b.tell("  %d requests in %s, at most %d in any 60 s of a budget of %d; %s", counted.Total, lasting, counted.Peak, sharedBudget, did)
	b.add(Row{ID: "p", Database: d.kind, What: fmt.Sprintf("%d processes, one service: requests in any 60 s, as the simulator counts", together), Tandem: float64(counted.Peak), Unit: "", Limit: sharedBudget})
	return nil
}

// group are the processes and what they work at.
type group struct {
	processes []*served
	dir       string
	token     string
	service   string
	devices   []string
}

// gather makes the organization with its service, as an operator does, and starts the processes.
func (b *bench) gather(ctx context.Context, d *databases, sim *simulator) (g *group, err error) {
	g = &group{}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.stop())
		}
	}()
	if g.dir, err = os.MkdirTemp("", "tandem-bench-"); err != nil {
		return nil, err
	}
	database, err := d.fresh(ctx)
	if err != nil {
		return nil, err
	}
	var token struct {
		Secret string `json:"token"`
	}
	for _, args := range [][]string{
		{"migrate", "up"},
		{"org", "create", "bench"},
		{"service", "add", "golioth", "--name", "bench", "--project", project, "--base-url", sim.url, "--api-key-file", sim.keyFile,
			"--requests-per-minute", fmt.Sprint(sharedBudget), "--max-change", "1", "--max-delete", "1"},
		{"sync", "bench", "--yes", "--json"}, // the first run is a person's
		{"service", "update", "bench", "--sync-enabled", "--interval", "1m"},
		{"token", "create", "bench", "--role", "admin", "--json"},
	} {
		command := exec.CommandContext(ctx, b.tandem, args...)
		command.Env = append(os.Environ(), "TANDEM_DATABASE_URL="+database, "TANDEM_KEY_FILE="+filepath.Join(g.dir, "tandem.key"))
		var errs bytes.Buffer
		command.Stderr = &errs
		out, err := command.Output()
		if err != nil {
			return g, fmt.Errorf("tandem %s: %w: %s", strings.Join(args, " "), err, errs.String())
		}
		if args[0] == "token" {
			if err := json.Unmarshal(out, &token); err != nil {
				return g, err
			}
		}
	}
	g.token = token.Secret
	for range together {
		p, err := b.serve(ctx, database, g.dir, "--allow-private-addresses")
		if err != nil {
			return g, err
		}
		g.processes = append(g.processes, p)
	}
	return g, g.look(ctx)
}

// look finds the service and some devices.
func (g *group) look(ctx context.Context) error {
	var services struct {
		Services []struct {
			ID string `json:"id"`
		} `json:"services"`
	}
	var devices struct {
		Devices []struct {
			ID string `json:"id"`
		} `json:"devices"`
	}
	if err := g.call(ctx, 0, http.MethodGet, "services", nil, &services); err != nil {
		return err
	}
	if err := g.call(ctx, 0, http.MethodGet, "devices?limit=500", nil, &devices); err != nil {
		return err
	}
	if len(services.Services) != 1 || len(devices.Devices) == 0 {
		return fmt.Errorf("%d services and %d devices are there", len(services.Services), len(devices.Devices))
	}
	g.service = services.Services[0].ID
	for _, d := range devices.Devices {
		g.devices = append(g.devices, d.ID)
	}
	return nil
}

func (g *group) stop() error {
	var err error
	for _, p := range g.processes {
		err = errors.Join(err, p.stop())
	}
	return errors.Join(err, os.RemoveAll(g.dir))
}

// call does one API request at one of the processes. That a service is busy with a run is no failure.
func (g *group) call(ctx context.Context, at int, method, path string, body, reply any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, g.processes[at%len(g.processes)].url+"/api/v1/"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+g.token)
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("If-Match", "*")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	var answer bytes.Buffer
	_, err = answer.ReadFrom(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode >= 300 && response.StatusCode != http.StatusConflict {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer.String())
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(answer.Bytes(), reply)
}

// tally is what was asked for.
type tally struct {
	mu    sync.Mutex
	count map[string]int
}

func (t *tally) add(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count[what]++
}

// work asks for more than the budget allows until ctx ends, at every process: whole runs, runs about single devices and
// edits. The schedule does its part by itself.
func (g *group) work(ctx context.Context) (string, error) {
	did := &tally{count: map[string]int{}}
	var wait sync.WaitGroup
	var mu sync.Mutex
	var failed error
	loop := func(what string, once func(i int) error) {
		wait.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := once(i); err == nil {
					did.add(what)
				} else if ctx.Err() == nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	runs := "services/" + g.service + "/runs?wait=20s"
	for p := range g.processes {
		loop("whole runs", func(int) error { return g.call(ctx, p, http.MethodPost, runs, map[string]any{}, nil) })
		for w := range 2 {
			loop("runs about single devices", func(i int) error {
				return g.call(ctx, p, http.MethodPost, runs, map[string]any{"device_ids": []string{g.devices[(i*7+p*100+w*50)%len(g.devices)]}}, nil)
			})
		}
		loop("edits", func(i int) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(editsApart):
			}
			return g.call(ctx, p, http.MethodPatch, "devices/"+g.devices[(i*3+p)%len(g.devices)], map[string]any{"name": fmt.Sprintf("edited %d %d", p, i)}, nil)
		})
	}
	wait.Wait()
	return fmt.Sprint(did.count), failed
}
