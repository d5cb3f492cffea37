package registry

import (
	"context"
	"time"

	"tandem"
)

// Answered is what a service's project said when it was asked.
type Answered struct {
	Service tandem.Service
	Project tandem.RemoteProject
	Took    time.Duration
}

// TestService asks a service's project once, with the key and address that are stored.
// Mismatch when another project than the one before is there (S21).
func (r *Registry) TestService(ctx context.Context, actor Actor, org, ref string) (Answered, error) {
	var a Answered
	if err := actor.may(org, UpdateServices); err != nil {
		return a, err
	}
	var err error
	if a.Service, err = r.Store.Service(ctx, org, ref); err != nil {
		return a, err
	}
	if r.Remote == nil {
		return a, notHere("test service")
	}
	began := r.Clock()
	if a.Project, err = r.Remote(ctx, a.Service); err != nil {
		return a, err
	}
	a.Took = r.Clock().Sub(began)
	is, pin := a.Project.ProjectIdentity, a.Service.Pin
	if pin != nil && (pin.ID != is.ID || pin.OrganizationID != is.OrganizationID || !pin.CreatedAt.Equal(is.CreatedAt)) {
		return a, tandem.Errorf(tandem.Mismatch, "test service", a.Service.Name, "the project at this address is another one than before: it was made %s, the old one %s",
			is.CreatedAt.UTC().Format(time.DateTime), pin.CreatedAt.UTC().Format(time.DateTime)).
			WithHint("if that is meant, confirm the project, which unlinks its devices first; they stay")
	}
	return a, nil
}
