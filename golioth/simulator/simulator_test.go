package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem"
)

// world is a running simulator with a hand on its clock.
type world struct {
	t      *testing.T
	server *Server
	url    string
	mu     sync.Mutex
	now    time.Time
}

var testNow = time.Date(2025, 6, 1, 8, 0, 0, 415_000_000, time.UTC)

func newWorld(t *testing.T, options Options) *world {
	t.Helper()
	w := &world{t: t, now: testNow}
	options.Clock = w.clock
	if len(options.Projects) == 0 {
		options.Projects = []Project{{ID: "demo", OrganizationID: "acme", Keys: []string{"k1"}, Devices: 250}, {ID: "other", Keys: []string{"k2"}, Devices: 3}}
	}
	server, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	w.server, w.url = server, listening.URL
	return w
}

func bare() []Project {
	return []Project{{ID: "demo", OrganizationID: "acme", Keys: []string{"k1"}, Bare: true}}
}

func (w *world) clock() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }

func (w *world) advance(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.now = w.now.Add(d) }

// answer is a reply as a test looks at it.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// call makes a request with the key k1; a path is below project demo unless it begins with /v1 or /simulator.
func (w *world) call(method, path, body string) answer {
	w.t.Helper()
	a, err := w.try(method, path, body, "k1")
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (w *world) try(method, path, body, key string) (answer, error) {
	if !strings.HasPrefix(path, "/v1") && !strings.HasPrefix(path, "/simulator") {
		path = "/v1/projects/demo" + path
	}
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if key != "" {
		request.Header.Set("X-API-KEY", key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(response.Body)
	if closed := response.Body.Close(); err == nil {
		err = closed
	}
	a := answer{status: response.StatusCode, header: response.Header, text: string(text)}
	if json.Unmarshal(text, &a.body) != nil {
		a.body = nil
	}
	return a, err
}

func (a answer) data() map[string]any { m, _ := a.body["data"].(map[string]any); return m }

func (a answer) id() string { id, _ := a.data()["id"].(string); return id }

func (a answer) list() []map[string]any {
	var list []map[string]any
	all, _ := a.body["list"].([]any)
	for _, x := range all {
		m, _ := x.(map[string]any)
		list = append(list, m)
	}
	return list
}

func (a answer) want(t *testing.T, status int, parts ...string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.text)
	}
	for _, part := range parts {
		if !strings.Contains(a.text, part) {
			t.Fatalf("%q is not in %s", part, a.text)
		}
	}
}

func TestErrors(t *testing.T) {
	w := newWorld(t, Options{})
	const missing = "/devices/67f0a1b2c3d4e5f601020304"
	for _, c := range []struct {
		name, method, path, key, body string
		status                        int
		part                          string
	}{
		{"no key", "GET", "/devices", "", "", 401, `{"code":16,"message":"error identifying user","details":[]}`},
		{"wrong key", "GET", "/devices", "nope", "", 401, `"code":16`},
		{"key of another project", "GET", "/devices", "k2", "", 403, `"code":7,"message":"failed to check permissions`},
		{"missing project", "GET", "/v1/projects/nowhere/devices", "k1", "", 403, `"code":7`},
		{"unknown path", "GET", "/nothing", "k1", "", 404, `{"code":5,"message":"Not Found","details":[]}`},
		{"wrong family", "GET", "/cohorts", "k1", "", 404, `"Not Found"`},
		{"wrong organization", "GET", "/v1/organizations/x/projects/demo/cohorts", "k1", "", 403, `"code":7`},
		{"wrong method", "DELETE", "/devices", "k1", "", 501, `{"code":12,"message":"Method Not Allowed","details":[]}`},
		{"missing device", "GET", missing, "k1", "", 404, `"code":5,"message":"device not found"`},
		{"bad id", "GET", "/devices/not-hex", "k1", "", 400, "hex string is not a valid ObjectID"},
		{"bad JSON", "POST", "/devices", "k1", "{", 400, `"code":3`},
		{"bad type", "POST", "/devices", "k1", `{"name":5}`, 400, `"code":3`},
		{"bad page", "GET", "/devices?page=x", "k1", "", 400, `parsing field`},
		{"no name", "POST", "/devices", "k1", `{}`, 400, `"code":3`},
		{"missing tag", "POST", "/devices", "k1", `{"name":"a","tagIds":["67f0a1b2c3d4e5f601020304"]}`, 404, "tag not found"},
		{"missing cohort", "POST", "/devices", "k1", `{"name":"a","cohortId":"zz"}`, 404, "cohort not found"},
		{"bad tag name", "POST", "/tags", "k1", `{"name":"Not This"}`, 400, "can use only use characters"},
		{"taken tag name", "POST", "/tags", "k1", `{"name":"beta"}`, 409, "tag name already being used"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := w.try(c.method, c.path, c.body, c.key)
			if err != nil {
				t.Fatal(err)
			}
			a.want(t, c.status, c.part)
		})
	}
}

func TestDeviceShape(t *testing.T) {
	w := newWorld(t, Options{Projects: bare()})
	made := w.call("POST", "/devices", `{"name":"Gate Way 01","unknown":1,"enabled":false}`)
	made.want(t, 200)
	want := fmt.Sprintf(`{"data":{"id":"%s","hardwareIds":["20250601080000-gate-way-01"],"name":"Gate Way 01",`+
		`"createdAt":"2025-06-01T08:00:00.415Z","updatedAt":"2025-06-01T08:00:00.415Z","tagIds":[],"data":null,"lastReport":null,"status":"-",`+
		`"metadata":{"update":{},"status":"-","lastReport":null,"lastSeenOnline":null,"lastSeenOffline":null,"lastSettingsStatus":null},"enabled":true}}`, made.id())
	if made.text != want {
		t.Errorf("created\n%s\nwant\n%s", made.text, want)
	}
	if len(made.id()) != 24 || !strings.HasPrefix(made.id(), fmt.Sprintf("%08x", testNow.Unix())) {
		t.Errorf("id %q is not an ObjectID of the second of creation", made.id())
	}
	w.call("POST", "/devices", `{"name":"Gate Way 01"}`).want(t, 409, `"code":6`, "device name already being used")
	w.call("POST", "/devices", `{"name":"x","hardware_ids":["20250601080000-gate-way-01"]}`).want(t, 409, "hardware id already being used")
	if got := w.call("DELETE", "/devices/"+made.id(), ""); got.text != "{}" {
		t.Errorf("delete answered %s", got.text)
	}
	w.call("DELETE", "/devices/"+made.id(), "").want(t, 404)
}

func TestListing(t *testing.T) {
	w := newWorld(t, Options{Seed: 3})
	var ids []string
	for number := 0; ; number++ {
		page := w.call("GET", fmt.Sprintf("/devices?page=%d&pageSize=3", number), "")
		if page.body["total"] != 250.0 || page.body["page"] != float64(number) || page.body["perPage"] != 100.0 {
			t.Fatalf("envelope of page %d: %.300s", number, page.text)
		}
		if len(page.list()) == 0 {
			break
		}
		for _, d := range page.list() {
			ids = append(ids, d["id"].(string))
		}
	}
	if len(ids) != 250 || !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != 250 {
		t.Fatalf("%d ids, sorted %v", len(ids), slices.IsSorted(ids))
	}
	w.call("GET", "/devices?page=9", "").want(t, 200, `{"list":[],"page":9,"perPage":100,"total":250}`)
	w.call("GET", "/devices?perPage=500", "").want(t, 200, `"perPage":100`)

	all, err := w.server.Devices("demo")
	if err != nil {
		t.Fatal(err)
	}
	type remote = tandem.RemoteDevice
	count := func(keep func(remote) bool) float64 {
		n := 0.0
		for _, d := range all {
			if keep(d) {
				n++
			}
		}
		return n
	}
	one := all[17]
	tagged := all[slices.IndexFunc(all, func(d remote) bool { return len(d.TagIDs) > 1 })]
	placed := all[slices.IndexFunc(all, func(d remote) bool { return d.CohortID != "" && d.BlueprintID != "" })]
	for query, total := range map[string]float64{
		"deviceName=" + strings.ReplaceAll(one.Name, " ", "%20"): 1,
		"device_name=" + strings.ReplaceAll(one.Name, " ", "+"):  1,
		"deviceName=nobody":                                       0,
		"hardwareId=" + one.HardwareIDs[0]:                        1,
		"hardwareId=" + one.HardwareIDs[0] + "&deviceName=nobody": 0,
		"enabled=false":                                           count(func(d remote) bool { return !d.Enabled }),
		"term=gateway":                                            count(func(d remote) bool { return strings.Contains(d.Name+" "+strings.Join(d.HardwareIDs, " "), "gateway") }),
		"tags=" + tagged.TagIDs[0] + "&tags=" + tagged.TagIDs[1]: count(func(d remote) bool {
			return slices.Contains(d.TagIDs, tagged.TagIDs[0]) && slices.Contains(d.TagIDs, tagged.TagIDs[1])
		}),
		"cohortId=" + placed.CohortID + "&blueprintId=" + placed.BlueprintID: count(func(d remote) bool { return d.CohortID == placed.CohortID && d.BlueprintID == placed.BlueprintID }),
	} {
		if got := w.call("GET", "/devices?"+query, ""); got.body["total"] != total {
			t.Errorf("%s: total %v, want %v: %.200s", query, got.body["total"], total, got.text)
		}
	}
}

func TestPatchPresence(t *testing.T) {
	w := newWorld(t, Options{Projects: bare()})
	const org = "/v1/organizations/acme/projects/demo"
	tag, other := w.call("POST", "/tags", `{"name":"a"}`).id(), w.call("POST", "/tags", `{"name":"b"}`).id()
	w.call("POST", org+"/cohorts", `{"name":"early access"}`).want(t, 400)
	cohort := w.call("POST", org+"/cohorts", `{"name":"early_access-1"}`).data()
	if cohort["cohortId"] != "early_access-1" || cohort["deviceCount"] != 0.0 {
		t.Fatalf("cohort %v", cohort)
	}
	made := w.call("POST", "/devices", `{"name":"d","hardwareIds":["h1"],"cohortId":"early_access-1","tagIds":["`+tag+`"]}`)
	made.want(t, 200, `"cohortId":"early_access-1"}`)
	w.call("GET", org+"/cohorts/early_access-1", "").want(t, 200, `"deviceCount":1`)
	path := "/devices/" + made.id()
	w.advance(time.Minute)
	for _, c := range []struct{ body, want string }{
		{`{"addTagId":["` + other + `"]}`, `"tagIds":["` + tag + `","` + other + `"]`},
		{`{"removeTagId":["` + tag + `"],"name":"e"}`, `"name":"e"`},
		{`{}`, `"tagIds":["` + other + `"]`},
		{`{"addHardwareId":["h2"],"removeHardwareId":["h1"]}`, `"hardwareIds":["h2"]`},
		{`{"tagIds":[]}`, `"tagIds":[]`},
		{`{"enabled":false}`, `"enabled":false,"cohortId"`},
		{`{"cohortId":null}`, `"enabled":false}}`},
		{`{"cohort_id":"early_access-1"}`, `"cohortId":"early_access-1"`},
		{`{"cohortId":""}`, `"enabled":false}}`},
	} {
		w.call("PATCH", path, c.body).want(t, 200, c.want, `"updatedAt":"2025-06-01T08:01:00.415Z"`, `"createdAt":"2025-06-01T08:00:00.415Z"`)
	}
	w.call("PATCH", path, `{"addTagId":["67f0a1b2c3d4e5f601020304"],"name":"f"}`).want(t, 404, "tag not found")
	w.call("GET", path, "").want(t, 200, `"name":"e"`)
	w.call("PUT", path, `{"name":"g"}`).want(t, 200, `"hardwareIds":[]`, `"enabled":false`)
}

func TestState(t *testing.T) {
	for _, mode := range []string{"merge", "replace"} {
		w := newWorld(t, Options{Unknowns: Unknowns{StateWrite: mode, StatePatch: mode}, Projects: bare()})
		path := "/devices/" + w.call("POST", "/devices", `{"name":"d"}`).id() + "/data"
		w.call("GET", path, "").want(t, 200, `{"data":null}`)
		w.call("PUT", path+"/a/b%2Fc", "1.50").want(t, 200, `{"data":1.50}`)
		w.call("GET", path, "").want(t, 200, `{"data":{"a":{"b/c":1.50}}}`)
		w.call("PATCH", path, `{"x":[1,2],"a":{"z":null}}`).want(t, 200)
		want := `{"data":{"a":{"b/c":1.50,"z":null},"x":[1,2]}}`
		if mode == "replace" {
			want = `{"data":{"a":{"z":null},"x":[1,2]}}`
		}
		w.call("GET", path, "").want(t, 200, want)
		if got := w.call("DELETE", path+"/x", ""); got.text != "{}" {
			t.Error(got.text)
		}
		w.call("DELETE", path+"/never/there", "").want(t, 200)
		w.call("GET", path+"/x", "").want(t, 200, `{"data":null}`)
		w.call("DELETE", path, "").want(t, 200)
		w.call("GET", path, "").want(t, 200, `{"data":null}`)
		w.call("PUT", path, "{").want(t, 400)
	}
}

func TestListingData(t *testing.T) {
	for shape, want := range map[string]string{"nested": `"data":{"a":{"b":7}}`, "value": `"data":7`, "keyed": `"data":{"a/b":7}`, "null": `"data":null`, "state": `"data":{"state":7}`} {
		w := newWorld(t, Options{Unknowns: Unknowns{ListingData: shape}, Projects: bare()})
		id := w.call("POST", "/devices", `{"name":"d"}`).id()
		w.call("GET", "/devices?statePath=a/b", "").want(t, 200, `"data":null`)
		w.call("PUT", "/devices/"+id+"/data/a/b", "7")
		w.call("GET", "/devices?statePath=a/b", "").want(t, 200, want)
		w.call("GET", "/devices", "").want(t, 200, `"data":null`)
	}
}

func TestActivityLeavesUpdatedAt(t *testing.T) {
	w := newWorld(t, Options{LivePerSecond: 50})
	before, err := w.server.Devices("demo")
	if err != nil {
		t.Fatal(err)
	}
	w.advance(time.Minute)
	w.call("GET", "/devices", "").want(t, 200)
	after, err := w.server.Devices("demo")
	if err != nil {
		t.Fatal(err)
	}
	moved := 0
	for i := range after {
		if !after[i].UpdatedAt.Equal(before[i].UpdatedAt) {
			t.Fatalf("updatedAt of %s moved", after[i].ID)
		}
		if after[i].LastReport != nil && (before[i].LastReport == nil || after[i].LastReport.After(*before[i].LastReport)) {
			moved++
		}
	}
	if moved < 200 {
		t.Errorf("%d of 250 devices reported in a minute", moved)
	}
}

func TestSameSeedSameWorld(t *testing.T) {
	show := func(seed uint64) string {
		w := newWorld(t, Options{Seed: seed})
		return w.call("GET", "/devices?page=1&statePath=metadata", "").text
	}
	if one, other := show(5), show(5); one != other {
		t.Error("two worlds of one seed differ")
	}
	if show(5) == show(6) {
		t.Error("two seeds make one world")
	}
}

func TestLimit(t *testing.T) {
	for form, want := range map[string]string{"seconds": "60", "date": "Sun, 01 Jun 2025 08:01:01 GMT", "none": ""} {
		w := newWorld(t, Options{RequestsPerMinute: 5, Unknowns: Unknowns{RetryAfter: form}})
		for range 5 {
			w.call("GET", "/devices?perPage=1", "").want(t, 200)
		}
		refused := w.call("GET", "/devices?perPage=1", "")
		refused.want(t, 429, `"code":8`)
		if got := refused.header.Get("Retry-After"); got != want {
			t.Errorf("Retry-After %q, want %q", got, want)
		}
		w.advance(time.Minute)
		w.call("GET", "/devices?perPage=1", "").want(t, 200)
		counts := w.server.Requests()
		if counts.Total != 7 || counts.Limited != 1 || counts.PeakPerMinute != 6 || counts.ByRoute["GET /v1/projects/{project}/devices"] != 7 || counts.Writes != 0 {
			t.Errorf("counts %+v", counts)
		}
	}
}

func TestCredentials(t *testing.T) {
	w := newWorld(t, Options{Projects: bare()})
	id := w.call("POST", "/devices", `{"name":"d","hardwareIds":["h"]}`).id()
	path := "/devices/" + id + "/credentials"
	w.call("GET", path, "").want(t, 200, `{"list":[]}`)
	made := w.call("POST", path, `{}`)
	made.want(t, 200, `"identity":"h@demo"`, `"type":"PRE_SHARED_KEY"`)
	if key, _ := made.data()["preSharedKey"].(string); len(key) != 32 {
		t.Errorf("key of %d digits", len(key))
	}
	w.call("POST", "/credentials", `{"deviceId":"`+id+`"}`).want(t, 409)
	w.call("DELETE", "/credentials/"+made.id()+"?deviceId="+id, "").want(t, 200)
	given := w.call("POST", "/provisioning", `{"name":"p","identity":"me"}`)
	if len(given.data()) != 1 {
		t.Errorf("provisioning answered %s", given.text)
	}
	w.call("GET", "/devices/"+given.data()["deviceId"].(string)+"/credentials", "").want(t, 200, `"identity":"me@demo"`)
}

func TestStream(t *testing.T) {
	w := newWorld(t, Options{Projects: bare()})
	ids := []string{w.call("POST", "/devices", `{"name":"a"}`).id(), w.call("POST", "/devices", `{"name":"b"}`).id()}
	for i, id := range []string{ids[0], ids[0], ids[1]} {
		if err := w.server.AppendStream("demo", id, testNow.Add(time.Duration(i-10)*time.Minute), map[string]any{"env": map[string]any{"temp": 20 + i}}); err != nil {
			t.Fatal(err)
		}
	}
	rows := w.call("POST", "/stream", `{"interval":"1h","query":{"fields":[{"path":"time"},{"path":"deviceId"},{"path":"env.temp","alias":"t"},{"path":"no"}]}}`)
	rows.want(t, 200, `"total":3`, `"no":null`, `"time":"2025-06-01T07:52:00.415+00:00"`)
	if got := rows.list()[0]["t"]; got != 22.0 {
		t.Errorf("the first row is not the newest: %v", got)
	}
	w.call("POST", "/devices/"+ids[0]+"/stream", `{"query":{"fields":[{"path":"*"}]}}`).want(t, 200, `{"list":[{"data":{"env":{"temp":21}}},{"data":{"env":{"temp":20}}}]`)
	w.call("GET", "/stream?encodedQuery="+`%7B%22fields%22:%5B%7B%22path%22:%22device_id%22%7D,%7B%22path%22:%22env.temp%22,%22alias%22:%22m%22,%22agg%22:%22avg%22%7D%5D%7D`, "").
		want(t, 200, `{"device_id":"`+ids[0]+`","m":20.5}`, `"total":2`)
	w.call("POST", "/stream", `{"query":{"filters":[{"op":"or","filters":[{"path":"env.temp","op":">=","value":22},{"path":"env","op":"=","value":null}]}]}}`).want(t, 200, `"total":1`)
	w.call("POST", "/stream", `{"start":"2025-06-01T07:50:30Z","end":"2025-06-01T09:51:30+02:00"}`).want(t, 200, `"total":1`)
}

func TestSwap(t *testing.T) {
	w := newWorld(t, Options{})
	before := w.call("GET", "/v1/projects/demo", "").data()
	if err := w.server.SwapProject("demo"); err != nil {
		t.Fatal(err)
	}
	after := w.call("GET", "/v1/projects/demo", "").data()
	if after["id"] != "demo" || after["createdAt"] == before["createdAt"] || after["organizationId"] == before["organizationId"] {
		t.Errorf("before %v after %v", before, after)
	}
}
