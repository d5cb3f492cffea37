package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"tandem"
)

// demoSite is what `tandem demo --json` says of itself.
type demoSite struct {
	URL       string `json:"url"`
	SignInURL string `json:"sign_in_url"`
	Email     string
	Password  string
}

// TestDemo: the link leads in, and there is to see what the tour tells of.
func TestDemo(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	out, said := io.Pipe()
	ended := make(chan int, 1)
	m := Main{Args: []string{"demo", "--json", "--devices", "60", "--latency", "0s", "--listen", "127.0.0.1:0"}, Stdin: strings.NewReader(""), Stdout: said, Stderr: io.Discard,
		Clock: time.Now, LookupEnv: func(name string) (string, bool) { return map[string]string{"HOME": t.TempDir()}[name], name == "HOME" }}
	go func() { ended <- m.Run(ctx) }()
	var site demoSite
	if err := json.NewDecoder(out).Decode(&site); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	get := func(address string) string {
		t.Helper()
		reply, err := browser.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(reply.Body)
		if err := reply.Body.Close(); err != nil {
			t.Error(err)
		}
		if err != nil || reply.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v %s", address, reply.Status, err, body)
		}
		return string(body)
	}
	if page := get(site.URL + "/demo?token=wrong"); !strings.Contains(page, "Sign in") {
		t.Error("another token leads in")
	}
	if page := get(site.SignInURL); !strings.Contains(page, "Overview") || !strings.Contains(page, "tour.js") {
		t.Error("the link does not lead to the first page, with the tour")
	}
	list := func(what string, into any) {
		t.Helper()
		if err := json.Unmarshal([]byte(get(site.URL+"/api/v1/"+what)), into); err != nil {
			t.Fatal(err)
		}
	}
	var seen struct {
		Conflicts []tandem.Conflict
		Services  []tandem.Service
		Runs      []tandem.Run
		Devices   []tandem.DeviceRow
	}
	list("conflicts", &seen)
	list("services", &seen)
	list("runs?status=blocked", &seen)
	list("devices?sync_status=error", &seen)
	states := map[string]tandem.ServiceState{}
	for i := range seen.Services {
		states[seen.Services[i].Name] = seen.Services[i].State
	}
	if len(seen.Conflicts) != 4 || len(seen.Runs) != 1 || len(seen.Devices) != 2 || states[demoLab] != tandem.ServiceDegraded || states[demoFleet] != tandem.ServiceOK {
		t.Errorf("%d conflicts, %d blocked runs, %d failing devices, services %v", len(seen.Conflicts), len(seen.Runs), len(seen.Devices), states)
	}
	speak := time.NewTicker(100 * time.Millisecond)
	defer speak.Stop()
	for via := map[string]int{}; via["http"] != 2 || via["mqtt"] != 3 || via["coap"] != 2; {
		select {
		case <-speak.C:
		case <-ctx.Done():
			t.Fatal("not all devices that speak by themselves are heard of")
		}
		var heard struct{ Devices []tandem.DeviceRow }
		list("devices?tag=greenhouse", &heard)
		via = map[string]int{}
		for i := range heard.Devices {
			if d := &heard.Devices[i]; d.BatteryLevel != nil && d.Location != nil {
				via[strings.Split(d.Name, "-")[1]]++
			}
		}
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("it ended with %d", code)
	}
}
