package simulator

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"tandem"
)

// entity is a tag, a blueprint or a cohort.
type entity struct {
	id       string
	name     string
	board    *string // blueprints
	platform *string
	created  time.Time
	updated  time.Time

	deployments []*deployment // cohorts, oldest first
}

// entities are all of one kind, ascending by id.
type entities struct {
	kind   tandem.EntityKind
	list   []*entity
	byID   map[string]*entity
	byName map[string]*entity
}

func newEntities(kind tandem.EntityKind) *entities {
	return &entities{kind: kind, byID: map[string]*entity{}, byName: map[string]*entity{}}
}

func (s *entities) insert(e *entity) {
	at, _ := slices.BinarySearchFunc(s.list, e.id, func(x *entity, id string) int { return strings.Compare(x.id, id) })
	s.list = slices.Insert(s.list, at, e)
	s.byID[e.id], s.byName[e.name] = e, e
}

func (s *entities) remove(e *entity) {
	s.list = slices.DeleteFunc(s.list, func(x *entity) bool { return x == e })
	delete(s.byID, e.id)
	delete(s.byName, e.name)
}

// kind gives the entities of a kind.
func (p *project) kind(kind tandem.EntityKind) *entities {
	switch kind {
	case tandem.TagEntity:
		return p.tags
	case tandem.BlueprintEntity:
		return p.blueprints
	}
	return p.cohorts
}

// checkEntityName refuses a name that is empty, taken or has a character that is not allowed.
func (p *project) checkEntityName(s *entities, self *entity, name string) error {
	allowed := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' && s.kind == tandem.CohortEntity
	}
	if name == "" {
		return invalid("%s name is required", s.kind)
	}
	if p.server.unknowns.TagCharset == "strict" {
		for _, r := range name {
			if !allowed(r) {
				return invalid("%s name can use only use characters a-z, 0-9 and -", s.kind)
			}
		}
	}
	if other := s.byName[name]; other != nil && other != self {
		message := string(s.kind) + " name already being used"
		if p.server.unknowns.Duplicate == "400" {
			return invalid("%s", message)
		}
		return fail(http.StatusConflict, codeExists, "%s", message)
	}
	return nil
}

// createEntity makes one now; a cohort's id is the slug of its name, the others' an ObjectID.
func (p *project) createEntity(kind tandem.EntityKind, name string) (*entity, error) {
	s := p.kind(kind)
	if err := p.checkEntityName(s, nil, name); err != nil {
		return nil, err
	}
	now := p.server.clock().Truncate(time.Millisecond)
	e := &entity{name: name, created: now, updated: now}
	if kind == tandem.CohortEntity {
		for e.id = slug(name); s.byID[e.id] != nil; e.id += "-2" { // a renamed cohort keeps its id
		}
	} else {
		e.id = p.newID().String()
	}
	s.insert(e)
	return e, nil
}

// renameEntity changes the name; the id stays.
func (p *project) renameEntity(s *entities, e *entity, name string) error {
	if err := p.checkEntityName(s, e, name); err != nil {
		return err
	}
	delete(s.byName, e.name)
	e.name, e.updated = name, p.server.clock().Truncate(time.Millisecond)
	s.byName[name] = e
	return nil
}

// deleteEntity deletes, as the switch says about devices that still have it. No updatedAt moves.
func (p *project) deleteEntity(s *entities, e *entity) error {
	var users []*device
	for _, d := range p.order {
		if d.blueprint == e.id || d.cohort == e.id || slices.Contains(d.tags, e.id) {
			users = append(users, d)
		}
	}
	switch {
	case len(users) == 0 || p.server.unknowns.InUse == "leave":
	case p.server.unknowns.InUse == "refuse":
		if p.server.unknowns.InUseCode == "409" {
			return fail(http.StatusConflict, codePrecondition, "%s in use", s.kind)
		}
		return fail(http.StatusBadRequest, codePrecondition, "%s in use", s.kind)
	default:
		for _, d := range users {
			p.unindex(d)
			if d.blueprint == e.id {
				d.blueprint = ""
			}
			if d.cohort == e.id {
				d.cohort = ""
			}
			d.tags = slices.DeleteFunc(slices.Clone(d.tags), func(id string) bool { return id == e.id })
			p.index(d)
			p.touch(d)
		}
		p.generation++
	}
	s.remove(e)
	return nil
}

// json gives an entity as its kind is written.
func (p *project) entityJSON(s *entities, e *entity) map[string]any {
	m := map[string]any{"name": e.name, "createdAt": stamp(e.created), "updatedAt": stamp(e.updated)}
	switch s.kind {
	case tandem.CohortEntity:
		m["cohortId"], m["deviceCount"] = e.id, p.inCohort[e.id]
		if n := len(e.deployments); n > 0 {
			m["activeDeploymentId"] = e.deployments[n-1].DeploymentID
		}
		return m
	case tandem.BlueprintEntity:
		if e.board != nil {
			m["boardId"] = *e.board
		}
		if e.platform != nil {
			m["platform"] = *e.platform
		}
	}
	m["id"] = e.id
	return m
}

// lookupEntity finds by id. Ids of tags and blueprints must look like ids.
func (c *call) lookupEntity(s *entities) (*entity, error) {
	id := c.vars[string(s.kind)]
	if s.kind != tandem.CohortEntity {
		if _, err := c.parseID(id); err != nil {
			return nil, err
		}
	}
	e := s.byID[id]
	if e == nil {
		return nil, notFound("%s not found", s.kind)
	}
	return e, nil
}

func (c *call) listEntities(kind tandem.EntityKind, fits func(*entity) bool) (reply, error) {
	number, size, err := c.paging()
	if err != nil {
		return reply{}, err
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	s := c.project.kind(kind)
	ids, name := c.params("ids"), c.param(string(kind)+"Name")
	all := []*entity{}
	for _, e := range s.list {
		if (name == "" || kind == tandem.CohortEntity || e.name == name) && (len(ids) == 0 || slices.Contains(ids, e.id)) && (fits == nil || fits(e)) {
			all = append(all, e)
		}
	}
	start := min(number*size, len(all))
	list := []map[string]any{}
	for _, e := range all[start:min(start+size, len(all))] {
		list = append(list, c.project.entityJSON(s, e))
	}
	return jsonReply(page{list, number, size, len(all)})
}

func (c *call) withEntity(kind tandem.EntityKind, do func(*entities, *entity) error) (reply, error) {
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	s := c.project.kind(kind)
	e, err := c.lookupEntity(s)
	if err != nil {
		return reply{}, err
	}
	if do != nil {
		if err := do(s, e); err != nil {
			return reply{}, err
		}
	}
	return dataReply(c.project.entityJSON(s, e))
}

func (c *call) createEntity(kind tandem.EntityKind, fill func(*entity, fields) error) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	name, err := f.text("name")
	if err != nil {
		return reply{}, err
	}
	var extra entity
	if fill != nil {
		if err := fill(&extra, f); err != nil {
			return reply{}, err
		}
	}
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	e, err := c.project.createEntity(kind, name)
	if err != nil {
		return reply{}, err
	}
	e.board, e.platform = extra.board, extra.platform
	return dataReply(c.project.entityJSON(c.project.kind(kind), e))
}

// updateEntity renames, and for blueprints sets what fill reads. A PATCH without a name keeps it.
func (c *call) updateEntity(kind tandem.EntityKind, fill func(*entity, fields) error) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	name, err := f.text("name")
	if err != nil {
		return reply{}, err
	}
	return c.withEntity(kind, func(s *entities, e *entity) error {
		if !f.has("name") && c.request.Method == http.MethodPatch {
			name = e.name
		}
		if fill != nil {
			if err := fill(e, f); err != nil {
				return err
			}
		}
		return c.project.renameEntity(s, e, name)
	})
}

func (c *call) deleteEntity(kind tandem.EntityKind) (reply, error) {
	if _, err := c.withEntity(kind, c.project.deleteEntity); err != nil {
		return reply{}, err
	}
	return emptyReply, nil
}

// fillBlueprint reads the optional fields of a blueprint; null and "" clear.
func fillBlueprint(e *entity, f fields) error {
	for key, into := range map[string]**string{"boardId": &e.board, "platform": &e.platform} {
		text, err := f.text(key)
		if err != nil {
			return err
		}
		switch {
		case text != "":
			*into = &text
		case f.has(key):
			*into = nil
		}
	}
	return nil
}

func listTags(c *call) (reply, error)     { return c.listEntities(tandem.TagEntity, nil) }
func createTag(c *call) (reply, error)    { return c.createEntity(tandem.TagEntity, nil) }
func getTag(c *call) (reply, error)       { return c.withEntity(tandem.TagEntity, nil) }
func updateTag(c *call) (reply, error)    { return c.updateEntity(tandem.TagEntity, nil) }
func deleteTag(c *call) (reply, error)    { return c.deleteEntity(tandem.TagEntity) }
func getCohort(c *call) (reply, error)    { return c.withEntity(tandem.CohortEntity, nil) }
func listCohorts(c *call) (reply, error)  { return c.listEntities(tandem.CohortEntity, nil) }
func createCohort(c *call) (reply, error) { return c.createEntity(tandem.CohortEntity, nil) }
func updateCohort(c *call) (reply, error) { return c.updateEntity(tandem.CohortEntity, nil) }
func deleteCohort(c *call) (reply, error) { return c.deleteEntity(tandem.CohortEntity) }
func getBlueprint(c *call) (reply, error) { return c.withEntity(tandem.BlueprintEntity, nil) }
func createBlueprint(c *call) (reply, error) {
	return c.createEntity(tandem.BlueprintEntity, fillBlueprint)
}
func updateBlueprint(c *call) (reply, error) {
	return c.updateEntity(tandem.BlueprintEntity, fillBlueprint)
}
func deleteBlueprint(c *call) (reply, error) { return c.deleteEntity(tandem.BlueprintEntity) }

func listBlueprints(c *call) (reply, error) {
	board, platform := c.param("boardId"), c.param("platform")
	is := func(have *string, want string) bool { return want == "" || have != nil && *have == want }
	return c.listEntities(tandem.BlueprintEntity, func(e *entity) bool { return is(e.board, board) && is(e.platform, platform) })
}
