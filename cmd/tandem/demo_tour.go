package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"tandem"
	"tandem/golioth"
	"tandem/golioth/simulator"
	"tandem/registry"
	"tandem/secret"
)

// demo is the tour under way.
type demo struct {
	*desk
	org     tandem.Organization
	service tandem.Service
	remote  *golioth.Client
	step    int
	edited  string // the run to undo
}

// tour gives the tour in the terminal, chapter by chapter.
func (c *DemoCmd) tour(ctx context.Context, a *app) (err error) {
	key := newID()
	server, err := simulator.New(simulator.Options{Seed: c.Seed, Latency: simulator.Latency{Mean: c.Latency},
		Projects: []simulator.Project{{ID: "demo", Name: "Demo", Keys: []string{key}, Devices: c.Devices}}})
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return tandem.Errorf(tandem.Unavailable, "demo", "", "no port can be opened on this machine: %w", err)
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- simulator.Serve(serving, server, listener) }()
	defer func() {
		if c.Keep && err == nil && ctx.Err() == nil {
			a.out.note("\nthe simulated project stays at http://%s until Ctrl-C\n", listener.Addr())
			<-ctx.Done()
		}
		stop()
		err = errors.Join(err, <-served)
	}()
	return a.with(ctx, func(s *session) error {
		d := &demo{desk: a.onDatabase(s)}
		if err := d.setUp(ctx, "http://"+listener.Addr().String(), secret.NewText(key)); err != nil {
			return err
		}
		for _, chapter := range []func(context.Context) error{d.firstImport, d.edits, d.settle, d.quiet, d.undo} {
			if err := chapter(ctx); err != nil {
				return err
			}
		}
		d.goodbye(c)
		return nil
	})
}

// say begins a chapter.
func (d *demo) say(format string, args ...any) {
	d.step++
	d.out.printf("\n%s %s\n", d.out.bold(fmt.Sprintf("%d.", d.step)), d.out.bold(fmt.Sprintf(format, args...)))
}

func (d *demo) setUp(ctx context.Context, address string, key secret.Text) error {
	d.say("A simulated Golioth project is at %s. An organization and a service that connects to it:", address)
	slug := "demo"
	for n := 2; ; n++ {
		org, err := d.CreateOrganization(ctx, "Demo", slug)
		if err == nil {
			d.org = org
			break
		}
		if !tandem.Is(err, tandem.Exists) || n > 100 {
			return err
		}
		slug = fmt.Sprintf("demo-%d", n)
	}
	config := tandem.DefaultServiceConfig()
	config.BaseURL, config.Project = address, "demo"
	service, err := d.AddService(ctx, d.org.ID, newService{Name: "golioth", Type: "golioth", Config: config, Key: key})
	if err != nil {
		return err
	}
	d.service = service
	d.out.printf("   tandem org create %s\n   tandem service add golioth --org %s --name golioth --project demo --base-url %s --api-key-file FILE\n", d.org.Slug, d.org.Slug, address)
	d.remote, err = d.here.client(service)
	return err
}

// sync does one run and shows it.
func (d *demo) sync(ctx context.Context, operation tandem.Operation) (tandem.Run, error) {
	watch := d.out.newProgress()
	run, err := d.Sync(ctx, d.org.ID, tandem.RunRequest{ServiceID: d.service.ID, Operation: operation}, watch.report)
	watch.end()
	if err != nil {
		return run, err
	}
	d.out.showRun(&run)
	return run, d.showFailures(ctx, d.org, &run)
}

func (d *demo) firstImport(ctx context.Context) error {
	d.say("The first import brings every device here:   tandem sync golioth --operation import")
	_, err := d.sync(ctx, tandem.OpImport)
	return err
}

// edits makes changes on both sides, shows the plan and syncs.
func (d *demo) edits(ctx context.Context) error {
	rows, _, err := d.Devices(ctx, d.org.ID, tandem.DeviceFilter{SyncStatus: tandem.SyncSynced, Sort: "device_id", Page: tandem.Page{Number: 1, Limit: 5}})
	if err != nil {
		return err
	}
	if len(rows) < 5 {
		return tandem.Errorf(tandem.Internal, "demo", "", "only %d devices were imported", len(rows))
	}
	d.say("People work on both sides. Here somebody renames a device and tags another; on Golioth somebody renames a third and disables a fourth. And one name is changed on both sides:")
	here := func(row *tandem.DeviceRow, what string, edit registry.DeviceEdit) error {
		d.out.printf("   here      %s: %s\n", clean(row.Name), what)
		_, _, err := d.UpdateDevice(ctx, d.org.ID, row.ID, edit)
		return err
	}
	there := func(row *tandem.DeviceRow, what string, patch tandem.RemotePatch) error {
		d.out.printf("   Golioth   %s: %s\n", clean(row.Name), what)
		_, err := d.remote.UpdateDevice(ctx, row.Assignments[0].ExternalDeviceID, patch)
		return err
	}
	named := func(row *tandem.DeviceRow, suffix string) *string {
		name := row.Name + suffix
		return &name
	}
	tags, off := append([]string{"field-test"}, rows[1].Tags...), false
	if err := errors.Join(
		here(&rows[0], "renamed", registry.DeviceEdit{Name: named(&rows[0], " (roof)")}),
		here(&rows[1], "tagged field-test", registry.DeviceEdit{Tags: &tags}),
		there(&rows[2], "renamed", tandem.RemotePatch{Name: named(&rows[2], " (cellar)")}),
		there(&rows[3], "disabled", tandem.RemotePatch{Enabled: &off}),
		here(&rows[4], "renamed to … north", registry.DeviceEdit{Name: named(&rows[4], " north")}),
		there(&rows[4], "renamed to … south", tandem.RemotePatch{Name: named(&rows[4], " south")}),
	); err != nil {
		return err
	}
	d.say("What would a sync do?   tandem sync golioth --dry-run")
	view := newPlanView(d.app)
	preview, err := d.Preview(ctx, d.org.ID, tandem.RunRequest{ServiceID: d.service.ID, Operation: tandem.OpBidirectional, Trigger: tandem.ByHand}, false, view.add, nil)
	if err != nil {
		return err
	}
	view.show(&preview)
	d.say("Do it:   tandem sync golioth")
	run, err := d.sync(ctx, tandem.OpBidirectional)
	d.edited = run.ID
	return err
}

// settle settles the conflict that the edits made.
func (d *demo) settle(ctx context.Context) error {
	conflicts, _, err := d.Conflicts(ctx, d.org.ID, tandem.ConflictFilter{Page: tandem.Page{Number: 1, Limit: 10}})
	if err != nil {
		return err
	}
	d.say("One name was changed on both sides, so neither was overwritten. The conflict waits for a person:   tandem conflicts list")
	for i := range conflicts {
		c := &conflicts[i]
		d.out.printf("   %s of %s:  base %s,  here %s,  Golioth %s\n", c.FieldName, clean(c.DeviceName), valueText(c.BaseValue), valueText(c.LocalValue), valueText(c.RemoteValue))
	}
	d.out.printf("   the name from here is right:   tandem conflicts resolve ID --take local\n")
	settled, err := d.Settle(ctx, d.org.ID, tandem.Settlement{Filter: tandem.ConflictFilter{ServiceID: d.service.ID}, Take: tandem.TakeLocal})
	if err != nil {
		return err
	}
	d.showSettled(settled, false)
	return nil
}

func (d *demo) quiet(ctx context.Context) error {
	d.say("Now both sides agree, and a second sync writes nothing:")
	_, err := d.sync(ctx, tandem.OpBidirectional)
	return err
}

// undo takes the run with the edits back.
func (d *demo) undo(ctx context.Context) error {
	d.say("A run can be undone, on both sides, where nobody has changed things since:   tandem runs revert ID")
	watch := d.out.newProgress()
	run, err := d.RevertRun(ctx, d.org.ID, d.edited, watch.report)
	watch.end()
	if err != nil {
		return err
	}
	d.out.showRun(&run)
	return d.showFailures(ctx, d.org, &run)
}

func (d *demo) goodbye(c *DemoCmd) {
	db := word(d.flags.DatabaseURL)
	if d.out.json {
		if err := d.out.value(map[string]any{"database_url": d.flags.DatabaseURL, "organization": d.org.Slug, "service": d.service.Name, "devices": c.Devices}); err != nil {
			d.log.Error("write the result", "error", err)
		}
		return
	}
	d.out.printf(`
%s
   export TANDEM_DATABASE_URL=%s
   tandem device list --limit 10
   tandem runs list
   tandem conflicts list --all
And with a project that stays, in another terminal:
   tandem simulator --devices 10000 --latency 50ms
   tandem demo --in-terminal --keep
`, d.out.bold("That was the tour. Everything is in the database; look around:"), db)
}
