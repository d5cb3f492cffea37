package golioth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"tandem"
)

// entityKinds says where each kind lives. Cohorts are under the organization, have ids of another name, and
// are renamed with PUT, where the name is all there is to send (API.md §2, §11, §12).
var entityKinds = map[tandem.EntityKind]struct {
	folder       string
	organization bool
	rename       string
}{
	tandem.TagEntity:       {"tags", false, http.MethodPatch},
	tandem.BlueprintEntity: {"blueprints", false, http.MethodPatch},
	tandem.CohortEntity:    {"cohorts", true, http.MethodPut},
}

// Entities lists all tags, blueprints or cohorts of the project. One whose name no database keeps is left
// out: its id explains nothing, so that the field fails where it is used, and nothing else does (S33).
func (c *Client) Entities(ctx context.Context, kind tandem.EntityKind) ([]tandem.RemoteEntity, error) {
	path, err := c.entityPath(ctx, kind)
	if err != nil {
		return nil, err
	}
	all, err := listAll(ctx, c, "golioth: list "+entityKinds[kind].folder, path, func(raw json.RawMessage) (tandem.RemoteEntity, error) {
		return decodeEntity(kind, raw)
	})
	return slices.DeleteFunc(all, func(e tandem.RemoteEntity) bool { return strings.Contains(e.ID+e.Name, nul) }), err
}

// CreateTag creates a tag.
func (c *Client) CreateTag(ctx context.Context, name string) (tandem.RemoteEntity, error) {
	return c.CreateEntity(ctx, tandem.TagEntity, name)
}

// CreateEntity creates a tag, blueprint or cohort; Exists when the name is taken, Invalid when Golioth cannot hold it.
func (c *Client) CreateEntity(ctx context.Context, kind tandem.EntityKind, name string) (tandem.RemoteEntity, error) {
	path, err := c.entityPath(ctx, kind)
	if err != nil {
		return tandem.RemoteEntity{}, err
	}
	return c.writeEntity(ctx, &call{op: "golioth: create " + string(kind), thing: name, method: http.MethodPost, path: path, subject: aboutCollection}, kind, name)
}

// RenameEntity gives a tag, blueprint or cohort another name; its id stays.
func (c *Client) RenameEntity(ctx context.Context, kind tandem.EntityKind, id, name string) (tandem.RemoteEntity, error) {
	op := "golioth: rename " + string(kind)
	if err := checkID(op, id); err != nil {
		return tandem.RemoteEntity{}, err
	}
	path, err := c.entityPath(ctx, kind, id)
	if err != nil {
		return tandem.RemoteEntity{}, err
	}
	return c.writeEntity(ctx, &call{op: op, thing: id, method: entityKinds[kind].rename, path: path}, kind, name)
}

// DeleteEntity deletes a tag, blueprint or cohort.
func (c *Client) DeleteEntity(ctx context.Context, kind tandem.EntityKind, id string) error {
	op := "golioth: delete " + string(kind)
	if err := checkID(op, id); err != nil {
		return err
	}
	path, err := c.entityPath(ctx, kind, id)
	if err != nil {
		return err
	}
	return c.drop(ctx, &call{op: op, thing: id, method: http.MethodDelete, path: path, write: true})
}

// writeEntity sends a name and reads the entity back.
func (c *Client) writeEntity(ctx context.Context, k *call, kind tandem.EntityKind, name string) (tandem.RemoteEntity, error) {
	body, err := encode(k.op, name, map[string]string{"name": name})
	if err != nil {
		return tandem.RemoteEntity{}, err
	}
	k.write, k.body = true, body
	raw, err := c.data(ctx, k)
	if err != nil {
		return tandem.RemoteEntity{}, err
	}
	entity, err := decodeEntity(kind, raw)
	if err != nil {
		return tandem.RemoteEntity{}, c.malformed(k, nil, err)
	}
	return entity, nil
}

// entityPath gives the path of a kind, or of one of it.
func (c *Client) entityPath(ctx context.Context, kind tandem.EntityKind, id ...string) (string, error) {
	where, ok := entityKinds[kind]
	if !ok {
		return "", tandem.Errorf(tandem.Invalid, "golioth: entities", string(kind), "there is no such kind of entity")
	}
	segments := append([]string{where.folder}, id...)
	if where.organization {
		return c.underOrganization(ctx, segments...)
	}
	return c.under(segments...), nil
}

// decodeEntity reads one tag, blueprint or cohort.
func decodeEntity(kind tandem.EntityKind, raw json.RawMessage) (tandem.RemoteEntity, error) {
	var wire struct {
		ID       string `json:"id"`
		CohortID string `json:"cohortId"`
		Name     string `json:"name"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return tandem.RemoteEntity{}, err
	}
	id := wire.ID
	if kind == tandem.CohortEntity && wire.CohortID != "" {
		id = wire.CohortID
	}
	if id == "" {
		return tandem.RemoteEntity{}, fmt.Errorf("a %s has no id", kind)
	}
	return tandem.RemoteEntity{Kind: kind, ID: id, Name: wire.Name}, nil
}
