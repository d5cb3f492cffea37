package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const forbiddenMessage = "failed to check permissions to access/modify this resource: user not allowed to call method"

// authenticate finds out whose key the call carries and takes the project it is about:
// 401 for no or a wrong key, 403 for a key of another project (API.md §1).
func (c *call) authenticate() error {
	owners := c.server.keyOwners(c.request.Header, c.now)
	if len(owners) == 0 {
		return refusal(http.StatusUnauthorized)
	}
	c.owners = owners
	id, about := c.vars["project"]
	if !about {
		return nil
	}
	c.project = c.server.project(id)
	if c.project == nil && c.server.unknowns.MissingProject == "404" {
		return notFound("project not found")
	}
	if c.project == nil || !owners[id] {
		return refusal(http.StatusForbidden)
	}
	if organization, ok := c.vars["organization"]; ok && organization != c.project.organization {
		return refusal(http.StatusForbidden)
	}
	return nil
}

// forbidden refuses what an API key of one project may never do.
func forbidden(*call) (reply, error) { return reply{}, refusal(http.StatusForbidden) }

// keyOwners gives the ids of the projects that the headers' key opens.
func (s *Server) keyOwners(header http.Header, now time.Time) map[string]bool {
	key := header.Get("X-Api-Key")
	if key == "" {
		scheme, token, _ := strings.Cut(header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "bearer") {
			return nil
		}
		key = strings.TrimSpace(token)
	}
	owners := map[string]bool{}
	for _, p := range s.options.Projects {
		for _, k := range p.Keys {
			if key != "" && subtle.ConstantTimeCompare([]byte(k), []byte(key)) == 1 {
				owners[p.ID] = true
			}
		}
		for id, secret := range p.JWTKeys {
			if validToken(key, id, secret, now) {
				owners[p.ID] = true
			}
		}
	}
	return owners
}

// validToken checks a token minted from a JWT_KEY: HS256, iss the key's id, not expired.
func validToken(token, id, secret string, now time.Time) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(signature, mac.Sum(nil)) {
		return false
	}
	var head struct{ Alg string }
	var claims struct {
		Iss string
		Exp float64
	}
	for i, into := range []any{&head, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			return false
		}
	}
	return head.Alg == "HS256" && claims.Iss == id && claims.Exp > float64(now.Unix())
}
