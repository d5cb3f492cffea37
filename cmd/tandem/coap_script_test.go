package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// coapAs is `coap WANT URL METHOD [BODY]`: what a device with the identity and key $PSK_IDENTITY and $PSK_KEY says to the
// server with libcoap's client; WANT is what the answer begins with, "-" for one without a word.
func coapAs(ts *testscript.TestScript, _ bool, args []string) {
	program, err := exec.LookPath("coap-client-openssl")
	if err != nil {
		program, err = exec.LookPath("coap-client")
	}
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	line := []string{"-B", "10", "-m", args[2]}
	if strings.HasPrefix(args[1], "coaps:") {
		line = append(line, "-u", ts.Getenv("PSK_IDENTITY"), "-k", ts.Getenv("PSK_KEY"))
	}
	if len(args) > 3 {
		line = append(line, "-e", strings.ReplaceAll(args[3], "%", "%25"))
	}
	said, err := exec.CommandContext(ctx, program, append(line, args[1])...).CombinedOutput()
	ts.Check(err)
	text := strings.TrimSpace(string(said))
	if want := strings.TrimPrefix(args[0], "-"); !strings.HasPrefix(text, want) || (want == "" && text != "") {
		ts.Fatalf("%q, want %q", text, args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs("coap.txt"), said, 0o600))
}

// pskOf is `psk DEVICE`: the key that a device has on the simulated Golioth, as whoever flashed it knows it.
func pskOf(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ts.Getenv("SIM_URL")+"/v1/projects/demo/devices/"+args[0]+"/credentials", nil)
	ts.Check(err)
	req.Header.Set("X-Api-Key", "the-secret-key")
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	var reply struct {
		List []struct{ Identity, PreSharedKey string }
	}
	ts.Check(json.NewDecoder(resp.Body).Decode(&reply))
	ts.Check(resp.Body.Close())
	if len(reply.List) == 0 {
		ts.Fatalf("%s has no key", args[0])
	}
	ts.Setenv("PSK_IDENTITY", reply.List[0].Identity)
	ts.Setenv("PSK_KEY", reply.List[0].PreSharedKey)
}
