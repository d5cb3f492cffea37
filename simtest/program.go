package simtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"tandem"
)

// patience is how long a command may take before it counts as hanging.
const patience = 60 * time.Second

// command is one run of the program.
type command struct {
	killed bool   // by us
	code   int    // exit code, -1 when killed
	out    string // standard output
	errors string // standard error
}

// String says how it ended.
func (c command) String() string {
	switch {
	case c.killed:
		return "killed"
	case c.code == 0:
		return "done"
	}
	return fmt.Sprintf("exit code %d: %s", c.code, strings.TrimSpace(strings.ReplaceAll(c.errors, "\n", " ")))
}

// process is the program under way.
type process struct {
	mu     sync.Mutex
	cmd    *exec.Cmd
	killed bool
	ended  chan struct{}
}

// kill ends the process as a power cut would, and waits until it is dead. It reports whether it lived.
func (p *process) kill() bool {
	p.mu.Lock()
	first := !p.killed
	p.killed = true
	err := p.cmd.Process.Kill()
	p.mu.Unlock()
	<-p.ended
	return first && !errors.Is(err, os.ErrProcessDone)
}

// start runs the program; during is called once it lives.
func (w *world) start(ctx context.Context, during func(*process), args ...string) (command, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, w.program, append(args, "--org", w.org.Slug, "--database-url", w.db.url, "--key-file", w.db.keyFile)...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		return command{}, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	w.now.Store(p)
	if during != nil {
		during(p)
	}
	err := cmd.Wait()
	close(p.ended)
	w.gate.disarm()
	p.mu.Lock()
	defer p.mu.Unlock()
	c := command{killed: p.killed, code: cmd.ProcessState.ExitCode(), out: out.String(), errors: errs.String()}
	if ctx.Err() != nil {
		return c, fmt.Errorf("the program hangs: %s after %s\n%s", strings.Join(args, " "), patience, c.errors)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return c, err
	}
	if c.code >= 0 {
		c.killed = false // it had ended by itself
	}
	if strings.Contains(c.errors, "panic:") || strings.Contains(c.errors, "fatal error:") {
		return c, fmt.Errorf("the program crashed:\n%s", c.errors)
	}
	return c, nil
}

// kill ends the program that is under way, from an event.
func (w *world) kill() {
	if p := w.now.Load(); p != nil && p.kill() {
		w.story.tell("SIGKILL")
	}
}

// killAfter kills at an instant.
func (w *world) killAfter(d time.Duration) func(*process) {
	return func(p *process) {
		time.AfterFunc(d, func() {
			if p.kill() {
				w.story.tell("SIGKILL %s after the start", d)
			}
		})
	}
}

// killAtCommit kills when the n-th change of the database's log is seen, which is at a commit, or within one.
func (w *world) killAtCommit(n int) func(*process) {
	return func(p *process) {
		go func() {
			tick := time.NewTicker(100 * time.Microsecond)
			defer tick.Stop()
			last, seen := w.db.log(), 0
			for {
				select {
				case <-p.ended:
					return
				case <-tick.C:
				}
				if now := w.db.log(); now != last {
					last = now
					if seen++; seen == n {
						if p.kill() {
							w.story.tell("SIGKILL at change %d of the database's log", n)
						}
						return
					}
				}
			}
		}()
	}
}

// The times of a run that may be killed, and those of one that may not.
var (
	hurried = []string{"--lease-ttl", "900ms", "--write-timeout", "300ms", "--settle", "100ms"}
	calm    = []string{"--lease-ttl", "25s", "--write-timeout", "3s", "--settle", "100ms"}
)

// outcome is what a run said of itself.
type outcome struct {
	command
	Run tandem.Run
}

// sync runs a sync. Without a result of its own it was killed, or could not begin.
func (w *world) sync(ctx context.Context, during func(*process), args ...string) (outcome, error) {
	c, err := w.start(ctx, during, append([]string{"sync", serviceName, "--json"}, args...)...)
	o := outcome{command: c}
	if err != nil || c.killed || strings.TrimSpace(c.out) == "" {
		return o, err
	}
	var said struct {
		ID      string           `json:"operation_id"`
		Status  tandem.RunStatus `json:"status"`
		Summary tandem.Summary   `json:"summary"`
		Error   json.RawMessage  `json:"error"`
	}
	if err := json.Unmarshal([]byte(c.out), &said); err != nil {
		return o, fmt.Errorf("the program's JSON cannot be read: %w\n%s", err, c.out)
	}
	o.Run = tandem.Run{ID: said.ID, Status: said.Status, Summary: said.Summary, Error: string(said.Error)}
	return o, nil
}
