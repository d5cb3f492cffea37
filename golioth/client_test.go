package golioth

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem"
)

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no project":      {Key: "k"},
		"no key":          {Project: "p"},
		"broken key":      {Project: "p", Key: testKey + "\nand more"},
		"plain http":      {Project: "p", Key: testKey, BaseURL: "http://golioth.example"},
		"no scheme":       {Project: "p", Key: testKey, BaseURL: "golioth.example"},
		"other scheme":    {Project: "p", Key: testKey, BaseURL: "ftp://golioth.example"},
		"a password":      {Project: "p", Key: testKey, BaseURL: "https://u:" + testKey + "@golioth.example"},
		"key in a query":  {Project: "p", Key: testKey, BaseURL: "https://golioth.example?" + testKey},
		"not an address":  {Project: "p", Key: testKey, BaseURL: "https://%zz" + testKey},
		"a folder trick":  {Project: "..", Key: testKey},
		"loopback prefix": {Project: "p", Key: testKey, BaseURL: "http://127.0.0.1.golioth.example"},
	} {
		_, err := New(o)
		t.Run(name, func(t *testing.T) { wants(t, err, tandem.Invalid) })
	}
	for _, base := range []string{"", "http://localhost:1", "http://[::1]:7070/", "https://x.example/api/v1/", "http://127.9.9.9"} {
		if c, err := New(Options{Project: "p", Key: " " + testKey + "\n", BaseURL: base}); err != nil {
			t.Errorf("%q: %v", base, err)
		} else if strings.HasSuffix(c.base, "/") || strings.HasSuffix(c.base, "/v1") {
			t.Errorf("%q became %q", base, c.base)
		}
	}
}

func TestSecretNeverShows(t *testing.T) {
	s := Secret(testKey)
	encoded, err := json.Marshal(map[string]any{"k": s, "c": Credential{PreSharedKey: s}})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", s, "options", Options{Key: s})
	for _, text := range []string{fmt.Sprintf("%v %s %q %x %#v %d %+v", s, s, s, s, s, s, Options{Key: s}), string(encoded), log.String()} {
		if strings.Contains(text, testKey) || strings.Contains(text, fmt.Sprintf("%x", testKey)) || !strings.Contains(text, redacted) {
			t.Error(text)
		}
	}
}

func TestProject(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "Sun, 06 Nov 1994 08:49:37 GMT") // the remote's clock, not ours
		if r.URL.EscapedPath() != "/v1/projects/my%20project" {
			t.Errorf("asked %s", r.URL.EscapedPath())
		}
		say(w, 200, `{"data":{"id":"my project","name":"My project","createdAt":"2025-01-02T03:04:05Z","updatedAt":null,"organizationId":"acme","roles":[]}}`)
	})
	p, err := c.Project(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	want := tandem.RemoteProject{Name: "My project", Now: time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC),
		ProjectIdentity: tandem.ProjectIdentity{ID: "my project", OrganizationID: "acme", CreatedAt: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
}

// A PATCH has three states for each member; nothing that the patch does not name may be in the body.
func TestS23PatchSendsOnlyWhatChanges(t *testing.T) {
	text, none, no := "n", "", false
	for name, test := range map[string]struct {
		patch tandem.RemotePatch
		body  string
	}{
		"clear":   {tandem.RemotePatch{BlueprintID: &none, CohortID: &none}, `{"blueprintId":null,"cohortId":null}`},
		"set":     {tandem.RemotePatch{Name: &text, CohortID: &text, Enabled: &no}, `{"cohortId":"n","enabled":false,"name":"n"}`},
		"by sets": {tandem.RemotePatch{AddTagIDs: []string{"a"}, RemoveTagIDs: []string{"b", "c"}, AddHardwareIDs: []string{"h"}, RemoveHardwareIDs: []string{"i"}}, `{"addHardwareId":["h"],"addTagId":["a"],"removeHardwareId":["i"],"removeTagId":["b","c"]}`},
		"nothing": {tandem.RemotePatch{}, ``},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				method := http.MethodPatch
				if test.body == "" {
					method = http.MethodGet
				}
				if err != nil || string(body) != test.body || r.Method != method {
					t.Errorf("%s %s (%v), not %s", r.Method, body, err, test.body)
				}
				good(w, r)
			})
			if d, err := c.UpdateDevice(soon(t), goodID, test.patch); err != nil || d.Name != "gw-1" {
				t.Error(d, err)
			}
		})
	}
}

func TestCreateAndDeleteDevice(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch body, err := io.ReadAll(r.Body); {
		case err != nil:
			t.Error(err)
		case r.Method == http.MethodPost && string(body) == `{"name":"gw-1","hardwareIds":["h"]}`:
			good(w, r)
		case r.Method == http.MethodDelete && r.URL.EscapedPath() == "/v1/projects/my%20project/devices/a%2Fb":
			say(w, 200, `{}`)
		default:
			t.Errorf("%s %s %s", r.Method, r.URL, body)
		}
	})
	if d, err := c.CreateDevice(soon(t), tandem.NewRemoteDevice{Name: "gw-1", HardwareIDs: []string{"h"}}); err != nil || d.ID != goodID {
		t.Error(d, err)
	}
	if err := c.DeleteDevice(soon(t), "a/b"); err != nil {
		t.Error(err)
	}
	wants(t, c.DeleteDevice(soon(t), ""), tandem.Invalid)
	wants(t, c.DeleteDevice(soon(t), ".."), tandem.Invalid)
}

func TestEntities(t *testing.T) {
	var projects int
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/v1/projects/my project":
			projects++
			say(w, 200, `{"data":{"id":"my project","name":"x","createdAt":"2025-01-02T03:04:05Z","organizationId":"acme"}}`)
		case strings.HasPrefix(path, "/v1/organizations/acme/projects/my project/cohorts") && r.Method == http.MethodGet:
			say(w, 200, `{"list":[{"cohortId":"gateways","name":"Gateways","deviceCount":3}],"page":0,"perPage":100,"total":1}`)
		case path == "/v1/organizations/acme/projects/my project/cohorts/gateways" && r.Method == http.MethodPut:
			say(w, 200, `{"data":{"cohortId":"gateways","name":"new"}}`)
		case path == "/v1/projects/my project/tags" && r.Method == http.MethodPost:
			say(w, 400, `{"code":3,"message":"tag name already being used","details":[]}`)
		case path == "/v1/projects/my project/tags":
			page := r.URL.Query().Get("page")
			if page == "0" {
				items := make([]string, 100)
				for i := range items {
					items[i] = fmt.Sprintf(`{"id":"t%d","name":"tag-%d"}`, i, i)
				}
				say(w, 200, wirePage(0, 100, 101, items...))
				return
			}
			say(w, 200, `{"list":[{"id":"last","name":"last"}],"page":1,"perPage":100,"total":101}`)
		case path == "/v1/projects/my project/blueprints/b1" && r.Method == http.MethodDelete:
			say(w, 200, `{}`)
		default:
			t.Errorf("%s %s", r.Method, path)
		}
	})
	ctx := soon(t)
	for range 2 {
		cohorts, err := c.Entities(ctx, tandem.CohortEntity)
		if err != nil || len(cohorts) != 1 || cohorts[0] != (tandem.RemoteEntity{Kind: tandem.CohortEntity, ID: "gateways", Name: "Gateways"}) {
			t.Error(cohorts, err)
		}
	}
	if projects != 1 {
		t.Errorf("the organization was asked for %d times", projects)
	}
	if e, err := c.RenameEntity(ctx, tandem.CohortEntity, "gateways", "new"); err != nil || e.Name != "new" {
		t.Error(e, err)
	}
	if tags, err := c.Entities(ctx, tandem.TagEntity); err != nil || len(tags) != 101 || tags[100].ID != "last" {
		t.Error(len(tags), err)
	}
	_, err := c.CreateTag(ctx, "x")
	wants(t, err, tandem.Exists, "tag name already being used")
	if err := c.DeleteEntity(ctx, tandem.BlueprintEntity, "b1"); err != nil {
		t.Error(err)
	}
	_, err = c.Entities(ctx, "planet")
	wants(t, err, tandem.Invalid)
}

func TestState(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		switch got := r.Method + " " + r.URL.EscapedPath() + " " + string(body); got {
		case "GET /v1/projects/my%20project/devices/d/data ":
			say(w, 200, `{"data":{"big":9007199254740993}}`)
		case "GET /v1/projects/my%20project/devices/d/data/a%20b/c%3Fd ":
			say(w, 200, `{"data":null}`)
		case `PUT /v1/projects/my%20project/devices/d/data/a {"x":1}`, "DELETE /v1/projects/my%20project/devices/d/data/a ":
			say(w, 200, `{}`)
		default:
			t.Error(got)
		}
	})
	ctx := soon(t)
	root, err := c.State(ctx, "d", "")
	if diff := cmp.Diff(map[string]any{"big": json.Number("9007199254740993")}, root); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if v, err := c.State(ctx, "d", "/a b/c?d"); v != nil || err != nil {
		t.Error(v, err)
	}
	if err := c.SetState(ctx, "d", "a", map[string]any{"x": 1}); err != nil {
		t.Error(err)
	}
	if err := c.DeleteState(ctx, "d", "a/"); err != nil {
		t.Error(err)
	}
	wants(t, c.DeleteState(ctx, "d", "/"), tandem.Invalid)
	wants(t, c.SetState(ctx, "d", "a/../b", 1), tandem.Invalid)
	wants(t, c.SetState(ctx, "d", "a//b", 1), tandem.Invalid)
	wants(t, c.SetState(ctx, "d", "a", make(chan int)), tandem.Invalid)
}

func TestStream(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var q streamRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Method != http.MethodPost {
			t.Error(r.Method, err)
		}
		if q.Page == 0 && (q.Query.Fields[2].Path != "env.temp" || q.Query.Filters[0].Op != "or" || q.End.IsZero()) {
			t.Errorf("%+v", q)
		}
		rows := []string{`{"deviceId":"d1","time":"2023-05-09T18:55:36.637407+00:00","env.temp":21.5,"loc":null}`,
			`{"device_id":"d2","time":"2023-05-09T18:55:36Z","env":{"temp":1},"loc":{"lat":1}}`, `{"time":"2023-05-09T18:55:36Z"}`, `7`}
		say(w, 200, wirePage(q.Page, 100, 4, rows...))
	})
	var rows []tandem.StreamRow
	var last error
	for row, err := range c.Stream(soon(t), tandem.StreamQuery{Since: time.Unix(0, 0), Paths: []string{"env/temp", "loc"}}) {
		if err != nil {
			last = err
			continue
		}
		rows = append(rows, row)
	}
	wants(t, last, tandem.Malformed, "2 of 4 rows")
	want := []tandem.StreamRow{
		{DeviceID: "d1", Time: time.Date(2023, 5, 9, 18, 55, 36, 637407e3, time.UTC), Values: map[string]any{"env/temp": json.Number("21.5")}},
		{DeviceID: "d2", Time: time.Date(2023, 5, 9, 18, 55, 36, 0, time.UTC), Values: map[string]any{"env/temp": json.Number("1"), "loc": map[string]any{"lat": json.Number("1")}}},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}

func TestCredentialsAndCall(t *testing.T) {
	const psk = "0123456789abcdef0123456789abcdef"
	one := `{"id":"c1","type":"PRE_SHARED_KEY","identity":"gw@my project","createdAt":"2025-04-05T03:23:30.415Z","preSharedKey":"` + psk + `"}`
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/rpc"):
			say(w, 200, `{"statusCode":5,"detail":null}`)
		case r.Method == http.MethodGet:
			say(w, 200, `{"list":[`+one+`]}`)
		case r.Method == http.MethodPost:
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != `{"identity":"gw","preSharedKey":"`+psk+`"}` {
				t.Error(string(body), err)
			}
			say(w, 200, `{"data":`+one+`}`)
		default:
			say(w, 200, `{}`)
		}
	})
	ctx := soon(t)
	all, err := c.Credentials(ctx, "d")
	if err != nil || len(all) != 1 || string(all[0].PreSharedKey) != psk || strings.Contains(fmt.Sprintf("%+v", all), psk) {
		t.Errorf("%+v %v", all, err)
	}
	if made, err := c.CreateCredential(ctx, "d", NewCredential{Identity: "gw", PreSharedKey: psk}); err != nil || made.Identity != "gw@my project" {
		t.Error(made, err)
	}
	if err := c.DeleteCredential(ctx, "d", "c1"); err != nil {
		t.Error(err)
	}
	if r, err := c.Call(ctx, "d", "reboot", nil, 0); err != nil || r.StatusCode != 5 {
		t.Error(r, err)
	}
}

func TestStateFromListing(t *testing.T) {
	three := json.Number("3")
	for _, test := range []struct {
		data, path string
		value      any
		shape      Shape
	}{
		{`3`, "site/floor", three, ShapeValue},
		{`{"a":1,"b":2}`, "site/floor", map[string]any{"a": json.Number("1"), "b": json.Number("2")}, ShapeValue},
		{`{"site":{"floor":3}}`, "site/floor", three, ShapeNested},
		{`{"site/floor":3}`, "/site/floor", three, ShapeKeyed},
		{`{"site.floor":3}`, "site/floor", three, ShapeKeyed},
		{`{"state":3}`, "site/floor", three, ShapeState},
		{`{"state":{"site":{"floor":3}}}`, "site/floor", three, ShapeState},
		{`{"state":3}`, "state", three, ShapeNested},
		{`null`, "site/floor", nil, ShapeUnknown},
		{``, "site/floor", nil, ShapeUnknown},
	} {
		value, ok, shape := StateFromListing(json.RawMessage(test.data), test.path)
		if diff := cmp.Diff(test.value, value); diff != "" || shape != test.shape || ok != (shape != ShapeUnknown) {
			t.Errorf("%s at %s: %v, %q %s", test.data, test.path, ok, shape, diff)
		}
	}
	c := &Client{}
	want := map[string]any{"nested": three, "value": map[string]any{"floor": three}}
	if diff := cmp.Diff(want, c.StateCandidates(json.RawMessage(`{"floor":3}`), "floor")); diff != "" {
		t.Error(diff)
	}
}
