package golioth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"tandem"
)

// Project reads the project's identity (S21) and the service's clock. It asks every time; only the
// organization's id is kept, for the paths under it.
func (c *Client) Project(ctx context.Context) (tandem.RemoteProject, error) {
	k := &call{op: "golioth: read project", thing: c.project, method: http.MethodGet, path: c.under()}
	var wire struct {
		Data *struct {
			ID             string    `json:"id"`
			Name           string    `json:"name"`
			OrganizationID string    `json:"organizationId"`
			CreatedAt      time.Time `json:"createdAt"`
		} `json:"data"`
	}
	now, err := c.do(ctx, k, &wire)
	switch {
	case tandem.Is(err, tandem.NotFound):
		return tandem.RemoteProject{}, tandem.Errorf(tandem.NotFound, k.op, c.project, "there is no such project at %s: %w", c.host, err).
			WithHint("check the project id and the base URL %s", c.base)
	case err != nil:
		return tandem.RemoteProject{}, err
	case wire.Data == nil || wire.Data.ID == "":
		return tandem.RemoteProject{}, c.malformed(k, nil, fmt.Errorf("it has no project"))
	}
	d := wire.Data
	if d.OrganizationID != "" {
		c.organization.Store(&d.OrganizationID)
	}
	return tandem.RemoteProject{Name: d.Name, Now: now,
		ProjectIdentity: tandem.ProjectIdentity{ID: d.ID, OrganizationID: d.OrganizationID, CreatedAt: d.CreatedAt}}, nil
}

// underOrganization gives an escaped path under the project's organization, asking for its id once.
func (c *Client) underOrganization(ctx context.Context, segments ...string) (string, error) {
	id := c.organization.Load()
	if id == nil {
		if _, err := c.Project(ctx); err != nil {
			return "", err
		}
		if id = c.organization.Load(); id == nil {
			return "", tandem.Errorf(tandem.Malformed, "golioth: read project", c.project, "the project does not name its organization")
		}
	}
	return "/v1/organizations/" + url.PathEscape(*id) + "/projects/" + url.PathEscape(c.project) + join(segments), nil
}
