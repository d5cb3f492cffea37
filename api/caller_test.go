package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"

	"tandem"
	"tandem/api"
)

// caller sends requests as somebody, and holds every reply against the document.
type caller struct {
	w      *world
	client *http.Client
	token  string
	header http.Header
}

func (w *world) as(token string) *caller {
	return &caller{w: w, client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, token: token, header: http.Header{}}
}

// browser keeps cookies.
func (w *world) browser() *caller {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	w.must(err)
	c := w.as("")
	c.client.Jar = jar
	return c
}

// with gives the caller with another header.
func (c *caller) with(name, value string) *caller {
	other := *c
	other.header = c.header.Clone()
	other.header.Set(name, value)
	return &other
}

// answer is a reply.
type answer struct {
	w      *world
	status int
	header http.Header
	body   []byte
}

// send makes a request; body is JSON text, a value to be written as JSON, or nil.
func (c *caller) send(method, path string, body any) *answer {
	c.w.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		c.w.must(err)
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(c.w.t.Context(), method, c.w.url+path, reader)
	c.w.must(err)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	reply, err := c.client.Do(r)
	c.w.must(err)
	text, err := io.ReadAll(reply.Body)
	c.w.must(err)
	c.w.must(reply.Body.Close())
	a := &answer{w: c.w, status: reply.StatusCode, header: reply.Header, body: text}
	c.w.document.check(c.w.t, r, a)
	return a
}

func (c *caller) get(path string) *answer { c.w.t.Helper(); return c.send(http.MethodGet, path, nil) }
func (c *caller) post(path string, body any) *answer {
	c.w.t.Helper()
	return c.send(http.MethodPost, path, body)
}
func (c *caller) patch(path string, body any) *answer {
	c.w.t.Helper()
	return c.send(http.MethodPatch, path, body)
}
func (c *caller) delete(path string) *answer {
	c.w.t.Helper()
	return c.send(http.MethodDelete, path, nil)
}

// is fails the test unless the reply has a status.
func (a *answer) is(status int) *answer {
	a.w.t.Helper()
	if a.status != status {
		a.w.t.Fatalf("the status is %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// problem fails the test unless the reply is a failure with a status and code.
func (a *answer) problem(status int, code tandem.Code) api.Problem {
	a.w.t.Helper()
	a.is(status)
	var p api.Problem
	a.read(&p)
	if p.Code != string(code) || p.Status != status || p.RequestID == "" || p.Detail == "" || p.Title == "" || !strings.Contains(p.Type, string(code)) {
		a.w.t.Errorf("the problem is %+v, want the code %s", p, code)
	}
	if got := a.header.Get("Content-Type"); got != api.ProblemType {
		a.w.t.Errorf("the content type is %q", got)
	}
	return p
}

func (a *answer) read(into any) {
	a.w.t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		a.w.t.Fatalf("%v: %s", err, a.body)
	}
}

// value reads a member of a reply, such as devices.0.name.
func (a *answer) value(path string) any {
	a.w.t.Helper()
	var v any
	a.read(&v)
	for part := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[part]
		case []any:
			i := 0
			for _, c := range part {
				i = i*10 + int(c-'0')
			}
			if i >= len(in) {
				a.w.t.Fatalf("%s: there is no element %s in %s", path, part, a.body)
			}
			v = in[i]
		default:
			a.w.t.Fatalf("%s: nothing is there in %s", path, a.body)
		}
	}
	return v
}

func (a *answer) text(path string) string {
	a.w.t.Helper()
	s, ok := a.value(path).(string)
	if !ok {
		a.w.t.Fatalf("%s is no text in %s", path, a.body)
	}
	return s
}
