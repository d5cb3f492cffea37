package golioth

import (
	"net/http"
	"strings"
	"testing"

	"tandem"
)

// TestS33TextThatNoDatabaseKeeps: a device with a NUL in a text fails alone, wherever the text is, and what is told of it has none.
func TestS33TextThatNoDatabaseKeeps(t *testing.T) {
	for _, text := range []string{"67f0a1b2c3d4e5f600000007", "ser-7", `"gw-7"`, "67f0a0ffc3d4e5f601020311", "67f0a0ffc3d4e5f601020301", "1.2.5", "gateways", `"main"`} {
		bad := strings.Replace(wire(7), text, strings.TrimSuffix(text, `"`)+`\u0000x`+map[bool]string{true: `"`}[strings.HasSuffix(text, `"`)], 1)
		page, err := decodePage([]byte(wirePage(0, 100, 2, bad, bare)))
		if err != nil {
			t.Fatal(err)
		}
		d, other := page.devices[0], page.devices[1]
		if !tandem.Is(d.Problem, tandem.Malformed) || other.Problem != nil {
			t.Errorf("%s: %v, and of the other %v", text, d.Problem, other.Problem)
			continue
		}
		if strings.Contains(d.ID+d.Name+d.Problem.Error(), nul) {
			t.Errorf("%s: what is told of it cannot be kept: %q %q %q", text, d.ID, d.Name, d.Problem)
		}
	}
}

// TestS33NamesThatNoDatabaseKeeps: a tag whose name has a NUL explains nothing, and the other tags stay.
func TestS33NamesThatNoDatabaseKeeps(t *testing.T) {
	c, err := New(Options{Project: "p", Key: testKey, Retry: quick, Transport: transport(func(*http.Request) (*http.Response, error) {
		return answer(200, `{"list":[{"id":"1","name":"blue"},{"id":"2","name":"a\u0000b"}],"page":0,"perPage":100,"total":2}`), nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	tags, err := c.Entities(t.Context(), tandem.TagEntity)
	if err != nil || len(tags) != 1 || tags[0].Name != "blue" {
		t.Errorf("%+v, %v", tags, err)
	}
}
