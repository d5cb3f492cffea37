package simulator

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// loadSpec reads openapi.yml from TANDEM_OPENAPI, or from beside the checkout. nil where there is none.
func loadSpec(t *testing.T) *openapi3.T {
	t.Helper()
	path := os.Getenv("TANDEM_OPENAPI")
	given := path != ""
	if !given {
		path = filepath.Join("..", "..", "..", "shared", "golioth", "openapi.yml")
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !given {
		t.Logf("replies are not validated against Golioth's OpenAPI description: it is not beside the checkout; set TANDEM_OPENAPI to its path")
		return nil
	}
	loader := openapi3.NewLoader()
	spec, err := loader.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The description says nowhere that these are null; all recorded replies do (API.md §3).
	for name, fields := range map[string][]string{
		"goliothDevice":            {"data", "lastReport"},
		"goliothDeviceActivityLog": {"lastReport", "lastSeenOnline", "lastSeenOffline"},
		"goliothDeviceMetadata":    {"lastReport", "lastSeenOnline", "lastSeenOffline", "lastSettingsStatus"},
	} {
		for _, field := range fields {
			properties := spec.Components.Schemas[name].Value.Properties
			properties[field] = &openapi3.SchemaRef{Value: &openapi3.Schema{AnyOf: openapi3.SchemaRefs{
				properties[field], {Value: &openapi3.Schema{Type: &openapi3.Types{"null"}}}}}}
		}
	}
	spec.Servers = nil
	spec.Security, spec.Components.SecuritySchemes = nil, nil // "API Key", which is no identifier, stops the validator; TestErrors has the keys
	return spec
}

// tester makes calls and validates each, the call and its reply.
type tester struct {
	t      *testing.T
	server *Server
	router routers.Router
	done   map[string]int // validations by operation of the description
}

func (x *tester) call(method, path, body string) answer {
	x.t.Helper()
	request := func() *http.Request {
		r := httptest.NewRequestWithContext(x.t.Context(), method, path, strings.NewReader(body))
		r.Header.Set("X-Api-Key", "k1")
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		return r
	}
	recorder := httptest.NewRecorder()
	x.server.ServeHTTP(recorder, request())
	a := answer{status: recorder.Code, text: recorder.Body.String()}
	if value, err := decode(recorder.Body.Bytes()); err == nil {
		a.body, _ = value.(map[string]any)
	}
	if x.router == nil {
		return a
	}
	route, vars, err := x.router.FindRoute(request())
	if err != nil {
		x.t.Fatalf("%s %s is not in the description: %v", method, path, err)
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true}
	in := &openapi3filter.RequestValidationInput{Request: request(), PathParams: vars, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(x.t.Context(), in); err != nil && a.status == http.StatusOK {
		x.t.Errorf("call %s %s: %v", method, path, err)
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: recorder.Code, Header: recorder.Header(),
		Body: io.NopCloser(bytes.NewReader(recorder.Body.Bytes())), Options: options}
	if err := openapi3filter.ValidateResponse(x.t.Context(), out); err != nil {
		x.t.Errorf("reply of %s %s: %v\n%.600s", method, path, err, a.text)
	}
	if a.status == http.StatusOK {
		x.done[method+" "+route.Path]++
	}
	return a
}

// ok makes a call that must succeed.
func (x *tester) ok(method, path, body string) answer {
	x.t.Helper()
	a := x.call(method, path, body)
	a.want(x.t, http.StatusOK)
	return a
}

// TestOpenAPI tells a story that uses every operation, and holds each to Golioth's own description where it is at hand.
func TestOpenAPI(t *testing.T) {
	spec := loadSpec(t)
	w := newWorld(t, Options{Seed: 4})
	x := &tester{t: t, server: w.server, done: map[string]int{}}
	if spec != nil {
		router, err := legacy.NewRouter(spec, openapi3.DisableExamplesValidation())
		if err != nil {
			t.Fatal(err)
		}
		x.router = router
	}
	x.tell()
	if spec == nil {
		return
	}
	served := 0
	for _, r := range routes {
		for method := range r.methods {
			if strings.HasSuffix(r.pattern, "/data") || r.pattern == "/v1/projects" && method == "POST" || r.pattern == under && method == "DELETE" {
				continue // the root of a state document is beside the description; projects are not a key's to make or delete
			}
			served++
			if operation := method + " " + described(spec, r.segments); x.done[operation] == 0 {
				t.Errorf("%s %s was never validated (%s)", method, r.pattern, operation)
			}
		}
	}
	total := 0
	for _, n := range x.done {
		total += n
	}
	if total == 0 || served == 0 {
		t.Fatal("nothing was validated")
	}
	t.Logf("%d operations validated, %d calls", served, total)
}

// described gives the description's path that has our segments, its variables by any name.
func described(spec *openapi3.T, segments []string) string {
	for path := range spec.Paths.Map() {
		theirs := strings.Split(path[1:], "/")
		fits := len(theirs) == len(segments)
		for i := 0; fits && i < len(theirs); i++ {
			fits = theirs[i] == segments[i] || theirs[i][0] == '{' && segments[i][0] == '{'
		}
		if fits {
			return path
		}
	}
	return "(not described)"
}

func (x *tester) tell() {
	const p, o = "/v1/projects/demo", "/v1/organizations/acme/projects/demo"
	x.ok("GET", "/v1/projects", "")
	x.ok("GET", p, "")
	x.ok("PATCH", p, `{"name":"Demo"}`)
	x.ok("PUT", p, `{"name":"Demo two"}`)
	x.call("GET", p+"/devices/zz", "")

	tag := x.ok("POST", p+"/tags", `{"name":"fresh"}`).id()
	x.ok("GET", p+"/tags?tagName=fresh", "")
	x.ok("GET", p+"/tags/"+tag, "")
	x.ok("PATCH", p+"/tags/"+tag, `{"name":"fresher"}`)
	x.ok("PUT", p+"/tags/"+tag, `{"name":"freshest"}`)
	blueprint := x.ok("POST", p+"/blueprints", `{"name":"bp","platform":"zephyr","boardId":"nrf"}`).id()
	x.ok("GET", p+"/blueprints?platform=zephyr", "")
	x.ok("GET", p+"/blueprints/"+blueprint, "")
	x.ok("PATCH", p+"/blueprints/"+blueprint, `{"boardId":""}`)
	x.ok("PUT", p+"/blueprints/"+blueprint, `{"name":"bp-2"}`)
	x.ok("POST", o+"/cohorts", `{"name":"ring-0"}`)
	x.ok("GET", o+"/cohorts", "")
	x.ok("PUT", o+"/cohorts/ring-0", `{"name":"ring-zero"}`)

	id := x.ok("POST", p+"/devices", `{"name":"d1","tagIds":["`+tag+`"],"blueprintId":"`+blueprint+`","cohortId":"ring-0"}`).id()
	x.ok("GET", p+"/devices?perPage=100&statePath=metadata", "")
	x.ok("GET", p+"/devices/"+id, "")
	x.ok("PATCH", p+"/devices/"+id, `{"addHardwareId":["h2"]}`)
	x.ok("PUT", p+"/devices/"+id, `{"name":"d1","tagIds":["`+tag+`"],"hardwareIds":["h2"]}`)
	for _, method := range []string{"PUT", "POST", "PATCH"} {
		x.ok(method, p+"/devices/"+id+"/data/a", `{"b":1}`)
		x.ok(method, p+"/devicesByTag/"+tag+"/data/c", `2`)
	}
	x.ok("GET", p+"/devices/"+id+"/data/a", "")
	x.ok("DELETE", p+"/devices/"+id+"/data/a", "")
	x.ok("DELETE", p+"/devicesByTag/freshest/data/c", "")
	x.ok("GET", p+"/stream?interval=731h&perPage=10", "")
	x.ok("POST", p+"/stream", `{"interval":"8h","query":{"fields":[{"path":"battery","agg":"avg"}],"timeBucket":"1h"}}`)
	x.ok("GET", p+"/devices/"+id+"/stream", "")
	x.ok("POST", p+"/devices/"+id+"/stream", `{}`)
	x.ok("GET", p+"/device-activity-logs?perPage=5", "")

	x.ok("POST", p+"/devices/"+x.heard(p)+"/rpc", `{"method":"reboot","params":[],"timeout":1}`)
	first := x.ok("POST", p+"/devices/"+id+"/credentials", `{}`).id()
	second := x.ok("POST", p+"/credentials", `{"deviceId":"`+id+`","identity":"x","type":"PRE_SHARED_KEY"}`).id()
	x.ok("GET", p+"/devices/"+id+"/credentials", "")
	x.ok("DELETE", p+"/devices/"+id+"/credentials/"+first, "")
	x.ok("DELETE", p+"/credentials/"+second+"?deviceId="+id, "")
	x.ok("POST", p+"/provisioning", `{"name":"d2"}`)
	x.ok("POST", p+"/devices/"+id+"/provisioning", `{"identity":"y"}`)

	x.ok("POST", o+"/packages", `{"packageId":"app","description":"","metadata":{}}`)
	x.ok("GET", o+"/packages", "")
	x.ok("GET", o+"/packages/app", "")
	x.ok("PUT", o+"/packages/app", `{"description":"the app","metadata":{"team":"a"}}`)
	artifact := x.ok("POST", "/v1/artifacts", `{"projectId":"demo","package":"app","version":"1.0","content":"aGk="}`)
	artifact.want(x.t, 200, `"size":"2"`, `"size":2`)
	x.ok("GET", p+"/artifacts?package=app", "")
	x.ok("GET", p+"/artifacts/"+artifact.id(), "")
	x.ok("PATCH", p+"/artifacts/"+artifact.id(), `{}`)
	x.ok("PUT", p+"/artifacts/"+artifact.id(), `{}`)
	made := x.ok("POST", o+"/cohorts/ring-0/deployments", `{"name":"go","artifactIds":["`+artifact.id()+`"]}`).data()["deploymentId"].(string)
	x.ok("GET", o+"/cohorts/ring-0/deployments?name=go", "")
	x.ok("GET", o+"/cohorts/ring-0/deployments/"+made, "")
	x.ok("GET", o+"/cohorts/ring-0", "").want(x.t, 200, `"activeDeploymentId":"`+made+`"`)
	x.call("DELETE", p+"/artifacts/"+artifact.id(), "").want(x.t, 400, "artifact in use")
	release := x.ok("POST", p+"/releases", `{"artifactIds":["`+artifact.id()+`"],"releaseTags":["v1"],"deviceTagIds":["`+tag+`"]}`).id()
	x.ok("GET", p+"/releases?rollout=false", "")
	x.ok("GET", p+"/releases/"+release, "")
	x.ok("PATCH", p+"/releases/"+release, `{"rollout":true}`).want(x.t, 200, tag)
	if wiped := x.ok("PUT", p+"/releases/"+release, `{"rollout":true}`); strings.Contains(wiped.text, tag) {
		x.t.Error("PUT on a release keeps the device tags; the real one loses them")
	}

	x.tellPipelines(o, id)

	x.ok("DELETE", p+"/releases/"+release, "")
	x.ok("DELETE", o+"/cohorts/ring-0", "")
	x.ok("DELETE", p+"/artifacts/"+artifact.id(), "")
	x.ok("DELETE", o+"/packages/app", "")
	x.ok("DELETE", p+"/tags/"+tag, "")
	x.ok("DELETE", p+"/blueprints/"+blueprint, "")
	x.ok("DELETE", p+"/devices/"+id, "")
}

// tellPipelines tells of a pipeline whose secret goes missing, and of a message that none takes.
func (x *tester) tellPipelines(o, device string) {
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	x.ok("POST", o+"/secrets", `{"name":"HOOK","secret":"v4lue","type":"PIPELINE"}`)
	for _, path := range []string{"/secrets", "/secrets/hook", "/secrets/HOOK?type=PIPELINE"} {
		if a := x.ok("GET", o+path, ""); strings.Contains(a.text, "v4lue") {
			x.t.Errorf("%s gives the secret away: %s", path, a.text)
		}
	}
	x.call("POST", o+"/secrets", `{"name":"hook","secret":"other"}`).want(x.t, 409, `"code":6`, "already being used")
	x.call("POST", o+"/secrets", `{"name":"1st","secret":"other"}`).want(x.t, 400, `"code":3`)
	x.call("POST", o+"/secrets", `{"name":"NONE","secret":""}`).want(x.t, 400, `"code":3`)

	const text = "filter: {path: /hook}\nsteps: [{destination: {type: webhook, parameters: {url: 'http://127.0.0.1:1/', headers: {a: $HOOK}}}}]"
	made := x.ok("POST", o+"/pipelines", `{"name":"hook","enabled":true,"pipeline":"`+encoded(text)+`"}`)
	id := made.data()["pipelineId"].(string)
	made.want(x.t, 200, `"pipeline":"`+encoded(text)+`"`, `"enabled":true`)
	x.ok("GET", o+"/pipelines/"+id, "").want(x.t, 200, encoded(text))
	if list := x.ok("GET", o+"/pipelines", ""); strings.Contains(list.text, "pipeline\"") || !strings.Contains(list.text, id) {
		x.t.Errorf("the list is %s", list.text)
	}
	x.call("POST", o+"/pipelines", `{"name":"hook","pipeline":"`+encoded(text)+`"}`).want(x.t, 409, `"code":6`)
	x.call("POST", o+"/pipelines", `{"name":"bad","pipeline":"`+encoded("steps: [}")+`"}`).want(x.t, 400, `"code":3`, "invalid pipeline")
	x.call("POST", o+"/pipelines", `{"name":"bad","pipeline":"%%"}`).want(x.t, 400, `"code":3`)
	x.ok("DELETE", o+"/secrets/hook", "")
	x.call("DELETE", o+"/secrets/hook", "").want(x.t, 404, `"code":5`)
	x.call("GET", o+"/secrets/hook", "").want(x.t, 404, `"code":5`)

	for _, path := range []string{"/hook", "/elsewhere"} {
		if err := x.server.Send("demo", device, path, "text/plain", []byte("hi")); err != nil {
			x.t.Fatal(err)
		}
	}
	x.ok("GET", o+"/pipelines/"+id+"/errors?limit=5&start=2020-01-01T00:00:00Z", "").want(x.t, 200, `"step":0`, "secret HOOK not found", `"source":"webhook"`)
	x.ok("GET", o+"/pipelines/errors", "").want(x.t, 200, `{"errors":[{"errors":1,"id":"`+id+`"}]}`)
	x.ok("GET", o+"/pipeline-unmatched", "").want(x.t, 200, `"path":"/elsewhere"`, `"contentType":"text/plain"`)
	x.ok("PUT", o+"/pipelines/"+id, `{"name":"hook-2","enabled":false,"pipeline":"`+encoded(text)+`"}`).want(x.t, 200, `"name":"hook-2"`, `"enabled":false`)
	x.ok("DELETE", o+"/pipelines/"+id, "").want(x.t, 200, "{}")
	x.call("GET", o+"/pipelines/"+id, "").want(x.t, 404, `"code":5`)
}

// heard gives the device that reported last.
func (x *tester) heard(project string) (id string) {
	x.t.Helper()
	last := ""
	list, _ := x.ok("GET", project+"/devices?perPage=100", "").body["list"].([]any)
	for _, one := range list {
		device, _ := one.(map[string]any)
		metadata, _ := device["metadata"].(map[string]any)
		if at, _ := metadata["lastReport"].(string); at > last {
			last = at
			id, _ = device["id"].(string)
		}
	}
	return id
}
