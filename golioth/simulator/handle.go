package simulator

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"tandem"
)

// The methods below do what a console user, a device or a mishap would do, without a call of
// the API and so without being counted. Their errors are *tandem.Error.

// Requests gives what was counted so far.
func (s *Server) Requests() Requests { return s.requests.snapshot() }

// ResetRequests begins counting anew.
func (s *Server) ResetRequests() { s.requests.reset() }

// Faults lists the faults that are set.
func (s *Server) Faults() []Fault { return s.chaos.list() }

// SetFaults replaces the faults; without any, everything goes well. Their counts and dice begin anew.
func (s *Server) SetFaults(faults ...Fault) { s.chaos.set(faults, s.options.Seed, s.clock()) }

// AddFault sets one more fault and leaves the others as they are.
func (s *Server) AddFault(f Fault) { s.chaos.add(f, s.options.Seed, s.clock()) }

// SetRequestsPerMinute changes the limit; 0 removes it. What was sent is forgotten.
func (s *Server) SetRequestsPerMinute(limit int) {
	s.limit.mu.Lock()
	defer s.limit.mu.Unlock()
	s.limit.limit, s.limit.times, s.limit.next = limit, nil, 0
}

// SetLatency changes the latency of every call from now on.
func (s *Server) SetLatency(l Latency) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.Latency = l
}

// ProjectIDs lists the projects served.
func (s *Server) ProjectIDs() []string {
	ids := make([]string, 0, len(s.options.Projects))
	for _, p := range s.options.Projects {
		ids = append(ids, p.ID)
	}
	return ids
}

// open takes a project, lived up to now. The caller unlocks it.
func (s *Server) open(id string) (*project, error) {
	p := s.project(id)
	if p == nil {
		return nil, tandem.Errorf(tandem.NotFound, "simulator", id, "there is no such project")
	}
	p.lock(s.clock())
	return p, nil
}

// within runs do on an open project and gives its failure as a *tandem.Error.
func (s *Server) within(projectID, thing string, do func(*project) error) error {
	p, err := s.open(projectID)
	if err != nil {
		return err
	}
	defer p.mu.Unlock()
	err = do(p)
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	codes := map[int]tandem.Code{codeNotFound: tandem.NotFound, codeExists: tandem.Exists}
	code, ok := codes[f.code]
	if !ok {
		code = tandem.Invalid
	}
	return tandem.Errorf(code, "simulator", thing, "%s", f.message)
}

func (s *Server) withDevice(projectID, id string, do func(*project, *device) error) error {
	return s.within(projectID, id, func(p *project) error {
		d := p.find(id)
		if d == nil {
			return notFound("device not found")
		}
		return do(p, d)
	})
}

// find gives a device by its id's text, nil when there is none.
func (p *project) find(id string) *device {
	c := call{server: p.server}
	parsed, err := c.parseID(id)
	if err != nil {
		return nil
	}
	return p.byID[parsed]
}

// Devices lists a project's devices as they are, ascending by id, each with its state document.
func (s *Server) Devices(projectID string) ([]tandem.RemoteDevice, error) {
	var list []tandem.RemoteDevice
	err := s.within(projectID, projectID, func(p *project) error {
		list = make([]tandem.RemoteDevice, 0, len(p.order))
		for _, d := range p.order {
			shown, err := p.snapshot(d)
			if err != nil {
				return err
			}
			list = append(list, shown)
		}
		return nil
	})
	return list, err
}

// DeviceCount gives how many devices a project has.
func (s *Server) DeviceCount(projectID string) (n int, err error) {
	err = s.within(projectID, projectID, func(p *project) error { n = len(p.order); return nil })
	return n, err
}

// Device gives one device as it is, with its state document. NotFound when there is none.
func (s *Server) Device(projectID, id string) (shown tandem.RemoteDevice, err error) {
	err = s.withDevice(projectID, id, func(p *project, d *device) (err error) { shown, err = p.snapshot(d); return err })
	return shown, err
}

// DeviceByName gives the device of a name. NotFound when there is none.
func (s *Server) DeviceByName(projectID, name string) (shown tandem.RemoteDevice, err error) {
	err = s.within(projectID, name, func(p *project) (err error) {
		d := p.byName[name]
		if d == nil {
			return notFound("device not found")
		}
		shown, err = p.snapshot(d)
		return err
	})
	return shown, err
}

// snapshot gives a device as the domain shows it.
func (p *project) snapshot(d *device) (tandem.RemoteDevice, error) {
	instant := func(nanos int64) *time.Time {
		if nanos == 0 {
			return nil
		}
		t := time.Unix(0, nanos).UTC()
		return &t
	}
	shown := tandem.RemoteDevice{ID: d.id.String(), Name: d.name, HardwareIDs: append([]string{}, d.hardware...), TagIDs: append([]string{}, d.tags...),
		BlueprintID: d.blueprint, CohortID: d.cohort, Enabled: d.enabled, CreatedAt: *instant(d.created), UpdatedAt: *instant(d.updated),
		LastReport: instant(d.lastReport), LastSeenOnline: instant(d.online)}
	for _, u := range d.updates {
		if shown.Firmware == nil {
			shown.Firmware = map[string]tandem.Firmware{}
		}
		shown.Firmware[u.pack] = tandem.Firmware{Version: u.version, Target: u.target, State: stateNames[u.state], StateCode: strconv.Itoa(u.state),
			Reason: reasonNames[u.reason], ReasonCode: strconv.Itoa(u.reason), Time: stamp(time.Unix(0, u.at))}
	}
	if doc := p.state(d); doc != nil {
		state, err := encode(doc)
		if err != nil {
			return shown, err
		}
		shown.State = state
	}
	return shown, nil
}

// CreateDevice creates as a console user would. Exists for a taken name or hardware id.
func (s *Server) CreateDevice(projectID string, from tandem.NewRemoteDevice) (shown tandem.RemoteDevice, err error) {
	err = s.within(projectID, from.Name, func(p *project) error {
		d, err := p.create(draft{name: from.Name, hardware: from.HardwareIDs, tags: from.TagIDs, blueprint: from.BlueprintID, cohort: from.CohortID})
		if err != nil {
			return err
		}
		shown, err = p.snapshot(d)
		return err
	})
	return shown, err
}

// EditDevice edits as a console user would: updatedAt moves.
func (s *Server) EditDevice(projectID, id string, patch tandem.RemotePatch) (shown tandem.RemoteDevice, err error) {
	err = s.withDevice(projectID, id, func(p *project, d *device) error {
		body := map[string]any{}
		for key, value := range map[string]*string{"name": patch.Name, "blueprintId": patch.BlueprintID, "cohortId": patch.CohortID} {
			if value != nil {
				body[key] = *value
			}
		}
		if patch.Enabled != nil {
			body["enabled"] = *patch.Enabled
		}
		for key, list := range map[string][]string{"addTagId": patch.AddTagIDs, "removeTagId": patch.RemoveTagIDs,
			"addHardwareId": patch.AddHardwareIDs, "removeHardwareId": patch.RemoveHardwareIDs} {
			if len(list) > 0 {
				body[key] = list
			}
		}
		if err := p.editWith(d, body); err != nil {
			return err
		}
		shown, err = p.snapshot(d)
		return err
	})
	return shown, err
}

// editWith edits with the body of a PATCH.
func (p *project) editWith(d *device, body any) error {
	text, err := encode(body)
	if err != nil {
		return err
	}
	var f fields
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	next, err := f.patch(*d)
	if err != nil {
		return err
	}
	return p.edit(d, next)
}

// DeleteDevice deletes as a console user would. NotFound when there is none.
func (s *Server) DeleteDevice(projectID, id string) error {
	return s.withDevice(projectID, id, func(p *project, d *device) error { p.remove(d); return nil })
}

// Activity is what a device reports at an instant. Zero values are not reported.
type Activity struct {
	At       time.Time // zero for now
	Online   bool      // it set up a new session
	Offline  bool      // it went away: nothing is reported, and only an event tells
	Package  string    // with Version: what this package runs, "" for main
	Version  string
	Battery  *int // percent, into the state document
	Location *tandem.Location
}

// Report lets a device do something: lastReport moves, updatedAt does not.
func (s *Server) Report(projectID, id string, what Activity) error {
	return s.withDevice(projectID, id, func(p *project, d *device) error { p.reported(d, what); return nil })
}

// ReportAll lets every device of a project report, and nothing else.
func (s *Server) ReportAll(projectID string, what Activity) error {
	return s.within(projectID, projectID, func(p *project) error {
		for _, d := range p.order {
			p.reported(d, what)
		}
		return nil
	})
}

func (p *project) reported(d *device, what Activity) {
	at := what.At
	if at.IsZero() {
		at = p.server.clock()
	}
	if what.Offline {
		p.tellStatus(d, false, at)
		return
	}
	d.lastReport = at.Truncate(time.Millisecond).UnixNano()
	if what.Online {
		d.online = d.lastReport
		p.tellStatus(d, true, at)
	}
	if what.Version != "" {
		name := what.Package
		if name == "" {
			name = "main"
		}
		next := []update{{pack: name, version: what.Version, reason: 1, at: at.UnixNano()}}
		for _, u := range d.updates {
			if u.pack != name {
				next = append(next, u)
			}
		}
		d.updates = next
	}
	if what.Battery != nil {
		p.setState(d, stateWith(p.state(d), []string{"battery"}, whole(*what.Battery), true))
	}
	if l := what.Location; l != nil {
		p.setState(d, stateWith(p.state(d), []string{"location"}, map[string]any{"lat": decimal(l.Latitude, -1), "lon": decimal(l.Longitude, -1), "accuracy": decimal(l.Accuracy, -1)}, false))
	}
	p.touch(d)
	p.reportOf(d, at)
}

// State gives a value of a device's state document, nil when it is not there. Path "" is the root.
func (s *Server) State(projectID, id, path string) (value any, err error) {
	err = s.withDevice(projectID, id, func(p *project, d *device) error { value = stateAt(p.state(d), stateKeys(path)); return nil })
	return value, err
}

// SetState replaces the value at a path; numbers are kept as JSON writes them.
func (s *Server) SetState(projectID, id, path string, value any) error {
	return s.withDevice(projectID, id, func(p *project, d *device) error {
		text, err := encode(value)
		if err != nil {
			return err
		}
		if value, err = decode(text); err != nil {
			return err
		}
		p.setState(d, stateWith(p.state(d), stateKeys(path), value, false))
		return nil
	})
}

// DeleteState removes the value at a path.
func (s *Server) DeleteState(projectID, id, path string) error {
	return s.withDevice(projectID, id, func(p *project, d *device) error {
		p.setState(d, stateWithout(p.state(d), stateKeys(path)))
		return nil
	})
}

// AppendStream adds a row to LightDB Stream, as a pipeline would.
func (s *Server) AppendStream(projectID, id string, at time.Time, payload any) error {
	return s.withDevice(projectID, id, func(p *project, d *device) error {
		text, err := encode(payload)
		if err != nil {
			return err
		}
		data, err := decode(text)
		if err != nil {
			return err
		}
		p.rows = append(p.rows, row{d.id, at.UnixNano(), data})
		p.moves++
		return nil
	})
}

// Entities lists a project's tags, blueprints or cohorts, ascending by id.
func (s *Server) Entities(projectID string, kind tandem.EntityKind) (list []tandem.RemoteEntity, err error) {
	err = s.within(projectID, projectID, func(p *project) error {
		for _, e := range p.kind(kind).list {
			list = append(list, tandem.RemoteEntity{Kind: kind, ID: e.id, Name: e.name})
		}
		return nil
	})
	return list, err
}

// CreateEntity creates a tag, blueprint or cohort. Exists for a taken name, Invalid for a bad one.
func (s *Server) CreateEntity(projectID string, kind tandem.EntityKind, name string) (made tandem.RemoteEntity, err error) {
	err = s.within(projectID, name, func(p *project) error {
		e, err := p.createEntity(kind, name)
		if err == nil {
			made = tandem.RemoteEntity{Kind: kind, ID: e.id, Name: e.name}
		}
		return err
	})
	return made, err
}

// RenameEntity gives a tag, blueprint or cohort another name; its id stays.
func (s *Server) RenameEntity(projectID string, kind tandem.EntityKind, id, name string) error {
	return s.withEntity(projectID, kind, id, func(p *project, e *entity) error { return p.renameEntity(p.kind(kind), e, name) })
}

// DeleteEntity deletes a tag, blueprint or cohort, as the switch in-use says.
func (s *Server) DeleteEntity(projectID string, kind tandem.EntityKind, id string) error {
	return s.withEntity(projectID, kind, id, func(p *project, e *entity) error { return p.deleteEntity(p.kind(kind), e) })
}

func (s *Server) withEntity(projectID string, kind tandem.EntityKind, id string, do func(*project, *entity) error) error {
	return s.within(projectID, id, func(p *project) error {
		e := p.kind(kind).byID[id]
		if e == nil {
			return notFound("%s not found", kind)
		}
		return do(p, e)
	})
}

// SwapProject puts another project in a project's place: the same id and keys, another
// organization, creation time and fleet of as many devices.
func (s *Server) SwapProject(id string) error {
	for _, options := range s.options.Projects {
		if options.ID != id {
			continue
		}
		options.OrganizationID += "-2"
		swapped := s.newProject(options, s.options.Seed+1)
		swapped.created = s.clock().Truncate(time.Millisecond)
		swapped.updated = swapped.created
		s.mu.Lock()
		s.projects[id] = swapped
		s.mu.Unlock()
		return nil
	}
	return tandem.Errorf(tandem.NotFound, "simulator: swap a project", id, "there is no such project")
}
