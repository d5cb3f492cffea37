package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"tandem"
	"tandem/golioth/simulator"
	"tandem/registry"
	"tandem/secret"
)

// The demo's simulated projects: the fleet, one that does not answer, and one where somebody deleted too much.
const (
	demoFleet     = "fleet"
	demoLab       = "lab"
	demoWarehouse = "warehouse"
)

// demoWorld is what the pages of the demo show.
type demoWorld struct {
	*desk
	org      tandem.Organization
	projects []*demoProject
}

// demoProject is a simulated project with the service that connects to it.
type demoProject struct {
	id, address, key string
	server           *simulator.Server
	service          tandem.Service
}

// demoProjects starts the simulated projects, each at an address of its own; they end with ctx, and ended tells.
func demoProjects(ctx context.Context, c *DemoCmd) (projects []*demoProject, ended func() error, err error) {
	served := make(chan error, 3)
	for i, p := range []struct {
		id      string
		devices int // made by the simulator
		named   int // made here, with names of their own
		live    float64
	}{{demoFleet, c.Devices, 0, max(2, float64(c.Devices)/100)}, {demoLab, 0, 40, 0}, {demoWarehouse, 0, 60, 0.2}} {
		key := newID()
		server, err := simulator.New(simulator.Options{Seed: c.Seed + uint64(i), Latency: simulator.Latency{Mean: c.Latency}, LivePerSecond: p.live,
			Projects: []simulator.Project{{ID: p.id, Name: p.id, Keys: []string{key}, Devices: p.devices}}})
		if err != nil {
			return nil, nil, err
		}
		if err := furnish(server, p.id, p.named); err != nil {
			return nil, nil, err
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, tandem.Errorf(tandem.Unavailable, "demo", "", "no port can be opened on this machine: %w", err)
		}
		go func() { served <- simulator.Serve(ctx, server, listener) }()
		projects = append(projects, &demoProject{id: p.id, address: "http://" + listener.Addr().String(), key: key, server: server})
	}
	return projects, func() error { return errors.Join(<-served, <-served, <-served) }, nil
}

// furnish gives a project devices that are of no other.
func furnish(server *simulator.Server, project string, n int) error {
	for i := range n {
		name := fmt.Sprintf("%s-%02d", project, i+1)
		if _, err := server.CreateDevice(project, tandem.NewRemoteDevice{Name: name, HardwareIDs: []string{name + "-hw"}}); err != nil {
			return err
		}
	}
	return nil
}

// project gives one by its id.
func (d *demoWorld) project(id string) *demoProject {
	for _, p := range d.projects {
		if p.id == id {
			return p
		}
	}
	return nil
}

// build makes the organization with all that there is to look at: conflicts, failures, a service that is degraded, a run
// that is blocked, and webhooks that come in.
func (d *demoWorld) build(ctx context.Context, base string) error {
	for _, step := range []func(context.Context) error{d.connect, d.firstSyncs, d.disagree, d.nameTwice, d.lose, d.breakDown} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return d.goLive(ctx, base)
}

// connect makes the organization and a service for each project.
func (d *demoWorld) connect(ctx context.Context) (err error) {
	if d.org, err = d.CreateOrganization(ctx, "Demo", "demo"); err != nil {
		return err
	}
	for _, p := range d.projects {
		config := tandem.DefaultServiceConfig()
		config.BaseURL, config.Project, config.PrivateAddress = p.address, p.id, true
		config.Paths = tandem.Paths{Battery: "state:battery", Location: "state:location"}
		if p.service, err = d.AddService(ctx, d.org.ID, newService{Name: p.id, Type: "golioth", Config: config, Key: secret.NewText(p.key)}); err != nil {
			return err
		}
	}
	return nil
}

// sync does one run; how it ends is for the pages to show.
func (d *demoWorld) sync(ctx context.Context, p *demoProject) error {
	_, err := d.Sync(ctx, d.org.ID, tandem.RunRequest{ServiceID: p.service.ID, Operation: tandem.OpBidirectional}, nil)
	return err
}

func (d *demoWorld) firstSyncs(ctx context.Context) error {
	for _, p := range d.projects {
		if err := d.sync(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// linked gives some linked devices of a project, by name.
func (d *demoWorld) linked(ctx context.Context, p *demoProject, n int) ([]tandem.DeviceRow, error) {
	rows, _, err := d.Devices(ctx, d.org.ID, tandem.DeviceFilter{ServiceID: p.service.ID, SyncStatus: tandem.SyncSynced, Sort: "name", Page: tandem.Page{Number: 1, Limit: n}})
	if err == nil && len(rows) < n {
		err = tandem.Errorf(tandem.Internal, "demo", "", "only %d devices of %s are linked", len(rows), p.id)
	}
	return rows, err
}

// external gives a row's id on the project.
func (p *demoProject) external(row *tandem.DeviceRow) string {
	for _, a := range row.Assignments {
		if a.ServiceID == p.service.ID {
			return a.ExternalDeviceID
		}
	}
	return ""
}

// disagree edits some devices on both sides, and some on one.
func (d *demoWorld) disagree(ctx context.Context) error {
	p := d.project(demoFleet)
	rows, err := d.linked(ctx, p, 9)
	if err != nil {
		return err
	}
	for i := range rows {
		row := &rows[i]
		here, there := row.Name+" (roof)", row.Name+" (north roof)"
		if i < 6 {
			if _, _, err := d.UpdateDevice(ctx, d.org.ID, row.ID, registry.DeviceEdit{Name: &here}); err != nil {
				return err
			}
		}
		if i < 4 || i >= 6 {
			if _, err := p.server.EditDevice(p.id, p.external(row), tandem.RemotePatch{Name: &there}); err != nil {
				return err
			}
		}
	}
	return d.sync(ctx, p)
}

// nameTwice gives three devices one name, which Golioth takes for one of them only.
func (d *demoWorld) nameTwice(ctx context.Context) error {
	p := d.project(demoFleet)
	rows, err := d.linked(ctx, p, 20)
	if err != nil {
		return err
	}
	name := "pump-room"
	for i := range rows[16:19] {
		if _, _, err := d.UpdateDevice(ctx, d.org.ID, rows[16+i].ID, registry.DeviceEdit{Name: &name}); err != nil {
			return err
		}
	}
	return d.sync(ctx, p)
}

// lose deletes a third of the warehouse on Golioth: more than the guard lets through by itself.
func (d *demoWorld) lose(ctx context.Context) error {
	p := d.project(demoWarehouse)
	rows, err := d.linked(ctx, p, 20)
	if err != nil {
		return err
	}
	for i := range rows {
		if err := p.server.DeleteDevice(p.id, p.external(&rows[i])); err != nil {
			return err
		}
	}
	return d.sync(ctx, p)
}

// breakDown has the lab answer nothing but failures.
func (d *demoWorld) breakDown(ctx context.Context) error {
	p := d.project(demoLab)
	p.server.SetFaults(simulator.Fault{Kind: "503"})
	if err := d.sync(ctx, p); err != nil && !tandem.Is(err, tandem.Unavailable) {
		return err
	}
	return nil
}

// goLive turns the fleet's schedule on, and connects its webhook, so that what devices report shows at once.
func (d *demoWorld) goLive(ctx context.Context, base string) error {
	fleet := d.project(demoFleet)
	if _, err := d.ConnectWebhook(ctx, d.org.ID, fleet.service.ID, base, false); err != nil {
		return err
	}
	on, minute := true, 60
	_, err := d.UpdateService(ctx, d.org.ID, fleet.service.ID, serviceEdit{SyncEnabled: &on, SyncInterval: &minute})
	return err
}
