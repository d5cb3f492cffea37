package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tandem/golioth/simulator"
)

// terminalPair opens a pseudo terminal: what a person holds, and what the program sees.
func terminalPair(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := program.Close(); err != nil {
			t.Error(err)
		}
		_ = person.Close() // ends the reader below; its error says only that
	})
	return person, program
}

// onTerminal runs a command at a terminal where a person types, and gives what the screen showed.
func onTerminal(t *testing.T, typed string, env map[string]string, args ...string) (string, int) {
	t.Helper()
	person, program := terminalPair(t)
	var mu sync.Mutex
	var screen bytes.Buffer
	go func() {
		r := bufio.NewReader(person)
		for {
			b, err := r.ReadByte()
			if err != nil {
				return
			}
			mu.Lock()
			screen.WriteByte(b)
			mu.Unlock()
		}
	}()
	if _, err := person.WriteString(typed); err != nil {
		t.Fatal(err)
	}
	m := &Main{Args: args, Stdin: program, Stdout: program, Stderr: program, Clock: time.Now,
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	code := m.Run(context.Background())
	if _, err := program.WriteString("\x04END"); err != nil {
		t.Fatal(err)
	}
	look, late := time.NewTicker(5*time.Millisecond), time.After(30*time.Second)
	defer look.Stop()
	for {
		mu.Lock()
		text := screen.String()
		mu.Unlock()
		if before, ok := strings.CutSuffix(text, "\x04END"); ok {
			return before, code
		}
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("the screen never showed everything: %q", text)
		}
	}
}

// TestS28ATerminalAsks: a first run and changed settings show their plan, and no is no.
func TestS28ATerminalAsks(t *testing.T) {
	t.Parallel()
	server, err := simulator.New(simulator.Options{Seed: 1, Projects: []simulator.Project{{ID: "demo", Keys: []string{"k"}, Devices: 12}}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	defer web.Close()
	folder := t.TempDir()
	env := map[string]string{"TANDEM_DATABASE_URL": "sqlite:" + filepath.Join(folder, "tandem.db"), "TERM": "xterm"}
	if err := os.WriteFile(filepath.Join(folder, "key"), []byte("k\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		typed string
		args  []string
		code  int
		shows []string
		not   []string
	}{
		{"", []string{"org", "create", "acme"}, 0, []string{"created the organization"}, nil},
		{"", []string{"service", "add", "golioth", "--name", "prod", "--project", "demo", "--base-url", web.URL, "--api-key-file", filepath.Join(folder, "key")}, 0, []string{"connected"}, nil},
		{"n\n", []string{"sync"}, 1, []string{"this is the first sync of prod", "12  create here", "do this? [y/N]", "nothing was changed"}, []string{"completed"}},
		{"", []string{"device", "list"}, 0, []string{"no device yet"}, nil},
		{"y\n", []string{"sync"}, 0, []string{"12 created", "\x1b[32mcompleted"}, nil},
		{"", []string{"sync"}, 0, []string{"nothing changed"}, []string{"[y/N]"}},
		{"", []string{"sync", "--no-color"}, 0, []string{"completed"}, []string{"\x1b[32m"}},
		{"", []string{"service", "update", "--create-remote"}, 0, []string{"updated"}, nil},
		{"", []string{"device", "create", "lonely"}, 0, []string{"created"}, nil},
		{"no\n", []string{"sync"}, 1, []string{"the settings of prod have changed", "create on the service"}, nil},
		{"", []string{"sync", "--yes"}, 0, []string{"1 created"}, nil},
		{"n\n", []string{"sync", "--operation", "import", "--force"}, 0, []string{"--force overwrites every difference", "nothing to do"}, nil},
		{"n\n", []string{"org", "delete", "acme"}, 1, []string{"delete the organization acme with its 13 devices", "nothing was changed"}, nil},
		{"y\n", []string{"device", "delete", "lonely"}, 0, []string{"deleted the device lonely"}, nil},
	} {
		screen, code := onTerminal(t, step.typed, env, step.args...)
		if code != step.code {
			t.Fatalf("step %d, %v: exit code %d, want %d\n%s", i, step.args, code, step.code, screen)
		}
		for _, want := range step.shows {
			if !strings.Contains(screen, want) {
				t.Errorf("step %d, %v: the screen does not show %q:\n%s", i, step.args, want, screen)
			}
		}
		for _, not := range step.not {
			if strings.Contains(screen, not) {
				t.Errorf("step %d, %v: the screen shows %q:\n%s", i, step.args, not, screen)
			}
		}
	}
}
