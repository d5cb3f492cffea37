package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// The one project of the simulator, and its key.
const (
	project = "bench"
	apiKey  = "bench-key-of-no-value"
)

// simulator is `tandem simulator` in a process of its own.
type simulator struct {
	url     string
	keyFile string
	dir     string
	command *exec.Cmd
	ended   chan struct{}
	said    bytes.Buffer // read only after ended
}

// startSimulator starts one with a fleet and waits until it answers.
func startSimulator(ctx context.Context, program string, devices int, latency time.Duration) (s *simulator, err error) {
	dir, err := os.MkdirTemp("", "tandem-bench-")
	if err != nil {
		return nil, err
	}
	s = &simulator{dir: dir, keyFile: filepath.Join(dir, "key"), ended: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if err := os.WriteFile(s.keyFile, []byte(apiKey), 0o600); err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.url = "http://" + address
	s.command = exec.CommandContext(ctx, program, "simulator", "--listen", address, "--project", project, "--api-key", apiKey,
		"--devices", strconv.Itoa(devices), "--seed", "7", "--latency", latency.String())
	s.command.Stdout, s.command.Stderr = &s.said, &s.said
	if err := s.command.Start(); err != nil {
		s.command = nil
		return nil, fmt.Errorf("start %s (make build makes it): %w", program, err)
	}
	go func() {
		// How it ended is told by what it said, if it was too early.
		_ = s.command.Wait()
		close(s.ended)
	}()
	return s, s.ready(ctx)
}

// freePort finds a port that nobody listens on.
func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close() //nolint:errcheck // a TCP listener's address is a TCP address
}

// ready waits until the simulator answers; a million devices take a while to make.
func (s *simulator) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.admin(ctx, http.MethodGet, "requests", nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("the simulator ended: %s", s.said.String())
		case <-ctx.Done():
			return fmt.Errorf("the simulator does not answer: %w", err)
		}
	}
}

// stop ends the process and removes its files.
func (s *simulator) stop() error {
	if s.command != nil {
		if err := s.command.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		<-s.ended
	}
	return os.RemoveAll(s.dir)
}

// admin calls one of the simulator's own endpoints, which have no latency.
func (s *simulator) admin(ctx context.Context, method, endpoint string, body, reply any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+"/simulator/"+endpoint, bytes.NewReader(text))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("simulator: %s %s: %s", method, endpoint, answer)
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(answer, reply)
}

// reset makes the fleet as it was at the start.
func (s *simulator) reset(ctx context.Context) error {
	return s.admin(ctx, http.MethodPost, "reset", nil, nil)
}

// reportAll lets every device report.
func (s *simulator) reportAll(ctx context.Context) error {
	return s.admin(ctx, http.MethodPatch, "devices", map[string]any{"project": project, "report": true}, nil)
}
