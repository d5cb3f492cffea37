package coap_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem"
	"tandem/gateway"
)

// libcoap gives a client of libcoap's with a library for DTLS, or for none.
func (w *world) libcoap(library string) string {
	w.Helper()
	path, err := exec.LookPath("coap-client-" + library)
	if err != nil {
		if path, err = exec.LookPath("coap-client"); err != nil { // elsewhere than on Debian there is one, with one of the libraries
			w.Fatalf("there is no coap-client-%s: apt-get install libcoap3-bin (make test does it)", library)
		}
	}
	return path
}

// run runs one, and gives what it wrote. It tells of errors in its output, not by how it ends.
func (w *world) run(program string, args ...string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	text, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		w.Errorf("%s: %v: %s", filepath.Base(program), err, text)
	}
	return strings.TrimSpace(string(text))
}

// post20K is a report of 20 KB, in a file.
func (w *world) post20K(battery int) string {
	w.Helper()
	text, err := json.Marshal(map[string]any{"battery": battery, "trace": strings.Repeat("x", 20<<10)})
	w.must(err)
	file := filepath.Join(w.TempDir(), "report.json")
	w.must(os.WriteFile(file, text, 0o600))
	return file
}

func TestLibcoapWithDTLS(t *testing.T) {
	for _, library := range []string{"openssl", "gnutls"} {
		t.Run(library, func(t *testing.T) {
			w := newWorld(t)
			program, identity := w.libcoap(library), w.identity(&w.device)
			base := []string{"-B", "10", "-u", identity, "-k", keyOf(identity)}
			at := func(path string, more ...string) string {
				return w.run(program, append(append(base, more...), "coaps://"+w.secure+path)...)
			}
			equal(w, at("/telemetry", "-m", "post", "-t", "50", "-e", `{"battery":41}`), "")
			equal(w, w.battery(&w.device), 41)
			equal(w, at("/telemetry", "-m", "post", "-t", "50", "-f", w.post20K(42)), "")
			equal(w, w.battery(&w.device), 42)
			equal(w, at("/telemetry", "-m", "post", "-t", "50", "-b", "64", "-f", w.post20K(43)), "") // 64 bytes at a time
			equal(w, w.battery(&w.device), 43)
			equal(w, at("/telemetry", "-m", "post", "-t", "50", "-N", "-e", `{"battery":44}`), "") // not confirmable
			equal(w, w.battery(&w.device), 44)
			equal(w, at("/telemetry", "-m", "post", "-t", "50", "-e", `{"battery":`), "4.00 the body is not valid JSON")
			large := filepath.Join(t.TempDir(), "large.json")
			w.must(os.WriteFile(large, []byte(`"`+strings.Repeat("x", 33<<10)+`"`), 0o600))
			if said := at("/telemetry", "-m", "post", "-t", "50", "-f", large); !strings.HasPrefix(said, "4.13") {
				t.Errorf("a report that is too large: %q", said)
			}
			if said := at("/.well-known/core"); !strings.Contains(said, "</commands>;obs") {
				t.Errorf("what there is: %q", said)
			}
			if said := at("/telemetry", "-m", "put", "-e", "1"); !strings.HasPrefix(said, "4.05") {
				t.Errorf("another method: %q", said)
			}
			said := w.run(program, "-B", "1", "-u", identity, "-k", "another key", "-m", "post", "-e", `{"battery":1}`, "coaps://"+w.secure+"/telemetry")
			equal(w, w.battery(&w.device), 44)
			if strings.Contains(said, "2.04") {
				t.Errorf("a wrong key: %q", said)
			}
		})
	}
}

func TestLibcoapObservesItsCommands(t *testing.T) {
	w := newWorld(t)
	program, identity := w.libcoap("openssl"), w.identity(&w.device)
	seen := filepath.Join(t.TempDir(), "seen")
	ctx, cancel := context.WithCancel(t.Context())
	watch := exec.CommandContext(ctx, program, "-s", "30", "-B", "30", "-w", "-o", seen, "-u", identity, "-k", keyOf(identity), "coaps://"+w.secure+"/commands")
	w.must(watch.Start())
	defer func() {
		cancel()
		_ = watch.Wait() // it was killed
	}()
	w.until("it connects", 10*time.Second, func() bool { return w.s.Connections() == 1 })
	blink := w.command(&w.device, "blink", `{"times":3}`)
	long := w.command(&w.device, "configure", fmt.Sprintf(`{"table":%q}`, strings.Repeat("y", 3000))) // in several blocks
	w.until("both come", 10*time.Second, func() bool {
		text, err := os.ReadFile(seen)
		return err == nil && strings.Contains(string(text), blink.ID) && strings.Contains(string(text), long.ID) && strings.Contains(string(text), strings.Repeat("y", 3000))
	})
	equal(w, w.run(program, "-B", "10", "-u", identity, "-k", keyOf(identity), "-m", "post", "-e", `{"status":"ok","reply":{"blinked":3}}`, "coaps://"+w.secure+"/commands/"+blink.ID), "")
	done, err := w.store.Command(t.Context(), w.org, blink.ID)
	w.must(err)
	equal(w, done.Status, tandem.CommandAcknowledged)
	equal(w, string(done.Reply), `{"blinked":3}`)
}

func TestLibcoapWithoutDTLS(t *testing.T) {
	w := newWorld(t)
	program := w.libcoap("notls")
	w.credential(&w.device, tandem.Credential{Kind: tandem.TokenCredential, Hash: gateway.HashSecret("tdd_plain")})
	at := func(path string, more ...string) string {
		return w.run(program, append(append([]string{"-B", "10"}, more...), "coap://"+w.plain+path)...)
	}
	equal(w, at("/telemetry?token=tdd_plain", "-m", "post", "-e", `{"battery":51}`), "")
	equal(w, w.battery(&w.device), 51)
	equal(w, at("/telemetry?token=tdd_plain", "-m", "post", "-t", "50", "-f", w.post20K(52)), "")
	equal(w, w.battery(&w.device), 52)
	for _, path := range []string{"/telemetry?token=tdd_wrong", "/telemetry", "/commands"} {
		method := "post"
		if path == "/commands" {
			method = "get"
		}
		if said := at(path, "-m", method, "-e", `{"battery":1}`); !strings.HasPrefix(said, "4.01") {
			t.Errorf("%s: %q", path, said)
		}
	}
	equal(w, w.battery(&w.device), 52)
}
