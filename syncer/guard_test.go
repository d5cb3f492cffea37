package syncer_test

import (
	"fmt"
	"testing"
	"time"

	"tandem"
)

// openPlans gives the service's plans that wait for a person.
func (w *world) openPlans() []string {
	w.t.Helper()
	all, err := w.store.Plans(w.ctx, w.org, w.service.ID)
	w.must(err)
	ids := []string{}
	for _, p := range all {
		if p.Status == tandem.PlanOpen {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// deletions are the four ways in which links end, and how to see that one did.
var deletions = map[string]struct {
	option option
	there  bool // the device goes there first, else here
	done   func(w *world, external, device, name string) bool
}{
	"unlinks": {onRemoteDelete(tandem.UnlinkLocal), true, func(w *world, _, device, _ string) bool { return !w.isLinked(device) }},
	"deletes here": {onRemoteDelete(tandem.DeleteLocal), true, func(w *world, _, device, _ string) bool {
		return w.device(device).DeletedAt != nil
	}},
	"recreates": {onRemoteDelete(tandem.RecreateRemote), true, func(w *world, _, _, name string) bool {
		_, err := w.sim.DeviceByName(w.project, name)
		return err == nil
	}},
	"deletes there": {deletingRemote, false, func(w *world, external, _, _ string) bool { return !w.hasRemote(external) }},
}

// TestS18Removals: too many deletes, unlinks or recreates are held back, exactly these, until a person lets them through.
func TestS18Removals(t *testing.T) {
	for name, c := range deletions {
		t.Run(name, func(t *testing.T) {
			w, ids := stocked(t, 60, c.option)
			some := ids[10:17] // seven of sixty; a tenth is six
			devices := map[string]tandem.Device{}
			for _, id := range some {
				devices[id] = w.localOf(id)
			}
			if c.there {
				w.deleteRemote(some...)
			}
			for _, d := range devices {
				if !c.there {
					w.deleteLocal(d.ID)
				}
			}
			done := func() (n int) {
				for id, d := range devices {
					if c.done(w, id, d.ID, d.Name) {
						n++
					}
				}
				return n
			}
			w.editRemote(ids[0], rename("moves on")) // what is not held goes on
			fresh := w.remote("fresh")
			run := w.sync(tandem.OpBidirectional)
			w.ended(run, tandem.RunBlocked)
			w.equal(done(), 0)
			w.equal(w.localOf(ids[0]).Name, "moves on")
			w.equal(w.localOf(fresh).Name, "fresh")
			w.equal(w.details(run).Held, 7)
			w.equal(w.openPlans(), []string{run.PlanID})
			w.equal(run.Error != "", true)

			// The next run holds the same back, and only the newest plan stays open.
			again := w.sync(tandem.OpBidirectional)
			w.ended(again, tandem.RunBlocked)
			w.equal(w.openPlans(), []string{again.PlanID})

			let, err := w.engine.Approve(w.ctx, w.org, again.ID, "ada", nil)
			w.must(err)
			w.completed(let)
			w.equal(done(), 7)
			w.equal(w.openPlans(), []string{})
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestS18ApprovedIsChecked: an approval lets through what was held, and nothing that moved since or came later.
func TestS18ApprovedIsChecked(t *testing.T) {
	w, ids := stocked(t, 60, deletingRemote)
	for _, id := range ids[:7] {
		w.deleteLocal(w.localOf(id).ID)
	}
	run := w.sync(tandem.OpBidirectional)
	w.ended(run, tandem.RunBlocked)
	w.editRemote(ids[0], rename("changed since"))
	w.editRemote(ids[30], rename("another edit"))
	w.deleteLocal(w.localOf(ids[20]).ID)
	newcomer := w.remote("newcomer")
	let, err := w.engine.Approve(w.ctx, w.org, run.ID, "ada", nil)
	w.must(err)
	w.equal(w.hasRemote(ids[0]), true)
	w.equal(w.hasRemote(ids[20]), true)
	w.equal(w.remoteCount(), 61-6)
	w.equal(w.localOf(ids[30]).Name, "gw-030")
	_, err = w.store.Assignment(w.ctx, w.org, w.service.ID, newcomer)
	w.wantCode(err, tandem.NotFound)
	w.ended(let, tandem.RunPartial) // what moved is left out and named
	w.equal(w.conflict("").Type, tandem.DeletedLocally)

	_, err = w.engine.Approve(w.ctx, w.org, run.ID, "ada", nil)
	w.wantCode(err, tandem.Stale) // a plan is used once
}

// TestS18Discard: what a person discards is dropped; what caused it is still there, and held again.
func TestS18Discard(t *testing.T) {
	w, ids := stocked(t, 60)
	w.deleteRemote(ids[:7]...)
	run := w.sync(tandem.OpBidirectional)
	w.ended(run, tandem.RunBlocked)
	w.must(w.engine.Discard(w.ctx, w.org, run.ID, "ada"))
	w.equal(w.openPlans(), []string{})
	_, err := w.engine.Approve(w.ctx, w.org, run.ID, "ada", nil)
	w.wantCode(err, tandem.Stale)
	again := w.sync(tandem.OpBidirectional)
	w.ended(again, tandem.RunBlocked)
	w.equal(w.openPlans(), []string{again.PlanID})
	_, err = w.engine.Approve(w.ctx, w.org, w.sync(tandem.OpImport).ID, "ada", nil)
	w.must(err)
	completed := w.sync(tandem.OpBidirectional)
	_, err = w.engine.Approve(w.ctx, w.org, completed.ID, "ada", nil)
	w.wantCode(err, tandem.Invalid) // nothing in it waits
}

// TestS18Day: removals count over 24 hours.
func TestS18Day(t *testing.T) {
	w, ids := stocked(t, 60)
	w.deleteRemote(ids[:4]...)
	w.completed(w.sync(tandem.OpBidirectional))
	w.deleteRemote(ids[4:7]...)
	run := w.sync(tandem.OpBidirectional) // four and three
	w.ended(run, tandem.RunBlocked)
	w.equal(w.details(run).Held, 3)
	w.advance(24 * time.Hour)
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.isLinked(w.localOf(ids[6]).ID), false)
}

// TestS18CountsItsOwn: what a person unlinked or settled by hand, and tombstones that are only unlinked, take
// nothing from what the guard lets through.
func TestS18CountsItsOwn(t *testing.T) {
	w, ids := stocked(t, 30)
	for _, id := range ids[:6] {
		w.must(w.engine.Unlink(w.ctx, w.org, w.service.ID, w.localOf(id).ID, "ada"))
	}
	for _, id := range ids[6:12] {
		w.deleteLocal(w.localOf(id).ID) // delete_remote is off: they are unlinked
	}
	w.completed(w.sync(tandem.OpBidirectional))
	w.deleteRemote(ids[12:16]...)
	w.completed(w.sync(tandem.OpBidirectional))
	w.deleteRemote(ids[16:18]...) // four and two of them
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunBlocked)
}

// TestS18Half: more than half of the linked devices are held whatever the settings say.
func TestS18Half(t *testing.T) {
	w, ids := stocked(t, 10, config(func(c *tandem.ServiceConfig) { c.Guards.MaxDelete = 1 }))
	w.deleteRemote(ids[:6]...)
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunBlocked)
	other, more := stocked(t, 10, config(func(c *tandem.ServiceConfig) { c.Guards.MaxDelete = 1 }))
	other.deleteRemote(more[:5]...)
	other.completed(other.sync(tandem.OpBidirectional))
}

// TestS18EmptyListing: where there were devices, an empty listing is held, however few they were.
func TestS18EmptyListing(t *testing.T) {
	w, ids := stocked(t, 2)
	w.deleteRemote(ids...)
	run := w.sync(tandem.OpBidirectional)
	w.ended(run, tandem.RunBlocked)
	w.equal(w.isLinked(w.localOf(ids[0]).ID), true)
	let, err := w.engine.Approve(w.ctx, w.org, run.ID, "ada", nil)
	w.must(err)
	w.completed(let)
	w.equal(w.isLinked(w.localOf(ids[0]).ID), false)
}

// TestS18Rollouts: exports of enabled and cohort are guarded alike, and nothing else is held with them.
func TestS18Rollouts(t *testing.T) {
	for field, edit := range map[string]func(*tandem.Device){
		"enabled": func(d *tandem.Device) { d.Enabled = false },
		"cohort":  func(d *tandem.Device) { d.Cohort = "early" },
	} {
		t.Run(field, func(t *testing.T) {
			w, ids := stocked(t, 60)
			w.entity(tandem.CohortEntity, "early")
			is := func(id string) bool { d := w.remoteDevice(id); return !d.Enabled || d.CohortID == "early" }
			for i, id := range ids[:7] {
				w.editLocal(w.localOf(id).ID, func(d *tandem.Device) { edit(d); d.Name = fmt.Sprintf("renamed-%d", i) })
			}
			run := w.sync(tandem.OpBidirectional)
			w.ended(run, tandem.RunBlocked)
			w.equal(w.details(run).Held, 7)
			for i, id := range ids[:7] {
				w.equal(is(id), false)
				w.equal(w.remoteDevice(id).Name, fmt.Sprintf("renamed-%d", i))
			}
			let, err := w.engine.Approve(w.ctx, w.org, run.ID, "ada", nil)
			w.must(err)
			w.completed(let)
			for _, id := range ids[:7] {
				w.equal(is(id), true)
			}
			w.quiet(tandem.OpBidirectional)
		})
	}
}

// TestS18RolloutsOfSomeDevices: a run about some devices, and its preview, hold them back alike.
func TestS18RolloutsOfSomeDevices(t *testing.T) {
	w, ids := stocked(t, 20)
	var some []string
	for _, id := range ids[:7] {
		some = append(some, w.localOf(id).ID)
		w.editLocal(w.localOf(id).ID, func(d *tandem.Device) { d.Enabled, d.Tags = false, []string{"new"} })
	}
	disabled := func() (n int) {
		for _, id := range ids {
			if !w.remoteDevice(id).Enabled {
				n++
			}
		}
		return n
	}
	req := tandem.RunRequest{Operation: tandem.OpBidirectional, DeviceIDs: some}
	p, _ := w.preview(req)
	w.equal(p.Run.Status, tandem.RunBlocked)
	run, err := w.run(req)
	w.must(err)
	w.ended(run, tandem.RunBlocked)
	w.equal([]int{disabled(), w.details(run).Held, len(w.remoteTags(ids[6]))}, []int{0, 7, 1})
	let, err := w.engine.Approve(w.ctx, w.org, run.ID, "ada", nil)
	w.must(err)
	w.completed(let)
	w.equal(disabled(), 7)
	w.quiet(tandem.OpBidirectional)
}

// TestS18RolloutsMetLate: edits made while the run is under way are counted too; what was let through before
// the limit was reached stays.
func TestS18RolloutsMetLate(t *testing.T) {
	var h hooks
	w, ids := stocked(t, 20, h.hooked(), config(func(c *tandem.ServiceConfig) { c.Concurrency = 1 }))
	var some []string
	for _, id := range ids[:9] {
		some = append(some, w.localOf(id).ID)
	}
	once := true
	h.on(func(call, _ string) error {
		if call == "remote read" && once {
			once = false
			for _, id := range some {
				w.editLocal(id, func(d *tandem.Device) { d.Enabled = false })
			}
		}
		return nil
	}, nil)
	run, err := w.run(tandem.RunRequest{Operation: tandem.OpBidirectional, DeviceIDs: some})
	w.must(err)
	disabled := 0
	for _, id := range ids {
		if !w.remoteDevice(id).Enabled {
			disabled++
		}
	}
	w.ended(w.sync(tandem.OpBidirectional), tandem.RunBlocked) // with those of the run before
	if disabled > 5 {
		t.Errorf("%d devices were disabled: %s", disabled, run.Status)
	}
}

// TestS18RenamesAreNoDeletes: any number of renames goes through.
func TestS18RenamesAreNoDeletes(t *testing.T) {
	w, ids := stocked(t, 30)
	for i, id := range ids {
		w.editLocal(w.localOf(id).ID, func(d *tandem.Device) { d.Name = fmt.Sprintf("new-%d", i) })
	}
	w.completed(w.sync(tandem.OpBidirectional))
	w.equal(w.remoteDevice(ids[29]).Name, "new-29")
}

// TestS18Plan: a dry run says that the guard would hold it.
func TestS18Plan(t *testing.T) {
	w, ids := stocked(t, 60)
	w.deleteRemote(ids[:7]...)
	p, changes := w.preview(tandem.RunRequest{Operation: tandem.OpBidirectional})
	w.equal(p.Run.Status, tandem.RunBlocked)
	w.equal(len(changes), 7)
	w.equal(w.isLinked(w.localOf(ids[0]).ID), true)
}
