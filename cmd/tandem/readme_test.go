package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/registry"
	"tandem/web/webtest"
)

// readme finds what the README says of devices: the flags of its server, and the lines for a terminal.
func readme(t *testing.T) (flags, lines []string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### Devices that speak")
	section, _, _ = strings.Cut(section, "\n### ")
	parts := strings.Split(section, "\n```\n") // every second one is for a terminal
	if len(parts) != 3 {
		t.Fatalf("the README's section about devices has %d blocks of lines, want one", len(parts)/2)
	}
	_, serve, _ := strings.Cut(parts[0], "`tandem serve ")
	serve, _, _ = strings.Cut(serve, "`")
	return strings.Fields(serve), strings.Split(strings.TrimSpace(parts[1]), "\n")
}

// freePort lets a server of the README listen where no other does.
func freePort(word string) string {
	if host, _, err := net.SplitHostPort(word); err == nil {
		return net.JoinHostPort(host, "0")
	}
	return word
}

// toldBattery is the battery that a line tells.
var toldBattery = regexp.MustCompile(`"battery":(\d+)`)

// TestTheLinesOfTheReadme: each of the three commands changes the battery on the device's page, which stays open. They are
// run as they stand, but for the ports: other servers may have the usual ones on this machine.
func TestTheLinesOfTheReadme(t *testing.T) {
	t.Parallel()
	flags, lines := readme(t)
	for i, flag := range flags {
		flags[i] = freePort(flag)
	}
	w := webtest.Open(t, webtest.Devices(0), webtest.Flags(flags...))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	slug, name := "acme", "sensor-1"
	var err error
	w.Org, err = w.API.UpdateOrganization(t.Context(), w.Org.ID, registry.OrganizationEdit{Slug: &slug})
	must(err)
	d, err := w.API.CreateDevice(t.Context(), w.Org.ID, registry.DeviceEdit{Name: &name, DeviceID: &name})
	must(err)
	p := w.Browser(t, webtest.Options{})
	p.Open("devices/" + d.ID)
	p.SeeIn("#live", "Live")
	p.Eval(`(window.kept = "yes")`, nil)

	tried := map[string]bool{}
	for _, line := range lines {
		program, _, _ := strings.Cut(line, " ")
		to, known := map[string]struct {
			kind, secret string // the credential that the page makes for it
			port         string // where the page's own line names the port
			here         func(line, port string) string
		}{
			"mosquitto_pub": {"password", "PASSWORD", `-p (\d+) `, func(line, port string) string {
				return strings.Replace(line, program, program+" -p "+port, 1)
			}},
			"coap-client-openssl": {"psk", "KEY", `coaps://127\.0\.0\.1:(\d+)/`, func(line, port string) string {
				if _, err := exec.LookPath(program); err != nil { // as it is called elsewhere than on Debian
					line = strings.Replace(line, program, "coap-client", 1)
				}
				return strings.Replace(line, "coaps://127.0.0.1/", "coaps://127.0.0.1:"+port+"/", 1)
			}},
			"curl": {"token", "TOKEN", `http://127\.0\.0\.1:(\d+)/`, func(line, port string) string {
				return strings.Replace(line, "http://127.0.0.1:8080/", "http://127.0.0.1:"+port+"/", 1)
			}},
		}[program]
		level := toldBattery.FindStringSubmatch(line)
		if !known || tried[program] || level == nil {
			t.Fatalf("%q is no line that is known here", line)
		}
		tried[program] = true
		p.Click("#credentials a >> Add a credential")
		p.Choose("#credential-kind", to.kind)
		p.Click("#credential-form button >> Make it")
		secret, own := p.Value("#made-secret"), p.Value("#try")
		p.Click("#credential-made button >> Done")
		p.WaitGone("#credential")
		port := regexp.MustCompile(to.port).FindStringSubmatch(own)
		if port == nil {
			t.Fatalf("the page's line %q names no port", own)
		}
		p.NotSeeIn("#device", level[1]+" %")

		ctx, cancel := context.WithTimeout(t.Context(), webtest.Patience)
		defer cancel()
		command := exec.CommandContext(ctx, "sh", "-c", to.here(line, port[1]))
		command.Env = append(os.Environ(), to.secret+"="+secret)
		began := time.Now()
		if said, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", program, err, said)
		}
		p.SeeIn("#device", level[1]+" %")
		t.Logf("%s changed the open page %s after it was started", program, time.Since(began).Round(time.Millisecond))
	}
	if len(tried) != 3 {
		t.Errorf("the README has a line for each of %v, want three", tried)
	}
	var kept string
	if p.Eval("window.kept", &kept); kept != "yes" {
		t.Error("the page was loaded again")
	}
}
