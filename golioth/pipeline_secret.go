package golioth

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"tandem"
)

// secretName is what Golioth takes as the name of a secret (API.md §12). Case does not tell two apart.
var secretName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Secrets lists the names of the project's pipeline secrets. Nobody can read their values.
func (c *Client) Secrets(ctx context.Context) ([]string, error) {
	path, err := c.underOrganization(ctx, "secrets")
	if err != nil {
		return nil, err
	}
	k := &call{op: "golioth: list secrets", method: http.MethodGet, path: path, subject: aboutCollection}
	var wire struct {
		List *[]struct {
			Name string `json:"name"`
		} `json:"list"` // not paged
	}
	if _, err := c.do(ctx, k, &wire); err != nil {
		return nil, err
	}
	if wire.List == nil {
		return nil, c.malformed(k, nil, fmt.Errorf("it has no list"))
	}
	names := make([]string, 0, len(*wire.List))
	for _, s := range *wire.List {
		names = append(names, s.Name)
	}
	return names, nil
}

// PutSecret gives a pipeline secret a value. Golioth cannot change one: an existing secret of the name is deleted and
// created anew, and pipelines that use it fail in between. To rotate without a gap, put the new value under another
// name and change the pipeline.
func (c *Client) PutSecret(ctx context.Context, name string, value Secret) error {
	const op = "golioth: write secret"
	switch {
	case !secretName.MatchString(name):
		return tandem.Errorf(tandem.Invalid, op, name, "this cannot be the name of a secret").
			WithHint("use letters, digits and underscores, and no digit first")
	case value == "":
		return tandem.Errorf(tandem.Invalid, op, name, "the secret is empty")
	case strings.ContainsFunc(string(value), func(r rune) bool { return r < ' ' || r > '~' }):
		return tandem.Errorf(tandem.Invalid, op, name, "the secret holds characters that no header can carry")
	}
	names, err := c.Secrets(ctx)
	if err != nil {
		return err
	}
	for _, existing := range names {
		if strings.EqualFold(existing, name) {
			if err := c.DeleteSecret(ctx, existing); err != nil && !tandem.Is(err, tandem.NotFound) {
				return err
			}
		}
	}
	path, err := c.underOrganization(ctx, "secrets")
	if err != nil {
		return err
	}
	body, err := encode(op, name, map[string]string{"name": name, "secret": string(value), "type": "PIPELINE"})
	if err != nil {
		return err
	}
	return c.drop(ctx, &call{op: op, thing: name, method: http.MethodPost, path: path, body: body, write: true, private: value, subject: aboutCollection})
}

// DeleteSecret deletes a pipeline secret.
func (c *Client) DeleteSecret(ctx context.Context, name string) error {
	const op = "golioth: delete secret"
	if err := checkID(op, name); err != nil {
		return err
	}
	path, err := c.underOrganization(ctx, "secrets", name)
	if err != nil {
		return err
	}
	return c.drop(ctx, &call{op: op, thing: name, method: http.MethodDelete, path: path, write: true})
}

// tells reports whether a remote's text shows a part of a secret that is long enough to matter.
func (s Secret) tells(text string) bool {
	const part = 6
	value := []rune(string(s))
	if len(value) <= part {
		return len(value) > 0 && strings.Contains(text, string(value))
	}
	for i := 0; i+part <= len(value); i++ {
		if strings.Contains(text, string(value[i:i+part])) {
			return true
		}
	}
	return false
}
