package api

import (
	"context"
	"regexp"

	"github.com/danielgtaylor/huma/v2"
)

// route describes an operation. Its id begins with the resource; that of a listing ends with -list.
func route(id, method, path, tag, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary}
}

// describing adds what a person should know about an operation.
func describing(op huma.Operation, text string) huma.Operation {
	op.Description = text
	return op
}

// created makes 201 an operation's status.
func created(op huma.Operation) huma.Operation {
	op.DefaultStatus = 201
	return op
}

// open lets anybody call an operation.
func open(op huma.Operation) huma.Operation {
	op.Tags = append(op.Tags, publicTag)
	return op
}

// body is a reply of a body alone.
type body[T any] struct{ Body T }

// with makes a reply of a body.
func with[T any](value T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{value}, nil
}

// tagged is a reply with the version that an edit has to name.
type tagged[T any] struct {
	ETag string `header:"ETag" doc:"The version, for If-Match."`
	Body T
}

// none is the input of an operation that takes nothing.
type none struct{}

// done is the reply of an operation with nothing to say.
type done struct{}

// deleted says what is gone.
type deleted struct {
	Deleted string `json:"deleted" doc:"Its id."`
}

// InOrg is the input of an operation about an organization.
type InOrg struct{ OrganizationParam }

// ByID is the input of an operation about one thing.
type ByID struct {
	OrganizationParam
	ID string `path:"id" maxLength:"300" doc:"Its id."`
}

// OnceByID is the same, for one that is done at most once.
type OnceByID struct {
	ByID
	Once
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// serviceID gives the id of a service that is named by id or name; "" stays "".
func (a *API) serviceID(ctx context.Context, c caller, ref string) (string, error) {
	if ref == "" || uuid.MatchString(ref) {
		return ref, nil
	}
	s, err := a.options.Registry.Service(ctx, c.actor, c.org, ref)
	return s.ID, err
}
