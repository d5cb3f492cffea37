package registry

import (
	"context"
	"time"

	"tandem"
)

// ServiceKey seals an API key with a vault, for the row of the service that it is given to.
func ServiceKey(vault Vault, key string) Seal {
	return func(org, id string) ([]byte, error) {
		if key == "" {
			return nil, tandem.Errorf(tandem.Invalid, "seal key", "", "the API key is empty").WithHint("make one in the Golioth console, under the project's API keys")
		}
		return vault.Seal(Place{OrganizationID: org, Table: "device_services", Column: "credentials", Row: id}, []byte(key))
	}
}

// TryService asks a project once, with settings that are not stored: of a new service where ref is "", else of the one
// that it names. A nil key stands for the stored one, which goes to the stored address only.
func (r *Registry) TryService(ctx context.Context, actor Actor, org, ref, baseURL, project string, key Seal) (Answered, error) {
	var a Answered
	if err := actor.may(org, ManageServices); err != nil {
		return a, err
	}
	s := tandem.Service{ID: r.NewID(), OrganizationID: org, ServiceType: "golioth", Config: tandem.DefaultServiceConfig()}
	if ref != "" {
		stored, err := r.Store.Service(ctx, org, ref)
		if err != nil {
			return a, err
		}
		s = stored
	}
	if err := r.decideTry(ctx, actor, &s, baseURL, project, key); err != nil {
		return a, err
	}
	if r.Remote == nil {
		return a, notHere("test service")
	}
	a.Service = s
	s.CreatedAt = time.Time{} // as one that is not stored: it is asked once, and leaves nothing behind
	began := r.Clock()
	var err error
	if a.Project, err = r.Remote(ctx, s); err != nil {
		return a, err
	}
	a.Took = r.Clock().Sub(began)
	return a, nil
}

// decideTry gives a service the settings that are tried.
func (r *Registry) decideTry(ctx context.Context, actor Actor, s *tandem.Service, baseURL, project string, key Seal) error {
	var p problems
	p.add(checkBaseURL(baseURL))
	p.add(checkLine("project", project, 1, maxName))
	if err := p.err("test service", s.Name); err != nil {
		return err
	}
	moved := !sameBase(s.Config.BaseURL, baseURL)
	s.Config.BaseURL, s.Config.Project = baseURL, project
	if moved {
		s.Config.PrivateAddress = actor.Root
		if err := r.mayMove(ctx, actor, s, key != nil); err != nil {
			return err
		}
	}
	if key == nil {
		if len(s.Credentials) == 0 {
			return invalid("api key", "is missing")
		}
		return nil
	}
	sealed, err := key(s.OrganizationID, s.ID)
	s.Credentials = sealed
	return err
}
