package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is the OpenAPI document as the running server serves it; replies are held against it.
type document struct {
	text     []byte
	paths    map[string]map[string]operation
	compiler *jsonschema.Compiler

	mu      sync.Mutex
	schemas map[string]*jsonschema.Schema
	called  map[string]bool // operation ids that were replied without a failure
}

type operation struct {
	ID        string                     `json:"operationId"`
	Responses map[string]json.RawMessage `json:"responses"`
	Security  []map[string][]string      `json:"security"`
}

func readDocument(t *testing.T, url string) *document {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	d := &document{compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}, called: map[string]bool{}}
	if d.text, err = io.ReadAll(reply.Body); err != nil {
		t.Fatal(err)
	}
	var read struct {
		OpenAPI string
		Paths   map[string]map[string]operation
	}
	if err := json.Unmarshal(d.text, &read); err != nil {
		t.Fatalf("%v: %.500s", err, d.text)
	}
	if read.OpenAPI != "3.1.0" || len(read.Paths) == 0 {
		t.Fatalf("the document says openapi %q, %d paths", read.OpenAPI, len(read.Paths))
	}
	d.paths = read.Paths
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.text))
	if err != nil {
		t.Fatal(err)
	}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", parsed); err != nil {
		t.Fatal(err)
	}
	return d
}

// find gives the operation of a request and its path in the document.
func (d *document) find(method, path string) (template string, op operation, ok bool) {
	best := -1
	for candidate, methods := range d.paths {
		o, has := methods[strings.ToLower(method)]
		if !has || !matches(candidate, path) {
			continue
		}
		if fixed := len(candidate) - 20*strings.Count(candidate, "{"); fixed > best || best == -1 {
			best, template, op, ok = fixed, candidate, o, true
		}
	}
	return template, op, ok
}

func matches(template, path string) bool {
	t, p := strings.Split(template, "/"), strings.Split(path, "/")
	if len(t) != len(p) {
		return false
	}
	for i := range t {
		if t[i] != p[i] && !strings.HasPrefix(t[i], "{") {
			return false
		}
	}
	return true
}

var pointer = strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", "{", "%7B", "}", "%7D")

// check holds a reply against the document: it must be one that the operation names, with the schema that it says.
func (d *document) check(t *testing.T, r *http.Request, a *answer) {
	t.Helper()
	template, op, ok := d.find(r.Method, r.URL.Path)
	if !ok {
		return // what the document does not have is a matter of its own tests
	}
	status := strconv.Itoa(a.status)
	if _, named := op.Responses[status]; !named {
		if a.status < 400 {
			t.Errorf("%s %s replied %s, which the document does not name", r.Method, template, status)
			return
		}
		status = "default"
	}
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if a.status < 400 {
		d.mu.Lock()
		d.called[op.ID] = true
		d.mu.Unlock()
	}
	if len(a.body) == 0 {
		return
	}
	if media != "application/json" && media != "application/problem+json" {
		var response struct{ Content map[string]any }
		if err := json.Unmarshal(op.Responses[status], &response); err != nil || response.Content[media] == nil {
			t.Errorf("%s %s replied %s, which the document does not name", r.Method, template, media)
		}
		return
	}
	schema, err := d.schema("#/paths/" + pointer.Replace(template) + "/" + strings.ToLower(r.Method) + "/responses/" + status + "/content/" + pointer.Replace(media) + "/schema")
	if err != nil {
		t.Errorf("%s %s %s: %v", r.Method, template, status, err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
	if err != nil {
		t.Errorf("%s %s replied no JSON: %v: %s", r.Method, template, err, a.body)
		return
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s %s replied %d with something else than the document says: %v\n%s", r.Method, r.URL.Path, a.status, err, a.body)
	}
}

func (d *document) schema(at string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.schemas[at]; ok {
		return s, nil
	}
	s, err := d.compiler.Compile("openapi.json" + at)
	if err == nil {
		d.schemas[at] = s
	}
	return s, err
}

// uncalled lists the operations that were not replied without a failure.
func (d *document) uncalled() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var missing []string
	for _, methods := range d.paths {
		for _, op := range methods {
			if !d.called[op.ID] {
				missing = append(missing, op.ID)
			}
		}
	}
	slices.Sort(missing)
	return missing
}
