package webtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// server is a `tandem serve` process.
type server struct {
	url      string
	folder   string // with its keys
	database string
	cmd      *exec.Cmd
	ended    chan struct{}

	mu   sync.Mutex
	said bytes.Buffer // what it wrote, both streams
}

// Write takes what the process writes.
func (s *server) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Write(text)
}

// log gives what it wrote so far.
func (s *server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

// serve starts the program over a database and waits until it says where it is. All requests come from one address here,
// and services are on this machine: neither is a reason to refuse them.
func serve(program, folder, database string, flags ...string) (*server, error) {
	s := &server{folder: folder, database: database, ended: make(chan struct{})}
	args := []string{"serve", "--listen", "127.0.0.1:0", "--address-rate=-1", "--token-rate=-1", "--webhook-rate=-1", "--allow-private-addresses", "--log-level", "warn"}
	s.cmd = exec.Command(program, append(args, flags...)...)
	s.cmd.Env = append(os.Environ(), "TANDEM_DATABASE_URL="+database, "TANDEM_KEY_FILE="+filepath.Join(folder, "tandem.key"), "NO_COLOR=1")
	s.cmd.Stdout, s.cmd.Stderr = s, s
	endsWithUs(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait() // what it said tells how it ended
		close(s.ended)
	}()
	at := regexp.MustCompile(`tandem serves (http://\S+);`)
	err := waitFor(time.Minute, func() (bool, error) {
		if m := at.FindStringSubmatch(s.log()); m != nil {
			s.url = m[1]
		}
		select {
		case <-s.ended:
			return false, errors.New("it ended")
		default:
			return s.url != "", nil
		}
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tandem serve: %w\n%s", err, s.log()), s.stop())
	}
	return s, nil
}

// setUpSecret is what the first owner's link has, as the server printed it.
func (s *server) setUpSecret() (string, error) {
	lines := bufio.NewScanner(bytes.NewBufferString(s.log()))
	link := regexp.MustCompile(`/setup\?token=(\S+)`)
	for lines.Scan() {
		if m := link.FindStringSubmatch(lines.Text()); m != nil {
			return m[1], nil
		}
	}
	return "", fmt.Errorf("the server printed no link for the first owner:\n%s", s.log())
}

// stop ends the process as an operator does.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("the server does not stop"), s.cmd.Process.Kill())
	}
}

// waitFor asks again and again until it is so, less often the longer it takes: asking takes time of what is waited for.
func waitFor(patience time.Duration, so func() (bool, error)) error {
	pause := 20 * time.Millisecond
	again := time.NewTimer(pause)
	defer again.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		ok, err := so()
		if ok || err != nil {
			return err
		}
		select {
		case <-again.C:
			pause = min(2*pause, 100*time.Millisecond)
			again.Reset(pause)
		case <-late.C:
			return fmt.Errorf("not within %s", patience)
		}
	}
}
