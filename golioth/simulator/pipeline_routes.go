package simulator

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// pipeline is one pipeline of a project.
type pipeline struct {
	id         string
	name       string
	enabled    bool
	text       []byte      // YAML as it was given
	definition *definition // nil when the text could not be read, which only loose checking lets in
	created    time.Time
	updated    time.Time
}

// metadata is a pipeline in a list, where its YAML is left out.
func (x *pipeline) metadata() map[string]any {
	return map[string]any{"pipelineId": x.id, "name": x.name, "enabled": x.enabled, "createdAt": stamp(x.created), "updatedAt": stamp(x.updated)}
}

func (x *pipeline) reply() (reply, error) {
	data := x.metadata()
	data["pipeline"] = base64.StdEncoding.EncodeToString(x.text)
	return dataReply(data)
}

func listPipelines(c *call) (reply, error) {
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	list := []map[string]any{}
	for _, x := range c.project.pipelines {
		list = append(list, x.metadata())
	}
	return jsonReply(map[string]any{"list": list})
}

func createPipeline(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	made := pipeline{}
	if err := f.pipeline(&made); err != nil {
		return reply{}, err
	}
	p := c.project
	p.lock(c.now)
	defer p.mu.Unlock()
	if err := p.checkPipeline(nil, &made); err != nil {
		return reply{}, err
	}
	made.id, made.created = p.pipelineID(), p.server.clock().Truncate(time.Millisecond)
	made.updated = made.created
	p.pipelines = append(p.pipelines, &made)
	return made.reply()
}

// pipeline reads a body into x; absent fields leave it as it is.
func (f fields) pipeline(x *pipeline) error {
	if err := f.read("name", "string", &x.name); err != nil {
		return err
	}
	if err := f.read("enabled", "bool", &x.enabled); err != nil {
		return err
	}
	encoded, err := f.text("pipeline")
	if err != nil || encoded == "" {
		return err
	}
	// The alphabet may be either, and the padding left out (API.md §1).
	encoded = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(encoded, "="))
	if x.text, err = base64.RawStdEncoding.DecodeString(encoded); err != nil {
		return invalid("proto: (line 1:1): invalid value for bytes field pipeline")
	}
	return nil
}

// checkPipeline refuses a pipeline that breaks a rule, and reads its YAML. self is nil for a new one.
func (p *project) checkPipeline(self, x *pipeline) (err error) {
	switch {
	case x.name == "":
		return invalid("pipeline name is required")
	case len(x.text) == 0:
		return invalid("pipeline is required")
	}
	if p.server.unknowns.PipelineName == "unique" {
		for _, other := range p.pipelines {
			if other != self && other.name == x.name {
				return p.taken("pipeline name already being used")
			}
		}
	}
	strict := p.server.unknowns.PipelineCheck == "strict"
	x.definition, err = parsePipeline(x.text, strict)
	if err != nil && strict {
		return invalid("invalid pipeline: %v", err)
	}
	if x.definition != nil && p.server.unknowns.PipelineSecret == "early" {
		for _, name := range x.definition.references() {
			if p.secretAt(name) < 0 {
				return invalid("invalid pipeline: secret %s not found", name)
			}
		}
	}
	return nil
}

// pipelineID makes an id; its form is unknown. The ids of a seed are its own, so that they do not change its fleet.
func (p *project) pipelineID() string {
	p.piped++
	random := rand.New(rand.NewPCG(p.seed, 17<<32|uint64(p.piped)))
	a, b := random.Uint64(), random.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0xfff, b&0xffffffffffff)
}

func (c *call) withPipeline(do func(*project, int) (reply, error)) (reply, error) {
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	at := slices.IndexFunc(c.project.pipelines, func(x *pipeline) bool { return x.id == c.vars["pipeline"] })
	if at < 0 {
		return reply{}, notFound("pipeline not found")
	}
	return do(c.project, at)
}

func getPipeline(c *call) (reply, error) {
	return c.withPipeline(func(p *project, at int) (reply, error) { return p.pipelines[at].reply() })
}

// updatePipeline replaces; what the body leaves out is kept or cleared, as the switch says.
func updatePipeline(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	return c.withPipeline(func(p *project, at int) (reply, error) {
		old := p.pipelines[at]
		next := *old
		if p.server.unknowns.PipelinePut == "clear" {
			next.name, next.enabled, next.text = "", false, nil
		}
		if err := f.pipeline(&next); err != nil {
			return reply{}, err
		}
		if err := p.checkPipeline(old, &next); err != nil {
			return reply{}, err
		}
		next.updated = p.server.clock().Truncate(time.Millisecond)
		p.pipelines[at] = &next
		return next.reply()
	})
}

func deletePipeline(c *call) (reply, error) {
	return c.withPipeline(func(p *project, at int) (reply, error) {
		p.pipelines = slices.Delete(slices.Clone(p.pipelines), at, at+1)
		return emptyReply, nil
	})
}

// The pipelines that a new project comes with (API.md §12).
var firstPipelines = []struct{ name, text string }{
	{"Default", `filter:
  content_type: application/cbor
steps:
  - name: convert
    transformer:
      type: cbor-to-json
      version: v1
  - name: store
    transformer:
      type: inject-path
      version: v1
    destination:
      type: lightdb-stream
      version: v1
`},
	{"Default logs", `filter:
  path: /logs
  content_type: application/cbor
steps:
  - name: store
    transformer:
      type: cbor-to-json
      version: v1
    destination:
      type: logs
      version: v1
`},
}

// pipe makes the pipelines that a new project comes with.
func (p *project) pipe() {
	for _, first := range firstPipelines {
		d, err := parsePipeline([]byte(first.text), true)
		if err != nil {
			panic(err) // they are ours
		}
		p.pipelines = append(p.pipelines, &pipeline{id: p.pipelineID(), name: first.name, enabled: true, text: []byte(first.text),
			definition: d, created: p.created, updated: p.created})
	}
}
