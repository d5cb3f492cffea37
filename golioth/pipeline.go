package golioth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tandem"
)

// Pipeline is one of a project's pipelines: what becomes of the messages that its devices send (API.md §12, §13).
type Pipeline struct {
	ID        string
	Name      string
	Enabled   bool
	YAML      string // "" in a listing, which leaves it out
	CreatedAt time.Time
	UpdatedAt time.Time
}

// PipelineError is one message that failed in one step of a pipeline.
type PipelineError struct {
	At      time.Time
	Type    string
	Source  string
	Step    int
	Message string
}

// Pipelines lists the project's pipelines, without their YAML.
func (c *Client) Pipelines(ctx context.Context) ([]Pipeline, error) {
	path, err := c.underOrganization(ctx, "pipelines")
	if err != nil {
		return nil, err
	}
	k := &call{op: "golioth: list pipelines", method: http.MethodGet, path: path, subject: aboutCollection}
	var wire struct {
		List *[]wirePipeline `json:"list"` // not paged
	}
	if _, err := c.do(ctx, k, &wire); err != nil {
		return nil, err
	}
	if wire.List == nil {
		return nil, c.malformed(k, nil, fmt.Errorf("it has no list"))
	}
	all := make([]Pipeline, 0, len(*wire.List))
	for _, w := range *wire.List {
		p, err := w.pipeline()
		if err != nil {
			return nil, c.malformed(k, nil, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// Pipeline reads one pipeline, with its YAML.
func (c *Client) Pipeline(ctx context.Context, id string) (Pipeline, error) {
	const op = "golioth: read pipeline"
	return c.onePipeline(ctx, &call{op: op, thing: id, method: http.MethodGet}, id)
}

// PipelineByName reads the pipeline of a name, with its YAML. NotFound when there is none, Invalid when there
// are several: whether Golioth lets that be is not known.
func (c *Client) PipelineByName(ctx context.Context, name string) (Pipeline, error) {
	id, err := c.pipelineNamed(ctx, "golioth: find pipeline", name)
	if err != nil {
		return Pipeline{}, err
	}
	return c.Pipeline(ctx, id)
}

// PutPipeline creates the pipeline of a name, or replaces the one that has it. Invalid when several have it, or
// when Golioth refuses the YAML.
func (c *Client) PutPipeline(ctx context.Context, name, yaml string, enabled bool) (Pipeline, error) {
	const op = "golioth: write pipeline"
	if name == "" || yaml == "" {
		return Pipeline{}, tandem.Errorf(tandem.Invalid, op, name, "a pipeline needs a name and its YAML")
	}
	id, err := c.pipelineNamed(ctx, op, name)
	switch {
	case tandem.Is(err, tandem.NotFound):
		return c.writePipeline(ctx, &call{op: op, thing: name, method: http.MethodPost, subject: aboutCollection}, Pipeline{Name: name, Enabled: enabled, YAML: yaml})
	case err != nil:
		return Pipeline{}, err
	}
	return c.writePipeline(ctx, &call{op: op, thing: name, method: http.MethodPut}, Pipeline{ID: id, Name: name, Enabled: enabled, YAML: yaml})
}

// EnablePipeline turns a pipeline on or off. It is read first, since Golioth takes nothing but whole pipelines.
func (c *Client) EnablePipeline(ctx context.Context, id string, enabled bool) (Pipeline, error) {
	p, err := c.Pipeline(ctx, id)
	if err != nil || p.Enabled == enabled {
		return p, err
	}
	p.Enabled = enabled
	return c.writePipeline(ctx, &call{op: "golioth: enable pipeline", thing: id, method: http.MethodPut}, p)
}

// DeletePipeline deletes a pipeline. Messages that only it took are dropped from then on.
func (c *Client) DeletePipeline(ctx context.Context, id string) error {
	const op = "golioth: delete pipeline"
	if err := checkID(op, id); err != nil {
		return err
	}
	path, err := c.underOrganization(ctx, "pipelines", id)
	if err != nil {
		return err
	}
	return c.drop(ctx, &call{op: op, thing: id, method: http.MethodDelete, path: path, write: true})
}

// PipelineErrors lists what went wrong in a pipeline since an instant, newest first, at most limit; 0 means 100.
func (c *Client) PipelineErrors(ctx context.Context, id string, since time.Time, limit int) ([]PipelineError, error) {
	const op = "golioth: read pipeline errors"
	if err := checkID(op, id); err != nil {
		return nil, err
	}
	path, err := c.underOrganization(ctx, "pipelines", id, "errors")
	if err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = 100
	}
	query := map[string][]string{"limit": {fmt.Sprint(limit)}}
	if !since.IsZero() {
		query["start"] = []string{since.UTC().Format(time.RFC3339Nano)}
	}
	k := &call{op: op, thing: id, method: http.MethodGet, path: path, query: query}
	var wire struct {
		Errors []struct {
			Timestamp time.Time `json:"timestamp"`
			Type      string    `json:"type"`
			Source    string    `json:"source"`
			Step      count     `json:"step"`
			Error     string    `json:"error"`
		} `json:"errors"`
	}
	if _, err := c.do(ctx, k, &wire); err != nil {
		return nil, err
	}
	all := make([]PipelineError, 0, len(wire.Errors))
	for _, e := range wire.Errors {
		all = append(all, PipelineError{At: e.Timestamp, Type: e.Type, Source: e.Source, Step: int(e.Step), Message: c.clean(e.Error)})
	}
	slices.SortStableFunc(all, func(a, b PipelineError) int { return b.At.Compare(a.At) })
	return all, nil
}

// pipelineNamed finds the one pipeline that has a name.
func (c *Client) pipelineNamed(ctx context.Context, op, name string) (id string, err error) {
	all, err := c.Pipelines(ctx)
	if err != nil {
		return "", err
	}
	for _, p := range all {
		switch {
		case p.Name != name:
		case id != "":
			return "", tandem.Errorf(tandem.Invalid, op, name, "several pipelines have this name").
				WithHint("rename or delete all but one in the Golioth console")
		default:
			id = p.ID
		}
	}
	if id == "" {
		return "", tandem.Errorf(tandem.NotFound, op, name, "there is no pipeline of this name")
	}
	return id, nil
}

// writePipeline sends a whole pipeline: what a PUT that leaves fields out does is not known.
func (c *Client) writePipeline(ctx context.Context, k *call, p Pipeline) (_ Pipeline, err error) {
	k.write = true
	k.body, err = encode(k.op, k.thing, map[string]any{"name": p.Name, "enabled": p.Enabled,
		"pipeline": base64.StdEncoding.EncodeToString([]byte(p.YAML))})
	if err != nil {
		return Pipeline{}, err
	}
	return c.onePipeline(ctx, k, p.ID)
}

// onePipeline sends a call about one pipeline, or about a new one when id is "", and reads it from the reply.
func (c *Client) onePipeline(ctx context.Context, k *call, id string) (_ Pipeline, err error) {
	segments := []string{"pipelines"}
	if k.method != http.MethodPost {
		if err := checkID(k.op, id); err != nil {
			return Pipeline{}, err
		}
		segments = append(segments, id)
	}
	if k.path, err = c.underOrganization(ctx, segments...); err != nil {
		return Pipeline{}, err
	}
	raw, err := c.data(ctx, k)
	if err != nil {
		return Pipeline{}, err
	}
	var w wirePipeline
	if err := json.Unmarshal(raw, &w); err != nil {
		return Pipeline{}, c.malformed(k, nil, err)
	}
	p, err := w.pipeline()
	if err != nil {
		return Pipeline{}, c.malformed(k, nil, err)
	}
	return p, nil
}

// wirePipeline is a pipeline as it travels.
type wirePipeline struct {
	ID        string    `json:"pipelineId"`
	Name      string    `json:"name"`
	Enabled   bool      `json:"enabled"`
	Pipeline  string    `json:"pipeline"` // base64, of either alphabet
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func (w wirePipeline) pipeline() (Pipeline, error) {
	if w.ID == "" {
		return Pipeline{}, fmt.Errorf("a pipeline has no id")
	}
	encoded := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(w.Pipeline, "="))
	yaml, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return Pipeline{}, fmt.Errorf("a pipeline's YAML is not base64")
	}
	return Pipeline{ID: w.ID, Name: w.Name, Enabled: w.Enabled, YAML: string(yaml), CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt}, nil
}
