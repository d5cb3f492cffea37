// Package registry is what people and programs may do: the use cases behind every command, route and
// page, with the validation of what they bring. It decides and has the store write; who may do what
// will be decided here too, which is why every call that changes something takes an Actor.
//
// It knows neither SQL nor HTTP: the store and the engine come in through the small interfaces below.
package registry

import (
	"context"
	"errors"

	"tandem"
)

// Store is what the registry needs of the store.
type Store interface {
	tandem.Applier
	tandem.OrganizationStore
	tandem.ServiceStore
	tandem.DeviceStore
	Candidates(ctx context.Context, org, service string, probes []tandem.Probe) ([]tandem.Candidate, error)
	LinkedByExternal(ctx context.Context, org, service string, externalIDs []string) ([]tandem.Linked, error)
	LinkedCount(ctx context.Context, org, service string) (int, error)
	NotLinked(ctx context.Context, org, service string, filter tandem.NotLinkedFilter) ([]tandem.NotLinked, int, error)
}

// Engine is what the registry needs of the sync engine.
type Engine interface {
	Link(ctx context.Context, org, serviceID, deviceID, externalID, by string) (tandem.Assignment, error)
	Unlink(ctx context.Context, org, serviceID, deviceID, by string) error
	ImportRemote(ctx context.Context, org, serviceID string, externalIDs []string, by string) (tandem.Run, error)
	IgnoreRemote(ctx context.Context, org, serviceID string, externalIDs []string, ignore bool) error
	ConfirmProject(ctx context.Context, org, serviceID, by string) (detached int, err error)
}

// Registry holds the use cases. Its members are set once, before use; it is safe for concurrent use.
type Registry struct {
	Store  Store
	Engine Engine
	Clock  tandem.Clock
	NewID  tandem.IDs
}

// Actor is who does something: a person or a program.
type Actor struct {
	ID   string // of a user or token; "" at the command line, which works on the database itself
	Name string // for people, as it stands in created_by
}

// By is how the actor is recorded.
func (a Actor) By() string {
	if a.Name != "" {
		return a.Name
	}
	return a.ID
}

// tries is how often a change that finds its row moved is decided again (S22).
const tries = 3

// retryMoved does a change again when rows moved under it.
func retryMoved(do func() error) error {
	var err error
	for range tries {
		if err = do(); !tandem.Is(err, tandem.Stale) {
			return err
		}
	}
	return err
}

// problems collects everything that is wrong with one input, so that people mend it in one go.
type problems []string

func (p *problems) add(err error) {
	var e *tandem.Error
	switch {
	case err == nil:
	case errors.As(err, &e):
		*p = append(*p, e.Message)
	default:
		*p = append(*p, err.Error())
	}
}
