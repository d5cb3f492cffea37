package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// memoryPeaks is (f): the most memory that `tandem sync` takes, by fleet size: importing into an empty database, and
// once more with nothing to do.
func (b *bench) memoryPeaks(ctx context.Context, d *databases) error {
	smallest := 0.0
	for i, devices := range b.memory {
		imported, again, err := b.peaks(ctx, d, devices)
		if err != nil {
			return fmt.Errorf("%d devices: %w", devices, err)
		}
		peak := max(imported, again)
		row := Row{ID: "f", Database: d.kind, What: fmt.Sprintf("peak memory, %d devices (import %.0f, again %.0f)", devices, imported, again), Tandem: peak, Unit: "MB", Limit: 200}
		b.add(row)
		if i == 0 {
			smallest = peak
			continue
		}
		b.add(Row{ID: "f", Database: d.kind, What: fmt.Sprintf("the same, against %d devices", b.memory[0]), Tandem: peak, Baseline: smallest,
			Unit: "MB", Ratio: peak / smallest, Limit: 1.5})
	}
	return nil
}

// peaks runs the program twice over a fleet, with as little latency as makes the simulator no bottleneck.
func (b *bench) peaks(ctx context.Context, d *databases, devices int) (imported, again float64, err error) {
	sim, err := startSimulator(ctx, b.tandem, devices, 0)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, sim.stop()) }()
	url, err := d.fresh(ctx)
	if err != nil {
		return 0, 0, err
	}
	environment := append(os.Environ(), "TANDEM_DATABASE_URL="+url, "TANDEM_KEY_FILE="+filepath.Join(sim.dir, "tandem.key"))
	for _, args := range [][]string{
		{"migrate", "up"},
		{"org", "create", "bench"},
		{"service", "add", "golioth", "--name", "bench", "--project", project, "--base-url", sim.url, "--api-key-file", sim.keyFile},
	} {
		if _, err := b.peak(ctx, environment, args...); err != nil {
			return 0, 0, err
		}
	}
	if imported, err = b.peak(ctx, environment, "sync", "bench", "--operation", "import", "--json"); err != nil {
		return 0, 0, err
	}
	again, err = b.peak(ctx, environment, "sync", "bench", "--json")
	return imported, again, err
}

// peak runs the program and gives its peak memory (VmHWM) in MB, as seen 10 ms before its end at the latest.
func (b *bench) peak(ctx context.Context, environment []string, args ...string) (float64, error) {
	command := exec.CommandContext(ctx, b.tandem, args...)
	command.Env = environment
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	most := 0.0
	for {
		select {
		case <-tick.C:
			if seen, ok := highWater(command.Process.Pid); ok {
				most = max(most, seen)
			}
		case err := <-ended:
			if err != nil {
				return 0, fmt.Errorf("tandem %s: %w: %s%s", strings.Join(args, " "), err, errs.String(), tail(out.String()))
			}
			return most, nil
		}
	}
}

// tail gives the end of a long text.
func tail(s string) string { return s[max(0, len(s)-2000):] }

// highWater reads a process's peak resident memory in MB; not ok when it has ended.
func highWater(pid int) (float64, bool) {
	most := resident(pid, "VmHWM:")
	return most, most > 0
}

// resident reads one of the figures of a process's memory in MB, 0 when it has ended.
func resident(pid int, name string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			if err != nil {
				return 0
			}
			return kb / 1000
		}
	}
	return 0
}
