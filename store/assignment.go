package store

import (
	"database/sql"

	"tandem"
)

// assignmentWritten are the columns of an assignment's row, in the order of writeAssignment.
const assignmentWritten = `organization_id, id, device_id, service_id, external_device_id, sync_enabled, sync_status, last_sync, base,
	drift, error, retries, state_read_at, remote_updated_at, written_at, written_over, version, created_at, updated_at`

// writeAssignment writes a row as version.
func writeAssignment(b *bulk, org string, a *tandem.Assignment, version int64) {
	base, err := encodeBase(&a.Base)
	if err != nil && b.err == nil {
		b.err = tandem.Errorf(tandem.Invalid, "", a.ID, "its base cannot be stored as JSON: %w", err)
	}
	b.text(org)
	b.text(a.ID)
	b.text(a.DeviceID)
	b.text(a.ServiceID)
	b.text(a.ExternalDeviceID)
	b.bool(a.SyncEnabled)
	b.text(string(a.Status))
	b.optTime(a.LastSync)
	b.string(isJSON, string(base))
	b.json(a.Drift, len(a.Drift) == 0)
	b.opt(a.Error)
	b.int(int64(a.Retries))
	b.optTime(a.StateReadAt)
	b.optTime(a.RemoteUpdatedAt)
	b.optTime(a.WrittenAt)
	b.json(a.WrittenOver, len(a.WrittenOver) == 0)
	b.int(version)
	b.instant(a.CreatedAt)
	b.instant(a.UpdatedAt)
}

// assignmentRead are the columns that assignmentScan reads, of device_service_assignments AS a.
const assignmentRead = `a.id, a.device_id, a.service_id, a.external_device_id, a.sync_enabled, a.sync_status, a.last_sync, a.base,
	a.drift, a.error, a.retries, a.state_read_at, a.remote_updated_at, a.written_at, a.written_over, a.version, a.created_at, a.updated_at`

// assignmentScan is where a row is scanned to before it becomes an assignment.
type assignmentScan struct {
	id, deviceID, serviceID, externalID, status, base, drift, failure, writtenOver word
	enabled                                                                        bool
	retries, version                                                               int64
	lastSync, stateReadAt, remoteUpdatedAt, writtenAt, createdAt, updatedAt        stamp
}

// targets gives the destinations in the order of assignmentRead.
func (r *assignmentScan) targets() []any {
	return []any{&r.id, &r.deviceID, &r.serviceID, &r.externalID, &r.enabled, &r.status, &r.lastSync, &r.base,
		&r.drift, &r.failure, &r.retries, &r.stateReadAt, &r.remoteUpdatedAt, &r.writtenAt, &r.writtenOver, &r.version, &r.createdAt, &r.updatedAt}
}

// assignment makes the assignment that was scanned.
func (r *assignmentScan) assignment(org string, a *tandem.Assignment) error {
	a.ID, a.OrganizationID, a.DeviceID, a.ServiceID = string(r.id), org, string(r.deviceID), string(r.serviceID)
	a.ExternalDeviceID, a.SyncEnabled, a.Status = string(r.externalID), r.enabled, tandem.SyncStatus(r.status)
	a.LastSync, a.StateReadAt, a.RemoteUpdatedAt, a.WrittenAt = r.lastSync.ptr(), r.stateReadAt.ptr(), r.remoteUpdatedAt.ptr(), r.writtenAt.ptr()
	a.Error, a.Retries, a.Version = string(r.failure), int(r.retries), r.version
	a.CreatedAt, a.UpdatedAt = r.createdAt.Time, r.updatedAt.Time
	if err := decodeBase(r.base, &a.Base); err != nil {
		return err
	}
	if err := r.drift.decode(&a.Drift); err != nil {
		return err
	}
	return r.writtenOver.decode(&a.WrittenOver)
}

// scanAssignments scans all rows of a query that selects assignmentRead.
func scanAssignments(org string, rows *sql.Rows) (assignments []tandem.Assignment, err error) {
	r := assignmentScan{}
	targets := r.targets()
	err = each(rows, func() error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		assignments = append(assignments, tandem.Assignment{})
		return r.assignment(org, &assignments[len(assignments)-1])
	})
	return assignments, err
}

// scanLinked adds all rows of a query that selects assignmentRead and deviceRead.
func scanLinked(org string, linked []tandem.Linked, rows *sql.Rows) ([]tandem.Linked, error) {
	a, d := assignmentScan{}, deviceScan{}
	targets := append(a.targets(), d.targets()...)
	err := each(rows, func() error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		linked = append(linked, tandem.Linked{})
		one := &linked[len(linked)-1]
		if err := a.assignment(org, &one.Assignment); err != nil {
			return err
		}
		return d.device(org, &one.Device)
	})
	return linked, err
}
