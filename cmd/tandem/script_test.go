package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tandem/cmd/tandem/built"
	"tandem/golioth/simulator"
	"tandem/store/pgtest"
	"tandem/store/sqlite"
	"tandem/store/sqlite/sqlitetest"
	"tandem/web/webtest"
)

// mainWith lets testscript end the program, and what tests share after it.
type mainWith struct{ m *testing.M }

func (m mainWith) Run() int { return webtest.Main(m.m) }

func TestMain(m *testing.M) {
	testscript.Main(mainWith{m}, map[string]func(){"tandem": main})
}

// TestScripts runs testdata/script: the real commands against a real simulator, each in a folder of its own.
func TestScripts(t *testing.T) {
	migrated, err := os.ReadFile(sqlitetest.File(t))
	if err != nil {
		t.Fatal(err)
	}
	commands := filepath.Dir(plainProgram(t))
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		WorkdirRoot:         scriptRoot(t),
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", commands+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("GOGC", "400") // a fifth of a command's time is collecting what it begins with
			name, _ := strings.CutPrefix(filepath.Base(env.WorkDir), "script-")
			if !slices.Contains([]string{"database_trouble", "doctor", "legacy", "organizations", "usage"}, name) { // those are about how it comes to be
				if err := os.WriteFile(env.WorkDir+"/tandem.db", migrated, 0o600); err != nil {
					return err
				}
			}
			return os.WriteFile(env.WorkDir+"/key", []byte("the-secret-key\n"), 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"sim":      startSimulator,
			"admin":    admin,
			"value":    value,
			"save":     save,
			"web":      startWebsite,
			"hook":     startHook,
			"serve":    startServer,
			"ingest":   ingestAs,
			"coap":     coapAs,
			"psk":      pskOf,
			"until":    until,
			"exit":     exitIs,
			"sql":      sqlite3,
			"damage":   damage,
			"postgres": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Setenv("TANDEM_DATABASE_URL", pgtest.URL(t)) },
		},
	})
}

// plainProgram gives the program without the race detector, for commands. Servers are this test binary, with it.
func plainProgram(t *testing.T) string {
	t.Helper()
	program, err := built.Program(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// scriptRoot is where the scripts work: in memory where the system has a folder there, since what a disk's sync costs
// is not what they are about.
func scriptRoot(t *testing.T) string {
	root, err := os.MkdirTemp("/dev/shm", "tandem-scripts-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	return root
}

// startSimulator is `sim DEVICES [fault…]`: it serves the project demo for the key in $WORK/key, at $SIM_URL.
func startSimulator(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	options := simulator.Options{Seed: 1, Projects: []simulator.Project{{ID: "demo", Keys: []string{"the-secret-key"}, Devices: n},
		{ID: "other", Keys: []string{"other-key"}, Devices: 3}}}
	for _, text := range args[1:] {
		if rest, ok := strings.CutPrefix(text, "latency="); ok {
			options.Latency, err = simulator.ParseLatency(rest)
			ts.Check(err)
			continue
		}
		fault, err := simulator.ParseFault(text)
		ts.Check(err)
		options.Faults = append(options.Faults, fault)
	}
	server, err := simulator.New(options)
	ts.Check(err)
	serve(ts, server)
}

// startWebsite is `web`: something at $SIM_URL that answers, and is not Golioth.
func startWebsite(ts *testscript.TestScript, _ bool, _ []string) {
	serve(ts, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if _, err := io.WriteString(w, "<html><body>Welcome to nginx!</body></html>"); err != nil {
			return // the caller is gone
		}
	}))
}

func serve(ts *testscript.TestScript, handler http.Handler) {
	server := httptest.NewServer(handler)
	ts.Defer(func() {
		server.CloseClientConnections()
		server.Close()
	})
	ts.Setenv("SIM_URL", server.URL)
}

// admin is `admin METHOD PATH [BODY]`: a call to the simulator's admin endpoint; its answer is compared by `value`.
func admin(ts *testscript.TestScript, _ bool, args []string) {
	body := ""
	if len(args) > 2 {
		body = args[2]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, args[0], ts.Getenv("SIM_URL")+"/simulator/"+args[1], strings.NewReader(body))
	ts.Check(err)
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	reply, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("admin %s: %s", strings.Join(args, " "), reply)
	}
	ts.Check(os.WriteFile(ts.MkAbs("admin.json"), reply, 0o600))
}

// lookup gives the value at a dotted path of the JSON on standard output, or of a file with `-f FILE`.
func lookup(ts *testscript.TestScript, args []string) (string, []string) {
	file := "stdout"
	if args[0] == "-f" {
		file, args = args[1], args[2:]
	}
	d := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile(file))))
	d.UseNumber()
	var v any
	ts.Check(d.Decode(&v))
	if _, err := d.Token(); err != io.EOF {
		ts.Fatalf("%s holds more than one JSON value", file)
	}
	for _, step := range strings.Split(args[0], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			if step == "len" {
				v = len(at)
				continue
			}
			i, err := strconv.Atoi(step)
			ts.Check(err)
			if i >= len(at) {
				ts.Fatalf("%s: the list has %d elements", args[0], len(at))
			}
			v = at[i]
		default:
			ts.Fatalf("%s: there is nothing at %q", args[0], step)
		}
	}
	text, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		ts.Check(err)
		text = string(b)
	}
	return text, args[1:]
}

// value is `value PATH WANT`.
func value(ts *testscript.TestScript, neg bool, args []string) {
	got, rest := lookup(ts, args)
	if (got == rest[0]) == neg {
		ts.Fatalf("%s is %s", strings.Join(args[:len(args)-1], " "), got)
	}
}

// save is `save PATH VARIABLE`.
func save(ts *testscript.TestScript, _ bool, args []string) {
	got, rest := lookup(ts, args)
	ts.Setenv(rest[0], got)
}

// sqlite3 is `sql FILE STATEMENT`.
func sqlite3(ts *testscript.TestScript, neg bool, args []string) {
	s, err := sqlite.OpenForMigration(context.Background(), ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = s.DB().DB.ExecContext(context.Background(), args[1])
	ts.Check(s.Close())
	if (err == nil) == neg {
		ts.Fatalf("%s: %v", args[1], err)
	}
}

// damage is `damage FILE`: it overwrites the middle of a file.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	for i := 4096; i < len(b); i++ {
		b[i] = 0xa5
	}
	ts.Check(os.WriteFile(name, b, 0o600))
}

// exitIs is `exit CODE tandem …`: the command must end with that code.
func exitIs(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		var exit interface{ ExitCode() int }
		if e, ok := err.(interface{ ExitCode() int }); ok {
			exit = e
			code = exit.ExitCode()
		} else {
			ts.Fatalf("%v", err)
		}
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// startHook is `hook`: something at $HOOK_URL that takes messages into hooked.json; its address is in the file slack
// too, and a signing secret in the file signing.
func startHook(ts *testscript.TestScript, _ bool, _ []string) {
	into := ts.MkAbs("hooked.json")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(into, body, 0o600)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	ts.Defer(server.Close)
	ts.Setenv("HOOK_URL", server.URL)
	ts.Check(os.WriteFile(ts.MkAbs("slack"), []byte(server.URL+"/slack-path\n"), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("signing"), []byte("whsec_"+strings.Repeat("QUJD", 8)+"\n"), 0o600))
}

// startServer is `serve [flag…]`: a server process on the script's database, at $SERVER_URL; it is stopped after the script.
func startServer(ts *testscript.TestScript, _ bool, args []string) {
	self, err := os.Executable()
	ts.Check(err)
	// The test binary is the program under the name of the command.
	program := filepath.Join(ts.Getenv("WORK"), "served", "tandem")
	ts.Check(os.MkdirAll(filepath.Dir(program), 0o755))
	ts.Check(os.Symlink(self, program))
	cmd := exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0", "--allow-private-addresses", "--log-level", "warn"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "WORK", "TANDEM_DATABASE_URL", "TMPDIR", "GOCOVERDIR", "GORACE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	if ts.Getenv("TANDEM_DATABASE_URL") == "" {
		cmd.Env = append(cmd.Env, "TANDEM_DATABASE_URL=sqlite:tandem.db")
	}
	told, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	lines := bufio.NewReader(told)
	var all strings.Builder
	for {
		line, err := lines.ReadString('\n')
		all.WriteString(line)
		if place, ok := strings.CutPrefix(line, "devices speak to "); ok { // $COAPS_URL and its like
			scheme, _, _ := strings.Cut(place, "://")
			ts.Setenv(strings.ToUpper(scheme)+"_URL", strings.TrimSpace(place))
		}
		if rest, ok := strings.CutPrefix(line, "tandem serves "); ok {
			address, _, _ := strings.Cut(rest, ";")
			ts.Setenv("SERVER_URL", address)
			break
		}
		if err != nil {
			ts.Fatalf("the server did not start: %s", all.String())
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // until it ends
	ts.Defer(func() {
		_ = cmd.Process.Signal(os.Interrupt) // a server that has ended already has no process
		_ = cmd.Wait()                       // how it ended is serve's own test
	})
}

// ingestAs is `ingest STATUS METHOD PATH [BODY]`: what the device with the token $DEVICE_TOKEN asks the server, and the
// status that it must get; the reply is in ingest.json.
func ingestAs(ts *testscript.TestScript, _ bool, args []string) {
	body := ""
	if len(args) > 3 {
		body = args[3]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, args[1], ts.Getenv("SERVER_URL")+"/ingest/v1/"+args[2], strings.NewReader(body))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+ts.Getenv("DEVICE_TOKEN"))
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	reply, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(resp.Body.Close())
	if strconv.Itoa(resp.StatusCode) != args[0] {
		ts.Fatalf("%d, want %s: %s", resp.StatusCode, args[0], reply)
	}
	ts.Check(os.WriteFile(ts.MkAbs("ingest.json"), reply, 0o600))
}

// until is `until PATTERN command…`: it does the command again until its output matches.
func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	last := ""
	for over := time.Now().Add(30 * time.Second); time.Now().Before(over); {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if last = ts.ReadFile("stdout"); pattern.MatchString(last) {
			return
		}
	}
	ts.Fatalf("%s never said %q, but:\n%s", strings.Join(args[1:], " "), args[0], last)
}
