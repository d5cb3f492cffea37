package golioth

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"tandem"
)

const projectReply = `{"data":{"id":"my project","name":"x","organizationId":"acme","createdAt":"2024-01-01T00:00:00Z"}}`

// organized answers what is asked about the project, and gives the rest to handle.
func organized(t *testing.T, handle http.HandlerFunc) *Client {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() == "/v1/projects/my%20project" {
			say(w, 200, projectReply)
			return
		}
		handle(w, r)
	})
}

// TestSecretsStaySecret has a service that repeats what it was sent in its refusals.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	const value = "v4lue-that-nobody-may-see"
	for name, reply := range map[string]string{
		"whole":      `{"code":3,"message":"invalid secret v4lue-that-nobody-may-see","details":[]}`,
		"cut":        `{"code":3,"message":"invalid secret \"v4lue-that-no…\"","details":[]}`,
		"the body":   `{"code":3,"message":"cannot take BODY","details":[]}`,
		"not at all": `{"code":3,"message":"the name is odd","details":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := organized(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					say(w, 200, `{"list":[{"name":"OTHER","type":"PIPELINE"}]}`)
					return
				}
				body, err := io.ReadAll(r.Body)
				if err != nil || !strings.Contains(string(body), value) {
					t.Errorf("%s came, %v", body, err)
				}
				say(w, 400, strings.ReplaceAll(reply, "BODY", strings.ReplaceAll(string(body), `"`, `\"`)))
			})
			err := c.PutSecret(soon(t), "HOOK", value)
			wants(t, err, tandem.Invalid)
			if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "v4lue-") {
				t.Errorf("the secret shows in %s", text)
			}
			if name == "not at all" {
				wants(t, err, tandem.Invalid, "the name is odd")
			}
		})
	}
	for name, value := range map[string]Secret{"": "value", "1st": "value", "a-b": "value", "A": "", "B": "two\nlines"} {
		c := organized(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s was sent", r.Method, r.URL) })
		wants(t, c.PutSecret(soon(t), name, value), tandem.Invalid)
	}
}

func TestSecretTells(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		secret Secret
		text   string
		want   bool
	}{
		{"", "anything", false}, {"abc", "an abc", true}, {"abc", "ab", false}, {"abcdefgh", "…bcdefg…", true}, {"abcdefgh", "abcde fgh", false},
	} {
		if got := test.secret.tells(test.text); got != test.want {
			t.Errorf("%q in %q: %v", string(test.secret), test.text, got)
		}
	}
}

// TestPipelinesThatCannotBeRead are Malformed, not half a pipeline.
func TestPipelinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `{"list":null}`, `{"list":[{"name":"x"}]}`, `{"list":[{"pipelineId":"1","pipeline":"%"}]}`, `{"list":[{"pipelineId":"1","createdAt":"soon"}]}`, `[]`} {
		c := organized(t, status(200, body))
		_, err := c.Pipelines(soon(t))
		wants(t, err, tandem.Malformed)
		_, err = c.PutPipeline(soon(t), "x", "steps: []", true)
		wants(t, err, tandem.Malformed)
	}
	c := organized(t, status(200, `{"data":{"name":"x"}}`))
	_, err := c.Pipeline(soon(t), "1")
	wants(t, err, tandem.Malformed)
	_, err = c.Pipeline(soon(t), "..")
	wants(t, err, tandem.Invalid)
	wants(t, c.DeletePipeline(soon(t), ""), tandem.Invalid)
	_, err = c.PutPipeline(soon(t), "", "steps: []", true)
	wants(t, err, tandem.Invalid)
	for _, body := range []string{`{}`, `{"list":[{"name":7}]}`} {
		_, err = organized(t, status(200, body)).Secrets(soon(t))
		wants(t, err, tandem.Malformed)
	}
	odd := organized(t, status(200, `{"data":{"pipelineId":"1","name":"x","enabled":true,"pipeline":"P_8"}}`))
	if p, err := odd.Pipeline(soon(t), "1"); err != nil || p.YAML != "?\xff" || !p.Enabled {
		t.Errorf("%+v, %v", p, err)
	}
}
