package main

import (
	"bytes"
	"context"
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

// served is `tandem serve` in a process of its own: what the load costs is not taken for what the server costs.
type served struct {
	url     string
	command *exec.Cmd
	ended   chan struct{}
	said    bytes.Buffer // read only after ended
}

// serve starts one over a database, its keys beside dir, and waits until it is ready. All load comes from one address here,
// which is no reason to refuse it.
func (b *bench) serve(ctx context.Context, database, dir string, flags ...string) (s *served, err error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s = &served{url: "http://" + address, ended: make(chan struct{})}
	s.command = exec.CommandContext(ctx, b.tandem, append([]string{"serve", "--listen", address, "--address-rate=-1", "--token-rate=-1", "--log-level", "warn"}, flags...)...)
	s.command.Env = append(os.Environ(), "TANDEM_DATABASE_URL="+database, "TANDEM_KEY_FILE="+filepath.Join(dir, "tandem.key"))
	s.command.Stdout, s.command.Stderr = &s.said, &s.said
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s (make build makes it): %w", b.tandem, err)
	}
	go func() {
		// How it ended is told by what it said, if it was too early.
		_ = s.command.Wait()
		close(s.ended)
	}()
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// ready waits until the server answers.
func (s *served) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := fetch(ctx, http.DefaultClient, s.url+"/healthz", nil)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("the server ended: %s", s.said.String())
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}

// stop ends the process as an operator does.
func (s *served) stop() error {
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(time.Minute):
		return errors.Join(errors.New("the server does not stop"), s.command.Process.Kill())
	}
}

// memory is what the process has resident now, in MB.
func (s *served) memory() float64 { return resident(s.command.Process.Pid, "VmRSS:") }

// cpu is the processor time that the process took so far.
func (s *served) cpu() time.Duration {
	_, own, _ := times(strconv.Itoa(s.command.Process.Pid))
	return own
}

// fetch does one GET and reads the reply to its end; prepare may add to the request.
func fetch(ctx context.Context, client *http.Client, url string, prepare func(*http.Request)) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if prepare != nil {
		prepare(request)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusOK {
		_, err = io.Copy(io.Discard, response.Body)
		return errors.Join(err, response.Body.Close())
	}
	text, err := io.ReadAll(response.Body)
	return errors.Join(fmt.Errorf("GET %s: %s: %s", request.URL.Path, response.Status, text), err, response.Body.Close())
}

// manyConnections is a client that keeps a connection for each request that is under way.
func manyConnections(n int) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConns: n, MaxIdleConnsPerHost: n, DisableCompression: true}}
}
