package simulator

import "time"

func (p *project) json() map[string]any {
	return map[string]any{"id": p.id, "name": p.name, "createdAt": stamp(p.created), "updatedAt": stamp(p.updated),
		"organizationId": p.organization, "roles": []string{}}
}

// listProjects lists what the key opens, without paging.
func listProjects(c *call) (reply, error) {
	list := []map[string]any{}
	organization := c.param("organizationId")
	for _, options := range c.server.options.Projects {
		if !c.owners[options.ID] {
			continue
		}
		p := c.server.project(options.ID)
		p.lock(c.now)
		if organization == "" || organization == p.organization {
			list = append(list, p.json())
		}
		p.mu.Unlock()
	}
	return jsonReply(map[string]any{"list": list})
}

func getProject(c *call) (reply, error) {
	c.project.lock(c.now)
	defer c.project.mu.Unlock()
	return dataReply(c.project.json())
}

// updateProject renames; the id stays.
func updateProject(c *call) (reply, error) {
	f, err := c.fields()
	if err != nil {
		return reply{}, err
	}
	name, err := f.text("name")
	if err != nil {
		return reply{}, err
	}
	if name == "" {
		return reply{}, invalid("project name is required")
	}
	p := c.project
	p.lock(c.now)
	defer p.mu.Unlock()
	p.name, p.updated = name, c.server.clock().Truncate(time.Millisecond)
	return dataReply(p.json())
}
