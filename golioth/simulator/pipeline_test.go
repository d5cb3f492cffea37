package simulator

import (
	"fmt"
	"strings"
	"testing"
)

func TestPipelineYAMLIsChecked(t *testing.T) {
	t.Parallel()
	const webhook = "steps: [{destination: {type: webhook, parameters: {url: 'https://example.com/', headers: {a: $B, n: 1}}}}]"
	for _, test := range []struct{ text, problem string }{
		{webhook, ""},
		{"version: v1\n" + webhook, ""},
		{"filter: {path: /a/*, content_type: application/cbor}\n" + webhook, ""},
		{"steps: [{transformer: {type: cbor-to-json, version: v1.0.0}}, {name: x, destination: {type: lightdb-stream, version: v1.0}}]", ""},
		{"steps: [{destination: {type: webhook, parameters: {url: $URL}}}]", ""},
		{"steps: [{destination: {type: kafka, parameters: {brokers: [a, b]}}}]", ""},
		{"", "is empty"},
		{"# nothing\n", "is empty"},
		{"steps: [}", "did not find"},
		{"- a", "cannot unmarshal"},
		{"steps: []", "no steps"},
		{"filter: {path: /a}", "no steps"},
		{"steps: [{name: a}]", "neither a transformer nor a destination"},
		{"steps: [{destination: {type: pigeon}}]", `no destination "pigeon"`},
		{"steps: [{transformer: {type: webhook2}}]", `no transformer "webhook2"`},
		{"steps: [{destination: {type: logs, version: v2}}]", `no version "v2"`},
		{"version: '1'\n" + webhook, `no version "1"`},
		{"steps: [{destination: {type: webhook}}]", "url is required"},
		{"steps: [{destination: {type: webhook, parameters: {url: 7}}}]", "url is required"},
		{"steps: [{destination: {type: webhook, parameters: {url: 'ftp://example.com'}}}]", "not an http or https address"},
		{"steps: [{destination: {type: webhook, parameters: {url: $1}}}]", "not an http or https address"},
		{"steps: [{destination: {type: webhook, parameters: {url: 'https://example.com', headers: [a]}}}]", "not a map"},
		{"steps: [{destination: {type: webhook, parameters: {url: 'https://example.com', headers: {a: [b]}}}}]", "not a text"},
		{"filter: {path: a}\n" + webhook, "does not begin with /"},
		{"filter: {path: /a*b}\n" + webhook, "not its last character"},
		{"filters: {path: /a}\n" + webhook, "field filters not found"},
		{webhook + "\n---\n" + webhook, "more than one document"},
		{"steps: [{destination: &a {type: logs, parameters: {x: *a}}}]", "anchor"},
		{strings.Repeat("#", maxPipeline) + "\n" + webhook, "larger than"},
	} {
		t.Run(fmt.Sprintf("%.60s", test.text), func(t *testing.T) {
			d, err := parsePipeline([]byte(test.text), true)
			switch {
			case test.problem == "" && (err != nil || len(d.Steps) == 0):
				t.Errorf("%+v, %v", d, err)
			case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)):
				t.Errorf("%v, where %q was due", err, test.problem)
			}
		})
	}
	w := newWorld(t, Options{Projects: bare(), Unknowns: Unknowns{PipelineCheck: "loose", PipelineName: "free", PipelineSecret: "early", PipelinePut: "clear"}})
	p := &piped{world: w, receiver: &receiver{}}
	p.pipe("odd", "what: ever").want(t, 200)
	p.pipe("odd", "steps: [}").want(t, 200)
	p.pipe("early", "steps: [{destination: {type: webhook, parameters: {url: $HOOK}}}]").want(t, 400, "secret HOOK not found")
	id := p.pipe("cleared", "steps: []").data()["pipelineId"].(string)
	w.call("PUT", organization+"/pipelines/"+id, `{"enabled":true}`).want(t, 400, "name is required")
	w.call("PUT", organization+"/pipelines/"+id, `{"name":"cleared","pipeline":"eA-_"}`).want(t, 200, `"enabled":false`, `"pipeline":"eA+/"`)
}

func TestPipelineFilters(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		filter, kind, path, contentType string
		want                            bool
	}{
		{"", "", "/a", "text/plain", true},
		{"", "", "", "", true},
		{"/temp", "", "/temp", "a", true},
		{"/temp/", "", "/temp", "a", true},
		{"/temp", "", "/temp/", "a", true},
		{"/temp", "", "/temp/c", "a", false},
		{"/temp/*", "", "/temp/", "a", true},
		{"/temp/*", "", "/temp/c/d", "a", true},
		{"/temp/*", "", "/temp", "a", false},
		{"/data*", "", "/database", "a", true},
		{"*", "", "/database", "a", true},
		{"/", "", "", "a", true},
		{"", "application/json", "/a", "application/json", true},
		{"", "application/json", "/a", "application/json; charset=utf-8", false},
		{"/a", "application/json", "/b", "application/json", false},
	} {
		d := definition{}
		d.Filter.Path, d.Filter.ContentType = test.filter, test.kind
		if got := d.takes(test.path, test.contentType); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// TestPipelineSteps follows messages through steps; each pipeline posts to a receiver.
func TestPipelineSteps(t *testing.T) {
	t.Parallel()
	const cbor = "\xa1\x61t\x01" // {"t":1}
	for name, test := range map[string]struct {
		steps      string // URL is the receiver
		path, kind string
		body       string
		want       []string
		failed     string
	}{
		"as it is":           {`[{destination: URL}]`, "/a", "application/octet-stream", "\x00\xff", []string{"application/octet-stream \x00\xff"}, ""},
		"cbor-to-json":       {`[{transformer: {type: cbor-to-json}}, {destination: URL}]`, "/a", "application/cbor", cbor, []string{`application/json {"t":1}`}, ""},
		"copy":               {`[{transformer: {type: cbor-to-json}, destination: URL}, {destination: URL}]`, "/a", "application/cbor", cbor, []string{`application/json {"t":1}`, "application/cbor " + cbor}, ""},
		"not CBOR":           {`[{transformer: {type: cbor-to-json}}, {destination: URL}]`, "/a", "application/json", "{}", nil, "not CBOR"},
		"broken CBOR":        {`[{transformer: {type: cbor-to-json}}, {destination: URL}]`, "/a", "application/cbor", "\xa1", nil, "not valid CBOR"},
		"inject-path":        {`[{transformer: {type: inject-path}}, {destination: URL}]`, "/a/b", "application/json", "1", []string{`application/json {"a":{"b":1}}`}, ""},
		"inject-metadata":    {`[{transformer: {type: inject-metadata}}, {destination: URL}]`, "/a", "application/json", "1", []string{`application/json {"data":1,"device_id":"DEVICE","project_id":"demo","timestamp":{"nanos":415000000,"seconds":1748764800}}`}, ""},
		"inject-path, bytes": {`[{transformer: {type: inject-path}}]`, "/a/b", "text/plain", "x", nil, "not JSON"},
		"batch":              {`[{destination: {type: batch}}, {destination: URL}]`, "/a", "application/json", `[[1],{"b":2}]`, []string{`application/json 1`, `application/json [1]`, `application/json [[1],{"b":2}]`, `application/json {"b":2}`}, ""},
		"another":            {`[{transformer: {type: base64}}, {destination: {type: kafka}}, {destination: URL}]`, "/a", "text/plain", "x", []string{"text/plain x"}, ""},
		"no secret":          {`[{destination: {type: webhook, parameters: {url: $NONE}}}]`, "/a", "text/plain", "x", nil, "secret NONE not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPiped(t, Options{}, "filter: {path: /nothing}")
			p.pipe("tested", "steps: "+strings.ReplaceAll(test.steps, "URL", "{type: webhook, parameters: {url: '"+p.receiver.url+"'}}")).want(t, 200)
			p.send(t, test.path, test.kind, test.body)
			got := map[string]int{}
			for _, r := range p.drain(t) {
				got[strings.ReplaceAll(r.header.Get("Content-Type")+" "+r.body, p.device, "DEVICE")]++
			}
			for _, want := range test.want {
				if got[want] != 1 {
					t.Errorf("%q came %d times", want, got[want])
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("%v came", got)
			}
			list := p.world.call("GET", organization+"/pipelines", "").list()
			told := p.world.call("GET", organization+"/pipelines/"+list[1]["pipelineId"].(string)+"/errors", "")
			if test.failed == "" && told.text != `{"errors":[]}` || !strings.Contains(told.text, test.failed) {
				t.Errorf("the errors are %s", told.text)
			}
		})
	}
}

func TestPipelinesFillLightDB(t *testing.T) {
	t.Parallel()
	p := newPiped(t, Options{}, "filter: {path: /nothing}")
	p.pipe("store", "steps: [{transformer: {type: inject-path}, destination: {type: lightdb-stream}}, {destination: {type: lightdb-state, parameters: {path: last}}}]").want(t, 200)
	p.send(t, "/env/temp", "application/json", "21.5")
	rows := p.world.call("POST", "/stream", `{"interval":"1h","query":{"fields":[{"path":"env.temp"}]}}`)
	rows.want(t, 200, `"env.temp":21.5`)
	if value, err := p.server.State("demo", p.device, "last"); err != nil || fmt.Sprint(value) != "21.5" {
		t.Errorf("the state is %v, %v", value, err)
	}
	if d, err := p.server.Device("demo", p.device); err != nil || d.LastReport == nil {
		t.Errorf("lastReport did not move: %v", err)
	}
}

func FuzzParsePipeline(f *testing.F) {
	for _, first := range firstPipelines {
		f.Add([]byte(first.text))
	}
	f.Add([]byte("filter: {path: /a/*}\nsteps: [{destination: {type: webhook, parameters: {url: $U, headers: {a: $B, c: 1.5, d: true}}}}]"))
	f.Add([]byte("steps: &a [{destination: {type: logs, parameters: {<<: *a}}}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		strict, err := parsePipeline(text, true)
		if err == nil && len(strict.Steps) == 0 {
			t.Error("a pipeline without steps was taken")
		}
		loose, looseErr := parsePipeline(text, false)
		if err == nil && looseErr != nil {
			t.Errorf("strictly it is a pipeline, loosely not: %v", looseErr)
		}
		if looseErr != nil {
			return
		}
		loose.takes("/a", jsonType)
		loose.references()
		for _, s := range loose.Steps {
			if s.Destination != nil {
				_, _ = s.Destination.headers()
			}
		}
	})
}
