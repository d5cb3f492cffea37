package simulator

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem"
)

func TestParseFault(t *testing.T) {
	for text, want := range map[string]Fault{
		"reset-after:POST /devices:every=7,count=3": {Kind: ResetAfterFault, Method: "POST", Path: "/devices", Every: 7, Count: 3},
		"503":                            {Kind: "503"},
		"429:*:retry-after=2s,form=date": {Kind: "429", RetryAfter: 2 * time.Second, Date: true},
		"latency:GET:p50=40ms,p99=400ms": {Kind: SlowFault, Method: "GET", Latency: Latency{P50: 40 * time.Millisecond, P99: 400 * time.Millisecond}},
		"latency:* /devices/{id}:time=80ms±20ms,rate=.5": {Kind: SlowFault, Path: "/devices/{id}", Rate: .5, Latency: Latency{Mean: 80 * time.Millisecond, Spread: 20 * time.Millisecond}},
		"drip:/devices:bytes=50,for=1m,after=2":          {Kind: DripFault, Path: "/devices", Bytes: 50, For: time.Minute, After: 2},
	} {
		got, err := ParseFault(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "nope", "399", "600", "0503", "503:FETCH /x", "503:GET devices", "503::every=0", "503::rate=2", "503::rate=NaN", "503::x=1",
		"503::count", "latency", "latency::p50=3ms", "latency::p50=3ms,p99=1ms", "html::code=99", "503::for=-1s", "stale::form=maybe"} {
		if _, err := ParseFault(text); !tandem.Is(err, tandem.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	for _, seed := range []string{"reset-after:POST /devices:every=7,count=3", "503:GET /devices:rate=0.05,retry-after=2s", "latency:*:p50=40ms,p99=400ms", "html:/x:code=200"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := ParseFault(text)
		if err != nil {
			if !tandem.Is(err, tandem.Invalid) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := ParseFault(fault.String())
		if err != nil || again != fault {
			t.Fatalf("%q reads as %+v, whose text %q reads as %+v (%v)", text, fault, fault.String(), again, err)
		}
	})
}

func TestPathMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/devices", "/devices", true}, {"/devices", "/devices/1", false}, {"/devices/{id}", "/devices/1", true}, {"/devices/{id}", "/devices", false},
		{"/devices/{id}", "/devices/1/data", false}, {"/devices/*", "/devices/1/data/x", true}, {"/devices/*", "/devices", false},
		{"/devices/*/data/*", "/devices/1/data/a/b", true}, {"/", "/", true}, {"/", "/devices", false},
	} {
		if got := pathMatches(c.pattern, c.path); got != c.want {
			t.Errorf("%s on %s: %v", c.pattern, c.path, got)
		}
	}
}

func TestLatency(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for text, bounds := range map[string][2]time.Duration{ // of the median, and of the 99th percentile
		"50ms":               {50 * time.Millisecond, 50 * time.Millisecond},
		"80ms±20ms":          {80 * time.Millisecond, 126 * time.Millisecond},
		"p50=40ms,p99=400ms": {40 * time.Millisecond, 400 * time.Millisecond},
	} {
		l, err := ParseLatency(text)
		if err != nil || l.String() != text {
			t.Fatalf("%s: %v, %v", text, l, err)
		}
		var draws []time.Duration
		for range 20_000 {
			draws = append(draws, l.draw(random))
		}
		slices.Sort(draws)
		for i, at := range []int{10_000, 19_800} {
			if got := draws[at].Seconds() / bounds[i].Seconds(); got < 0.9 || got > 1.1 {
				t.Errorf("%s: percentile %d is %v, want about %v", text, at/200, draws[at], bounds[i])
			}
		}
	}
	for _, text := range []string{"", "fast", "-1s", "p50=1s", "p50=2s,p99=1s", "1s±", "p99=1s,p50=1s"} {
		if _, err := ParseLatency(text); !tandem.Is(err, tandem.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// faulty is a world with one fault, and a device in it.
func faulty(t *testing.T, text string) (w *world, id string) {
	t.Helper()
	w = newWorld(t, Options{Seed: 2})
	all, err := w.server.Devices("demo")
	if err != nil {
		t.Fatal(err)
	}
	w.fault(text)
	return w, all[5].ID
}

func (w *world) fault(text string) {
	w.t.Helper()
	f, err := ParseFault(text)
	if err != nil {
		w.t.Fatal(err)
	}
	w.server.SetFaults(f)
}

func TestStatusFaults(t *testing.T) {
	w, _ := faulty(t, "503:GET /devices:after=1,every=2,count=2,retry-after=1500ms")
	var got []int
	for range 8 {
		a := w.call("GET", "/devices?perPage=1", "")
		got = append(got, a.status)
		if a.status == 503 && (a.header.Get("Retry-After") != "2" || !strings.Contains(a.text, `"code":14`)) {
			t.Errorf("Retry-After %q: %s", a.header.Get("Retry-After"), a.text)
		}
	}
	if want := []int{200, 200, 503, 200, 503, 200, 200, 200}; !slices.Equal(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
	w.fault("429:*:form=date,retry-after=30s,for=1m")
	if a := w.call("GET", "/tags", ""); a.header.Get("Retry-After") != "Sun, 01 Jun 2025 08:00:31 GMT" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	w.advance(time.Minute)
	w.call("GET", "/tags", "").want(t, 200)
}

func TestResetsAroundTheEffect(t *testing.T) {
	for kind, exists := range map[string]bool{"reset-before": false, "reset-after": true} {
		w, _ := faulty(t, kind+":POST /devices:count=1")
		if a, err := w.try("POST", "/devices", `{"name":"n"}`, "k1"); err == nil {
			t.Fatalf("%s answered %s", kind, a.text)
		}
		_, err := w.server.DeviceByName("demo", "n")
		if (err == nil) != exists {
			t.Errorf("after %s the device: %v", kind, err)
		}
		if counts := w.server.Requests(); counts.ByStatus[0] != 1 || counts.Writes != 1 || len(counts.Faults) != 1 {
			t.Errorf("counts %+v", counts)
		}
	}
}

func TestBodyFaults(t *testing.T) {
	w, id := faulty(t, "truncate:GET /devices")
	if a, err := w.try("GET", "/devices", "", "k1"); err == nil {
		t.Errorf("a truncated body was read whole: %d bytes", len(a.text))
	}
	for text, holds := range map[string]func(answer) bool{
		"malformed:*": func(a answer) bool { return a.status == 200 && a.body == nil },
		"html:*": func(a answer) bool {
			return a.status == 200 && strings.HasPrefix(a.header.Get("Content-Type"), "text/html")
		},
		"html:*:code=502":  func(a answer) bool { return a.status == 502 },
		"empty:*:code=200": func(a answer) bool { return a.status == 200 && a.text == "" },
		"content-type:*": func(a answer) bool {
			return a.body != nil && strings.HasPrefix(a.header.Get("Content-Type"), "text/plain")
		},
		"drip:*:bytes=1000000":    func(a answer) bool { return a.body != nil },
		"latency:*:time=5ms":      func(a answer) bool { return a.status == 200 },
		"401:GET /devices/{id}":   func(a answer) bool { return a.status == 401 && a.header.Get("Www-Authenticate") != "" },
		"418:/v1/projects/demo/*": func(a answer) bool { return a.status == 418 },
	} {
		w.fault(text)
		if a := w.call("GET", "/devices/"+id, ""); !holds(a) {
			t.Errorf("%s: %d %v %s", text, a.status, a.header, a.text)
		}
	}
}

func TestBadDevice(t *testing.T) {
	w, _ := faulty(t, "bad-device:GET /devices")
	for range 20 {
		a := w.call("GET", "/devices?perPage=20", "")
		if len(a.list()) != 20 {
			t.Fatalf("the page is not JSON: %.300s", a.text)
		}
		bad := 0
		for _, d := range a.list() {
			_, isTime := d["createdAt"].(string)
			_, isList := d["hardwareIds"].([]any)
			_, isName := d["name"].(string)
			_, isBool := d["enabled"].(bool)
			if isTime {
				_, err := time.Parse(time.RFC3339Nano, d["createdAt"].(string))
				isTime = err == nil
			}
			if !isTime || !isList || !isName || !isBool {
				bad++
			}
		}
		if bad != 1 {
			t.Fatalf("%d bad devices in a page, want 1", bad)
		}
	}
}

func TestStaleReads(t *testing.T) {
	w, id := faulty(t, "stale:GET *:window=5s")
	before := w.call("GET", "/devices/"+id, "").text
	w.call("PATCH", "/devices/"+id, `{"name":"fresh"}`).want(t, 200, "fresh")
	w.call("PUT", "/devices/"+id+"/data/k", `"v"`)
	if got := w.call("GET", "/devices/"+id, "").text; got != before {
		t.Errorf("the read is not stale: %s", got)
	}
	w.call("GET", "/devices/"+id+"/data/k", "").want(t, 200, `{"data":null}`)
	if strings.Contains(w.call("GET", "/devices", "").text, "fresh") {
		t.Error("the listing is not stale")
	}
	w.advance(5 * time.Second)
	w.call("GET", "/devices/"+id, "").want(t, 200, "fresh")
	w.call("GET", "/devices/"+id+"/data/k", "").want(t, 200, `{"data":"v"}`)
}

func TestDevicesComeAndGoWhilePaging(t *testing.T) {
	for text, change := range map[string]int{"device-deleted:GET /devices:after=1,count=1": -1, "device-created:GET /devices:count=1": 1, "auto-created:GET /devices:count=1": 1} {
		w, _ := faulty(t, text)
		seen := map[string]bool{}
		for number := range 4 {
			for _, d := range w.call("GET", fmt.Sprintf("/devices?page=%d", number), "").list() {
				seen[d["id"].(string)] = true
			}
		}
		all, err := w.server.Devices("demo")
		if err != nil || len(all) != 250+change {
			t.Fatalf("%s: %d devices, %v", text, len(all), err)
		}
		missed := 0
		for _, d := range all {
			if !seen[d.ID] {
				missed++
			}
		}
		if want := max(-change, 0); missed != want {
			t.Errorf("%s: the reader missed %d devices, want %d", text, missed, want)
		}
		if last := all[len(all)-1]; strings.HasPrefix(text, "auto") && !strings.Contains(w.call("GET", "/devices/"+last.ID, "").text, `"certificateId"`) {
			t.Error("the device has no certificate")
		}
	}
}

func TestSwapFault(t *testing.T) {
	w, id := faulty(t, "project-swap:GET /:after=1,count=1")
	before := w.call("GET", "/v1/projects/demo", "").data()["createdAt"]
	if after := w.call("GET", "/v1/projects/demo", "").data()["createdAt"]; after == before {
		t.Error("the project was not swapped")
	}
	w.call("GET", "/devices/"+id, "").want(t, 404)
}

func TestHangEndsWithTheCaller(t *testing.T) {
	w, _ := faulty(t, "hang:GET /tags")
	client := http.Client{Timeout: 30 * time.Millisecond}
	response, err := client.Get(w.url + "/v1/projects/demo/tags")
	if err == nil {
		t.Fatalf("answered %v, %v", response.Status, response.Body.Close())
	}
}

func TestAdmin(t *testing.T) {
	w := newWorld(t, Options{AdminKey: "secret"})
	w.call("GET", "/simulator/faults", "").want(t, 403, "admin key")
	admin := func(method, path, body string) answer {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, w.url+"/simulator"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Simulator-Key", "secret")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // read whole below
		var value json.RawMessage
		if err := json.NewDecoder(response.Body).Decode(&value); err != nil {
			t.Fatal(err)
		}
		return answer{status: response.StatusCode, text: string(value)}
	}
	admin("PUT", "/faults", `{"faults":["503:GET /tags:count=1"]}`).want(t, 200)
	admin("POST", "/faults", `{"faults":["nope"]}`).want(t, 400, "not a kind")
	admin("POST", "/faults", `{"faults":["500:GET /blueprints"]}`).want(t, 200, `{"faults":["503:GET /tags:count=1","500:GET /blueprints"]}`)
	w.call("GET", "/tags", "").want(t, 503)
	admin("GET", "/requests", "").want(t, 200, `"total":1`, `"503:GET /tags:count=1":1`)
	admin("DELETE", "/requests", "").want(t, 200, `"total":0`)
	admin("DELETE", "/faults", "").want(t, 200, `{"faults":[]}`)
	admin("PATCH", "/devices", `{"every":50,"edit":{"enabled":false},"state":{"metadata/site":"moved"},"report":true}`).want(t, 200, `{"changed":5}`)
	admin("PATCH", "/devices", `{"limit":3,"delete":true}`).want(t, 200, `{"changed":3}`)
	admin("POST", "/devices", `{"create":[{"name":"by hand"}]}`).want(t, 200, `{"changed":1}`)
	w.call("GET", "/devices?deviceName=by+hand", "").want(t, 200, `"total":1`)
	admin("GET", "/devices", "").want(t, 200, "by hand", "moved")
	admin("POST", "/swap", `{"project":"nowhere"}`).want(t, 404)
	admin("GET", "/nothing", "").want(t, 404)
	admin("POST", "/reset", "").want(t, 200)
	w.call("GET", "/devices", "").want(t, 200, `"total":250`)
}
