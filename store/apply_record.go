package store

import (
	"context"

	"tandem"
)

const changeColumns = "side, action, device_id, external_device_id, device_name, field, before, after, note"

// writeChange writes changeColumns.
func writeChange(b *bulk, c *tandem.Change) {
	b.text(string(c.Side))
	b.text(string(c.Action))
	b.opt(c.DeviceID)
	b.opt(c.ExternalDeviceID)
	b.opt(c.DeviceName)
	b.opt(string(c.Path))
	b.raw(c.Before)
	b.raw(c.After)
	b.opt(c.Note)
}

// entries adds a run's lines, and to the audit the number and digest of what was added.
func (a *apply) entries(ctx context.Context) error {
	written := batches(a.Changes.Entries)
	names := make(map[string]string, len(written)) // batch by run
	for i := range written {
		names[written[i].run] = written[i].first()
	}
	if err := a.insert(ctx, a.tx, "golioth_sync_log_entries", "organization_id, id, run_id, service_id, "+changeColumns+", outcome, code, error, search_text, created_at, batch", "",
		len(a.Changes.Entries), func(b *bulk, i int) {
			e := &a.Changes.Entries[i]
			b.text(a.org)
			b.text(e.ID)
			b.text(e.RunID)
			b.text(e.ServiceID)
			writeChange(b, &e.Change)
			b.text(string(e.Outcome))
			b.opt(string(e.Code))
			b.opt(e.Error)
			b.opt(fold(e.DeviceName + "\n" + e.Error))
			b.instant(e.CreatedAt)
			b.text(names[e.RunID])
		}); err != nil {
		return err
	}
	told := make([]tandem.AuditEntry, len(written))
	for i := range written {
		var err error
		if told[i], err = written[i].audited(a.org, a.clock); err != nil {
			return err
		}
	}
	return a.auditOf(ctx, a.tx, a.org, told)
}

// lastOf keeps the last of the items with the same key, in the order of their first mention.
func lastOf[T any, K comparable](items []T, key func(*T) K) []*T {
	kept := make([]*T, 0, len(items))
	index := make(map[K]int, len(items))
	for i := range items {
		k := key(&items[i])
		if at, seen := index[k]; seen {
			kept[at] = &items[i]
			continue
		}
		index[k] = len(kept)
		kept = append(kept, &items[i])
	}
	return kept
}

// notLinked puts rows, keeping what was ignored and when it was first seen, then shows again what is to be, then drops.
func (a *apply) notLinked(ctx context.Context) error {
	rows := lastOf(a.PutNotLinked, func(n *tandem.NotLinked) tandem.NotLinkedKey {
		return tandem.NotLinkedKey{ServiceID: n.ServiceID, ExternalDeviceID: n.ExternalDeviceID}
	})
	if err := a.insert(ctx, a.tx, "remote_devices", `organization_id, service_id, external_device_id, name, name_folded, device, reason,
		candidates, ignored, first_seen_at, seen_at`,
		" ON CONFLICT (organization_id, service_id, external_device_id) DO UPDATE SET "+assign("name", "name_folded", "device", "reason", "candidates", "seen_at")+
			", ignored = (remote_devices.ignored = TRUE OR excluded.ignored = TRUE)",
		len(rows), func(b *bulk, i int) {
			n := rows[i]
			b.text(a.org)
			b.text(n.ServiceID)
			b.text(n.ExternalDeviceID)
			b.text(n.Name)
			b.text(fold(n.Name))
			b.json(&n.Device, false)
			b.text(n.Reason)
			b.json(n.Candidates, len(n.Candidates) == 0)
			b.bool(n.Ignored)
			b.instant(n.FirstSeenAt)
			b.instant(n.SeenAt)
		}); err != nil {
		return err
	}
	for _, to := range []struct {
		do   string
		keys []tandem.NotLinkedKey
	}{{"UPDATE remote_devices SET ignored = FALSE", a.ShowNotLinked}, {"DELETE FROM remote_devices", a.DropNotLinked}} {
		if _, err := a.bulkly(ctx, a.tx, to.do+" WHERE (organization_id, service_id, external_device_id) IN (", ")", len(to.keys), func(b *bulk, i int) {
			b.text(a.org)
			b.text(to.keys[i].ServiceID)
			b.text(to.keys[i].ExternalDeviceID)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (a *apply) entities(ctx context.Context) error {
	type key struct {
		service, id string
		kind        tandem.EntityKind
	}
	rows := lastOf(a.PutEntities, func(e *tandem.KnownEntity) key { return key{e.ServiceID, e.ID, e.Kind} })
	return a.insert(ctx, a.tx, "remote_entities", "organization_id, service_id, kind, id, name, was",
		" ON CONFLICT (organization_id, service_id, kind, id) DO UPDATE SET "+assign("name", "was"),
		len(rows), func(b *bulk, i int) {
			b.text(a.org)
			b.text(rows[i].ServiceID)
			b.text(string(rows[i].Kind))
			b.text(rows[i].ID)
			b.text(rows[i].Name)
			b.opt(rows[i].Was)
		})
}

const runWritten = `organization_id, id, service_id, operation, trigger, device_id, status, forced, processed, successful, failed, conflicts,
	local_created, local_updated, local_deleted, remote_created, remote_updated, remote_deleted,
	details, plan_id, reverts, error, error_folded, started_at, completed_at, duration_ms, created_by, created_at`

var rewriteRun = " ON CONFLICT (organization_id, id) DO UPDATE SET " + assign("status", "forced", "processed", "successful", "failed", "conflicts",
	"local_created", "local_updated", "local_deleted", "remote_created", "remote_updated", "remote_deleted",
	"details", "plan_id", "reverts", "error", "error_folded", "started_at", "completed_at", "duration_ms", "created_by")

// runs adds or rewrites runs; a request to cancel stays.
func (a *apply) runs(ctx context.Context) error {
	rows := lastOf(a.PutRuns, func(r *tandem.Run) string { return r.ID })
	return a.insert(ctx, a.tx, "golioth_sync_log", runWritten, rewriteRun, len(rows), func(b *bulk, i int) {
		r := rows[i]
		b.text(a.org)
		b.text(r.ID)
		b.text(r.ServiceID)
		b.text(string(r.Operation))
		b.text(string(r.Trigger))
		b.opt(r.DeviceID)
		b.text(string(r.Status))
		b.bool(r.Forced)
		for _, n := range []int{r.Summary.Processed, r.Summary.Successful, r.Summary.Failed, r.Summary.Conflicts,
			r.Summary.Local.Created, r.Summary.Local.Updated, r.Summary.Local.Deleted,
			r.Summary.Remote.Created, r.Summary.Remote.Updated, r.Summary.Remote.Deleted} {
			b.int(int64(n))
		}
		b.raw(r.Details)
		b.opt(r.PlanID)
		b.opt(r.Reverts)
		b.opt(r.Error)
		b.opt(fold(r.Error))
		b.optTime(r.StartedAt)
		b.optTime(r.CompletedAt)
		b.int(r.DurationMS)
		b.opt(r.CreatedBy)
		b.instant(r.CreatedAt)
	})
}

// services notes what a run found on its service. It moves no version.
func (a *apply) services(ctx context.Context) error {
	for i := range a.PutServices {
		mark := &a.PutServices[i]
		b := bulk{dialect: a.dialect}
		set := "updated_at = updated_at"
		assign := func(column string, write func()) { set += ", " + column + " = " + string(b.literal(write)) }
		if mark.Pin != nil {
			assign("project_identity", func() { b.json(mark.Pin, *mark.Pin == tandem.ProjectIdentity{}) })
		}
		if mark.State != nil {
			assign("state", func() { b.text(string(*mark.State)) })
		}
		if mark.StateReason != nil {
			assign("state_reason", func() { b.opt(*mark.StateReason) })
		}
		if mark.RetryAt != nil {
			assign("retry_at", func() { b.optTime(*mark.RetryAt) })
		}
		if mark.ApprovedConfig != nil {
			assign("approved_config", func() { b.opt(*mark.ApprovedConfig) })
		}
		if mark.LastListedAt != nil {
			assign("last_listed_at", func() { b.optTime(mark.LastListedAt) })
		}
		if mark.LastRunID != nil {
			assign("last_run_id", func() { b.opt(*mark.LastRunID) })
		}
		if mark.LastRunAt != nil {
			assign("last_run_at", func() { b.optTime(mark.LastRunAt) })
		}
		if mark.NextSyncAt != nil {
			assign("next_sync_at", func() { b.optTime(*mark.NextSyncAt) })
		}
		if mark.SyncFailures != nil {
			assign("sync_failures", func() { b.int(int64(*mark.SyncFailures)) })
		}
		if b.err != nil {
			return b.err
		}
		result, err := a.tx.ExecContext(ctx, "UPDATE device_services SET "+set+" WHERE organization_id = "+quoted(a.org)+" AND id = "+quoted(mark.ServiceID))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return noRowsAffected(err, missing("service", mark.ServiceID))
		}
	}
	return nil
}

// noRowsAffected gives err, or instead where there is none.
func noRowsAffected(err error, instead *tandem.Error) error {
	if err != nil {
		return err
	}
	return instead
}
