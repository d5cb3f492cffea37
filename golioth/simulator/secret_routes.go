package simulator

import (
	"net/http"
	"slices"
	"strings"
)

// secret is a value that pipelines refer to as $NAME. Nothing reads it back (API.md §12).
type secret struct {
	name  string
	value string
}

const secretType = "PIPELINE"

func (s *secret) json() map[string]any { return map[string]any{"name": s.name, "type": secretType} }

// secretName reports whether a name may be given: letters, digits and _, not beginning with a digit.
func secretName(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// secretAt finds a secret by its name, in which case does not count; -1 when there is none.
func (p *project) secretAt(name string) int {
	return slices.IndexFunc(p.secrets, func(s *secret) bool { return strings.EqualFold(s.name, name) })
}

// checkSecretType refuses a type in the query or body that there is not.
func checkSecretType(kind string) error {
	if kind != "" && kind != secretType {
		return invalid("proto: (line 1:1): invalid value for enum field type: %q", kind)
	}
	return nil
}

func listSecrets(c *call) (reply, error) {
	if err := checkSecretType(c.param("type")); err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	list := []map[string]any{}
	for _, s := range c.project.secrets {
		list = append(list, s.json())
	}
	return jsonReply(map[string]any{"list": list})
}

func createSecret(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	var name, value, kind string
	for key, into := range map[string]*string{"name": &name, "secret": &value, "type": &kind} {
		if *into, err = f.text(key); err != nil {
			return reply{}, invalid("proto: (line 1:1): invalid value for string field %s", key) // without quoting it
		}
	}
	if err := checkSecretType(kind); err != nil {
		return reply{}, err
	}
	switch {
	case !secretName(name):
		return reply{}, invalid("secret name can use only letters, digits and underscores, and cannot begin with a digit")
	case value == "":
		return reply{}, invalid("secret value is required")
	}
	p := c.project
	p.lock(c.now)
	defer p.mu.Unlock()
	if p.secretAt(name) >= 0 {
		return reply{}, p.taken("secret name already being used")
	}
	made := &secret{name, value}
	p.secrets = append(p.secrets, made)
	return dataReply(made.json())
}

// taken is the refusal of a name that is in use, as the switch says.
func (p *project) taken(message string) error {
	if p.server.unknowns.Duplicate == "400" {
		return invalid("%s", message)
	}
	return fail(http.StatusConflict, codeExists, "%s", message)
}

func getSecret(c *call) (reply, error) {
	return c.withSecret(func(p *project, at int) (reply, error) { return dataReply(p.secrets[at].json()) })
}

func deleteSecret(c *call) (reply, error) {
	return c.withSecret(func(p *project, at int) (reply, error) {
		p.secrets = slices.Delete(p.secrets, at, at+1)
		return emptyReply, nil
	})
}

func (c *call) withSecret(do func(*project, int) (reply, error)) (reply, error) {
	if err := checkSecretType(c.param("type")); err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	at := c.project.secretAt(c.vars["secret"])
	if at < 0 {
		return reply{}, notFound("secret not found")
	}
	return do(c.project, at)
}
