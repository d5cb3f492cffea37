package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"tandem"
)

// Apply writes everything or nothing (S22). A *tandem.MovedError names rows at another version.
func (s *Store) Apply(ctx context.Context, org string, c *tandem.Changes) error {
	const op = "apply changes"
	a := apply{Store: s, org: org, Changes: c}
	s.room(ctx, c.Observations)
	mode := Writing
	if c.Repeats {
		mode = Repeating
	}
	err := s.writeAs(ctx, op, org, mode, func(tx bun.Conn) error {
		a.tx = tx
		return a.run(ctx)
	})
	if err == nil {
		s.committed(org, c)
		s.cameTo(org, c.Deliveries)
		s.bell.ring(len(c.Jobs) > 0)
	}
	return a.explain(ctx, err)
}

// apply is one attempt at one transaction.
type apply struct {
	*Store
	*tandem.Changes
	org   string
	tx    bun.Conn
	clock time.Time // the database's
	now   string    // the same as text
	step  string    // what is being written
	locks map[string]*lockedDevice
}

// run writes in the order of the members of Changes, after every check that can be made first.
func (a *apply) run(ctx context.Context) error {
	if err := a.admit(ctx); err != nil {
		return err
	}
	moved := tandem.MovedError{}
	if err := a.lockDevices(ctx, &moved); err != nil {
		return err
	}
	if err := a.lockAssignments(ctx, &moved); err != nil {
		return err
	}
	if err := a.checkParents(ctx); err != nil {
		return err
	}
	if err := a.lockConflicts(ctx, &moved); err != nil {
		return err
	}
	if len(moved.Devices)+len(moved.Assignments)+len(moved.Conflicts) > 0 {
		slices.Sort(moved.Devices)
		slices.Sort(moved.Assignments)
		slices.Sort(moved.Conflicts)
		return &moved
	}
	for _, step := range []struct {
		name  string
		write func(context.Context) error
	}{
		{"devices", a.devices}, {"observations", a.observe}, {"assignments", a.assignments}, {"intents", a.intents},
		{"conflicts", a.conflicts}, {"entries", a.entries}, {"remote devices", a.notLinked}, {"entities", a.entities},
		{"runs", a.runs}, {"services", a.services}, {"members", a.members}, {"invitations", a.invitations}, {"tokens", a.tokens},
		{"credentials", a.credentials}, {"commands", a.commands},
		{"alerts", a.alerts}, {"channels", a.channels}, {"notifications", a.notifications}, {"observed values", a.history}, {"deliveries", a.outcomes},
		{"waiting deliveries", a.wake},
		{"pushes", a.dropPushes},
		{"along", a.along},
	} {
		a.step = step.name
		if err := step.write(ctx); err != nil {
			return a.named(err)
		}
	}
	return nil
}

// admit checks the organization and the lease, and reads the clock.
func (a *apply) admit(ctx context.Context) error {
	service, token := "", int64(-1)
	if a.Fence != nil {
		service, token = a.Fence.ServiceID, a.Fence.Token
	}
	var now stamp
	if err := a.tx.QueryRowContext(ctx, "SELECT "+a.dialect.Clock()+" FROM organizations WHERE id = ?"+a.dialect.Share(), a.org).Scan(&now); err != nil {
		return noRow(err, missing("organization", a.org))
	}
	a.clock, a.now = now.Time, formatTime(now.Time)
	if a.Fence == nil {
		return nil
	}
	lost := tandem.Errorf(tandem.LeaseLost, "", service, "another process has taken over the service's lease").
		WithHint("its run goes on; start another when it has ended")
	var expires stamp
	err := a.tx.QueryRowContext(ctx, `SELECT expires_at FROM service_leases
		WHERE organization_id = ? AND service_id = ? AND fence = ? AND holder <> ''`+a.dialect.Share(), a.org, service, token).Scan(&expires)
	switch {
	case err != nil:
		return noRow(err, lost)
	case !expires.After(now.Time):
		return lost
	}
	return nil
}

// noRow gives instead where err says that a row is not there.
func noRow(err error, instead error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return instead
	}
	return err
}

// taken marks a unique violation or a missing parent with the step that met it, to be explained after the rollback.
type taken struct {
	step   string
	parent bool
	err    error
}

func (t *taken) Error() string { return t.err.Error() }
func (t *taken) Unwrap() error { return t.err }

func (a *apply) named(err error) error {
	switch {
	case a.dialect.Taken(err):
		return &taken{step: a.step, err: err}
	case a.dialect.Missing(err):
		return &taken{step: a.step, parent: true, err: err}
	}
	return err
}

// explain says what was taken, or what was not there.
func (a *apply) explain(ctx context.Context, err error) error {
	var t *taken
	if !errors.As(err, &t) {
		return err
	}
	const op = "apply changes"
	if t.parent {
		return &tandem.Error{Code: tandem.NotFound, Op: op, Thing: a.missingParent(ctx),
			Message: "what one of the " + t.step + " refers to is not in this organization", Err: t.err}
	}
	switch t.step {
	case "devices":
		return &tandem.Error{Code: tandem.Exists, Op: op, Thing: a.takenDevice(ctx),
			Message: "another device has this id or device_id", Hint: "choose another", Err: t.err}
	case "assignments":
		return &tandem.Error{Code: tandem.Exists, Op: op, Thing: a.takenAssignment(ctx),
			Message: "this device or remote device is linked already", Hint: "unlink it there first", Err: t.err}
	case "intents":
		return &tandem.Error{Code: tandem.Busy, Op: op, Message: "another write to the same remote device is open", RetryAfter: time.Second, Err: t.err}
	case "conflicts":
		return &tandem.Error{Code: tandem.Stale, Op: op, Message: "another conflict is open for the same device and field",
			Hint: "read it again and rewrite that one", Err: t.err}
	case "alerts":
		return &tandem.Error{Code: tandem.Stale, Op: op, Message: "another alert is open for the same kind and subject",
			Hint: "read it again and rewrite that one", Err: t.err}
	case "credentials":
		return &tandem.Error{Code: tandem.Exists, Op: op, Message: "another device's credential has this identity", Hint: "choose another, or revoke that one", Err: t.err}
	case "channels":
		return &tandem.Error{Code: tandem.Exists, Op: op, Message: "another channel has this id or name", Hint: "choose another", Err: t.err}
	}
	return &tandem.Error{Code: tandem.Exists, Op: op, Message: "one of the " + t.step + " is there already", Err: t.err}
}

// first runs a query for one text, "" where there is no row. It serves to explain an error, so its own is left out.
func (a *apply) first(ctx context.Context, column string, values []string, text string, args ...any) string {
	found := word("")
	err := a.read(ctx, "explain", a.org, func(tx bun.Conn) error {
		return a.inChunks(column, values, 10*chunk, func(list bun.Safe) error {
			err := tx.QueryRowContext(ctx, text, append(append([]any{}, args...), list)...).Scan(&found)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			return err
		})
	})
	if err != nil {
		return ""
	}
	return string(found)
}

// takenDevice names the device_id that is taken, here or by two rows of the batch.
func (a *apply) takenDevice(ctx context.Context) string {
	seen, ids, own := map[string]bool{}, []string{}, []string{}
	for _, devices := range [][]tandem.Device{a.CreateDevices, a.UpdateDevices} {
		for i := range devices {
			d := &devices[i]
			if d.DeletedAt != nil {
				continue
			}
			if seen[d.DeviceID] {
				return d.DeviceID
			}
			seen[d.DeviceID] = true
			ids, own = append(ids, d.DeviceID), append(own, d.ID)
		}
	}
	not, err := in(own)
	if err != nil {
		return ""
	}
	if id := a.first(ctx, "device_id", ids, "SELECT device_id FROM devices WHERE organization_id = ? AND deleted_at IS NULL AND id NOT IN ? AND ? LIMIT 1",
		a.org, not); id != "" {
		return id
	}
	created := make([]string, len(a.CreateDevices))
	for i := range a.CreateDevices {
		created[i] = a.CreateDevices[i].ID
	}
	return a.first(ctx, "id", created, "SELECT id FROM devices WHERE organization_id = ? AND ? LIMIT 1", a.org)
}

// takenAssignment names the link that is taken, as service/remote id.
func (a *apply) takenAssignment(ctx context.Context) string {
	type key struct{ service, id string }
	devices, externals := map[key]bool{}, map[key]bool{}
	for i := range a.CreateAssignments {
		one := &a.CreateAssignments[i]
		thing := one.ServiceID + "/" + one.ExternalDeviceID
		if devices[key{one.ServiceID, one.DeviceID}] || externals[key{one.ServiceID, one.ExternalDeviceID}] {
			return thing
		}
		devices[key{one.ServiceID, one.DeviceID}], externals[key{one.ServiceID, one.ExternalDeviceID}] = true, true
	}
	for i := range a.CreateAssignments {
		one := &a.CreateAssignments[i]
		if a.first(ctx, "external_device_id", []string{one.ExternalDeviceID}, `SELECT id FROM device_service_assignments
			WHERE organization_id = ? AND service_id = ? AND ?`, a.org, one.ServiceID) != "" ||
			a.first(ctx, "device_id", []string{one.DeviceID}, `SELECT id FROM device_service_assignments
			WHERE organization_id = ? AND service_id = ? AND ?`, a.org, one.ServiceID) != "" {
			return one.ServiceID + "/" + one.ExternalDeviceID
		}
	}
	return ""
}

// missingParent names the device or service that is not there.
func (a *apply) missingParent(ctx context.Context) string {
	services, devices := []string{}, []string{}
	for i := range a.CreateAssignments {
		services, devices = append(services, a.CreateAssignments[i].ServiceID), append(devices, a.CreateAssignments[i].DeviceID)
	}
	for i := range a.PutIntents {
		services = append(services, a.PutIntents[i].ServiceID)
	}
	for i := range a.PutConflicts {
		services = append(services, a.PutConflicts[i].ServiceID)
	}
	for i := range a.PutNotLinked {
		services = append(services, a.PutNotLinked[i].ServiceID)
	}
	for i := range a.PutEntities {
		services = append(services, a.PutEntities[i].ServiceID)
	}
	for i := range a.PutRuns {
		services = append(services, a.PutRuns[i].ServiceID)
	}
	for _, try := range []struct {
		table string
		ids   []string
	}{{"device_services", services}, {"devices", devices}} {
		slices.Sort(try.ids)
		for _, id := range slices.Compact(try.ids) {
			if a.first(ctx, "id", []string{id}, "SELECT id FROM "+try.table+" WHERE organization_id = ? AND ?", a.org) == "" {
				return id
			}
		}
	}
	return ""
}
