package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tandem"
	"tandem/golioth/simulator"
	"tandem/store"
	"tandem/store/postgres"
	"tandem/store/postgres/postgrestest"
)

// site is several processes over one PostgreSQL and a simulated project.
type site struct {
	t         *testing.T
	simulator *simulator.Server
	program   string   // the test binary as `tandem`, for servers
	commands  string   // the plain program, for all else
	env       []string // of every process
	store     *store.Store
	org       string
	service   tandem.Service
	token     string
	processes []*process
}

// process is one `tandem serve`.
type process struct {
	cmd *exec.Cmd
	url string
	mu  sync.Mutex
	log bytes.Buffer
}

const siteDevices, siteLocal = 10_000, 100

func newSite(t *testing.T, latency time.Duration) *site {
	t.Helper()
	s := &site{t: t, commands: plainProgram(t)}
	var err error
	s.simulator, err = simulator.New(simulator.Options{Seed: 3, Latency: simulator.Latency{Mean: latency},
		Projects: []simulator.Project{{ID: "demo", Keys: []string{"the-secret-key"}, Devices: siteDevices}}})
	s.must(err)
	remote := httptest.NewServer(s.simulator)
	t.Cleanup(remote.Close)
	dir := t.TempDir()
	self, err := os.Executable()
	s.must(err)
	s.program = filepath.Join(dir, "tandem")
	s.must(os.Symlink(self, s.program))
	s.must(os.WriteFile(filepath.Join(dir, "key"), []byte("the-secret-key\n"), 0o600))
	url := postgrestest.URL(t)
	s.env = append(os.Environ(), "TANDEM_DATABASE_URL="+url, "TANDEM_KEY_FILE="+filepath.Join(dir, "tandem.key"))
	s.store, err = postgres.Open(t.Context(), url)
	s.must(err)
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	s.command("org", "create", "acme")
	s.command("service", "add", "golioth", "--name", "prod", "--project", "demo", "--base-url", remote.URL, "--api-key-file", filepath.Join(dir, "key"), "--create-remote")
	var rows strings.Builder
	rows.WriteString("name,device_id\n")
	for i := range siteLocal {
		fmt.Fprintf(&rows, "only here %d,only-here-%d\n", i, i)
	}
	s.must(os.WriteFile(filepath.Join(dir, "here.csv"), []byte(rows.String()), 0o600))
	s.command("device", "import", filepath.Join(dir, "here.csv"))
	var token struct {
		Secret string `json:"token"`
	}
	s.must(json.Unmarshal(s.command("token", "create", "test", "--role", "admin", "--json"), &token))
	s.token = token.Secret
	orgs, err := s.store.Organizations(t.Context())
	s.must(err)
	s.org = orgs[0].ID
	s.service, err = s.store.Service(t.Context(), s.org, "prod")
	s.must(err)
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// command runs a command to its end.
func (s *site) command(args ...string) []byte {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.commands, args...)
	cmd.Env = s.env
	out, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			s.t.Fatalf("tandem %s: %v\n%s", strings.Join(args, " "), err, failed.Stderr)
		}
		s.t.Fatalf("tandem %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// start starts a server process and waits until it says where it is.
func (s *site) start() *process {
	s.t.Helper()
	p := &process{cmd: exec.Command(s.program, "serve", "--listen", "127.0.0.1:0")}
	p.cmd.Env = s.env
	out, err := p.cmd.StderrPipe()
	s.must(err)
	s.must(p.cmd.Start())
	s.processes = append(s.processes, p)
	s.t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be dead by then, which is what some tests are about
		_ = p.cmd.Wait()
		if s.t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			s.t.Logf("process %d:\n%s", p.cmd.Process.Pid, p.log.String())
		}
	})
	found := make(chan string, 1)
	go func() {
		at := regexp.MustCompile(`tandem serves (http://\S+);`)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.mu.Lock()
			p.log.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
			if m := at.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	select {
	case p.url = <-found:
	case <-time.After(time.Minute):
		s.t.Fatal("the server does not say where it is")
	}
	return p
}

// call does one API request as the token.
func (s *site) call(p *process, method, path, body string, into any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, p.url+"/api/v1/"+path, strings.NewReader(body))
	s.must(err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(req)
	s.must(err)
	text, err := io.ReadAll(reply.Body)
	s.must(err)
	s.must(reply.Body.Close())
	if reply.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %d %s", method, path, reply.StatusCode, text)
	}
	if into != nil {
		s.must(json.Unmarshal(text, into))
	}
}

// until waits for something that becomes true.
func (s *site) until(what string, there func() bool) {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(3 * time.Minute)
	for !there() {
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// runs lists the runs in a status.
func (s *site) runs(status tandem.RunStatus) []tandem.Run {
	s.t.Helper()
	runs, _, err := s.store.Runs(context.Background(), s.org, tandem.RunFilter{Status: status})
	s.must(err)
	return runs
}

// holder gives the process that does a run now, 0 for none.
func (s *site) holder() int {
	s.t.Helper()
	var holder string
	if err := s.store.DB().DB.QueryRowContext(s.t.Context(), "SELECT holder FROM service_leases WHERE service_id = '"+s.service.ID+"'").Scan(&holder); err != nil {
		return 0
	}
	parts := strings.Split(holder, "/") // host/pid/…
	if len(parts) < 2 {
		return 0
	}
	pid, err := strconv.Atoi(parts[1])
	s.must(err)
	return pid
}

// total counts an organization's devices.
func (s *site) total() int {
	s.t.Helper()
	_, n, err := s.store.Devices(context.Background(), s.org, tandem.DeviceFilter{Now: time.Now(), Page: tandem.Page{Limit: 1}})
	s.must(err)
	return n
}

// TestKilledInARunOf10000: three processes share the work; the one that does a run is killed in the middle of it. Another
// goes on, and nothing is lost or doubled on either side.
func TestKilledInARunOf10000(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60*time.Millisecond)
	for range 3 {
		s.start()
	}
	var queued struct {
		ID string `json:"operation_id"`
	}
	s.call(s.processes[0], "POST", "services/"+s.service.ID+"/runs", `{}`, &queued)
	s.until("the middle of the run", func() bool { return s.total() > siteLocal+1000 })
	pid := s.holder()
	alive := map[int]*process{}
	for _, p := range s.processes {
		alive[p.cmd.Process.Pid] = p
	}
	if alive[pid] == nil {
		t.Fatalf("the run is over already, or process %d has it", pid)
	}
	s.must(syscall.Kill(pid, syscall.SIGKILL))
	killed := time.Now()
	delete(alive, pid)
	s.until("another process to go on", func() bool { return len(s.runs(tandem.RunInterrupted)) == 1 })
	t.Logf("taken over %s after the kill", time.Since(killed).Round(time.Second))
	s.until("the end of the run that goes on", func() bool { return len(s.runs(tandem.RunCompleted)) == 1 })
	if got := s.runs(tandem.RunInterrupted); got[0].ID != queued.ID {
		t.Errorf("run %s was interrupted, want %s", got[0].ID, queued.ID)
	}
	s.nothingDoubled()
	for _, p := range alive {
		var shown struct {
			Pagination tandem.Pagination `json:"pagination"`
		}
		s.call(p, "GET", "devices?limit=1", "", &shown)
		if shown.Pagination.Total != siteDevices+siteLocal {
			t.Errorf("a process shows %d devices, want %d", shown.Pagination.Total, siteDevices+siteLocal)
		}
	}
	var again struct {
		Status  tandem.RunStatus `json:"status"`
		Summary tandem.Summary   `json:"summary"`
	}
	for _, p := range alive {
		s.call(p, "POST", "services/"+s.service.ID+"/runs?wait=60s", `{}`, &again)
	}
	if again.Status != tandem.RunCompleted || again.Summary.Local != (tandem.Counts{}) || again.Summary.Remote != (tandem.Counts{}) {
		t.Errorf("the next run is not quiet: %+v", again)
	}
	s.command("audit", "verify")
}

// nothingDoubled looks at both sides and at the record.
func (s *site) nothingDoubled() {
	s.t.Helper()
	if got := s.total(); got != siteDevices+siteLocal {
		s.t.Errorf("%d devices here, want %d", got, siteDevices+siteLocal)
	}
	linked, err := s.store.LinkedCount(s.t.Context(), s.org, s.service.ID)
	s.must(err)
	if linked != siteDevices+siteLocal {
		s.t.Errorf("%d are linked, want %d", linked, siteDevices+siteLocal)
	}
	if got := s.remoteTotal(); got != siteDevices+siteLocal {
		s.t.Errorf("%d devices there, want %d", got, siteDevices+siteLocal)
	}
	for side, want := range map[tandem.Side]int{tandem.LocalSide: siteDevices, tandem.RemoteSide: siteLocal} {
		_, n, err := s.store.Entries(s.t.Context(), s.org, tandem.EntryFilter{Side: side, Action: tandem.ActCreate, Outcome: tandem.OutcomeDone, Page: tandem.Page{Limit: 1}})
		s.must(err)
		if n != want {
			s.t.Errorf("the record tells of %d devices created on the %s side, want %d", n, side, want)
		}
	}
}

// remoteTotal asks the simulated project itself.
func (s *site) remoteTotal() int {
	s.t.Helper()
	request := httptest.NewRequestWithContext(s.t.Context(), "GET", "/v1/projects/demo/devices?perPage=1", nil)
	request.Header.Set("x-api-key", "the-secret-key")
	answer := httptest.NewRecorder()
	s.simulator.ServeHTTP(answer, request)
	var page struct {
		Total int `json:"total"`
	}
	s.must(json.Unmarshal(answer.Body.Bytes(), &page))
	return page.Total
}
