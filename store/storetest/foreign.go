package storetest

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"tandem"
)

// filled names what an organization with one of everything has.
type filled struct {
	server                        serverFilled
	people                        peopleFilled
	org                           string
	service                       tandem.Service
	device                        tandem.Device
	assignment                    tandem.Assignment
	intent                        tandem.Intent
	run                           tandem.Run
	entry                         tandem.Entry
	conflict                      tandem.Conflict
	plan                          tandem.Plan
	lease                         tandem.Lease
	tag                           tandem.KnownEntity
	remote                        tandem.NotLinked
	external, hardware, remoteKey string
}

// full puts one of everything into an organization.
func full(w *world) filled {
	w.Helper()
	f := filled{org: w.org, external: "ext-" + w.org, hardware: "shared-hardware", remoteKey: "remote-" + w.org}
	f.service = w.service("svc-" + w.org)
	f.device = w.device("dev-"+w.org, func(d *tandem.Device) { d.HardwareIDs, d.Tags = []string{f.hardware}, []string{"red"} })
	f.assignment = w.link(f.device, f.service, f.external)
	f.run, f.intent = w.newRun(f.service), w.newIntent(f.service, f.device)
	f.entry = w.newEntry(f.run, f.device, func(e *tandem.Entry) { e.Side, e.Path = tandem.RemoteSide, "enabled" })
	removal := w.newEntry(f.run, f.device, func(e *tandem.Entry) { e.Action = tandem.ActDelete })
	f.conflict, f.remote = w.newConflict(f.service, f.device, "name"), w.newNotLinked(f.service, f.remoteKey, "remote")
	f.tag = tandem.KnownEntity{ServiceID: f.service.ID, RemoteEntity: tandem.RemoteEntity{Kind: tandem.TagEntity, ID: "t", Name: "red"}}
	w.apply(tandem.Changes{PutRuns: []tandem.Run{f.run}, PutIntents: []tandem.Intent{f.intent}, Entries: []tandem.Entry{f.entry, removal},
		PutConflicts: []tandem.Conflict{f.conflict}, PutNotLinked: []tandem.NotLinked{f.remote}, PutEntities: []tandem.KnownEntity{f.tag}})
	var err error
	f.conflict, err = w.st.Conflict(w.ctx, w.org, f.conflict.ID)
	w.must(err)
	f.plan = tandem.Plan{ID: w.id(), OrganizationID: w.org, ServiceID: f.service.ID, Operation: tandem.OpExport, Reason: tandem.PlanSaved, Status: tandem.PlanOpen, CreatedAt: w.now}
	w.must(w.st.CreatePlan(w.ctx, w.org, f.plan))
	w.must(w.st.AppendPlan(w.ctx, w.org, f.plan.ID, []tandem.Change{{Side: tandem.RemoteSide, Action: tandem.ActUpdate, DeviceID: f.device.ID, ExternalDeviceID: f.external}}))
	f.lease, err = w.st.AcquireLease(w.ctx, w.org, f.service.ID, "holder", f.run.ID, time.Hour)
	w.must(err)
	_, _, err = w.st.TakeRequests(w.ctx, w.org, f.service.ID, 1, 60)
	w.must(err)
	_, err = w.st.TakeSlots(w.ctx, w.org, f.service.ID, "holder", 5, 5, time.Hour)
	w.must(err)
	f.server = fillServer(w, f)
	f.people = fillPeople(w, f)
	return f
}

// snapshot gives all that an organization's reads show, as text.
func snapshot(w *world, without ...string) string {
	w.Helper()
	all := map[string]any{}
	put := func(name string, v any, err error) {
		w.Helper()
		w.must(err)
		if !slices.Contains(without, name) {
			all[name] = v
		}
	}
	page := tandem.Page{Limit: 1000}
	devices, _, err := w.st.Devices(w.ctx, w.org, tandem.DeviceFilter{Now: w.now, Sort: "device_id", Page: page})
	put("devices", devices, err)
	runs, _, err := w.st.Runs(w.ctx, w.org, tandem.RunFilter{Page: page})
	put("runs", runs, err)
	entries, _, err := w.st.Entries(w.ctx, w.org, tandem.EntryFilter{Page: page})
	put("entries", entries, err)
	conflicts, _, err := w.st.Conflicts(w.ctx, w.org, tandem.ConflictFilter{All: true, Page: page})
	put("conflicts", conflicts, err)
	for _, run := range runs {
		asked, err := w.st.CancelRequested(w.ctx, w.org, run.ID)
		put("cancel "+run.ID, asked, err)
	}
	services, err := w.st.Services(w.ctx, w.org)
	put("services", services, err)
	for _, s := range services {
		put("hidden "+s.ID, []any{s.Credentials, s.ApprovedConfig}, nil)
		linked, err := w.st.LinkedIDs(w.ctx, w.org, s.ID, "", 1000)
		put("linked "+s.ID, linked, err)
		intents, err := w.st.Intents(w.ctx, w.org, s.ID)
		put("intents "+s.ID, intents, err)
		entities, err := w.st.KnownEntities(w.ctx, w.org, s.ID)
		put("entities "+s.ID, entities, err)
		remote, _, err := w.st.NotLinked(w.ctx, w.org, s.ID, tandem.NotLinkedFilter{Ignored: true, Page: page})
		put("remote "+s.ID, remote, err)
		plans, err := w.st.Plans(w.ctx, w.org, s.ID)
		put("plans "+s.ID, plans, err)
		for _, p := range plans {
			rows, err := w.st.PlanRows(w.ctx, w.org, p.ID, 0, 1000)
			put("rows "+p.ID, rows, err)
		}
	}
	snapshotServer(w, put)
	snapshotPeople(w, put)
	return string(marshal(all))
}

// auditParts are what a snapshot shows of the audit, which outlives its organization.
var auditParts = []string{"audit", "checkpoint", "unsealed"}

// withoutOrganization lists the calls that are not made for one organization.
var withoutOrganization = map[string]bool{"Now": true, "Close": true, "CreateOrganization": true, "UpdateOrganization": true,
	"DeleteOrganization": true, "Organizations": true, "Organization": true,
	// the background work's, which looks after all organizations
	"WebhookService": true, "StoreDeliveries": true, "StoreAndClaim": true, "ClaimDeliveries": true, "AlertsToEscalate": true, "ClaimNotifications": true, "KeepNotifications": true,
	"DueServices": true, "ActiveServices": true, "ServicesToPush": true, "UnendedRuns": true, "ClaimJobs": true, "DropJobs": true,
	"WaitForJobs": true, "EventsSince": true, "WaitForEvents": true, "Prune": true, "RollUp": true, "OrganizationsToSeal": true,
	// about people, who belong to none, and what they hold
	"CreateUser": true, "Admit": true, "InvitationTo": true, "DeletedOrganizations": true, "UpdateUser": true, "NoteLogin": true, "User": true, "UserBySubject": true, "CountUsers": true, "Belongings": true,
	"CreateLink": true, "Link": true, "UseLink": true, "Session": true, "PutSession": true, "DeleteSession": true, "DeleteSessions": true, "TokenByHash": true,
	// the gateway's, to which devices of all organizations come
	"FindCredential": true, "TouchCredentials": true, "ApplyAll": true, "ExpireCommands": true}

// cases of calls, by method.
type cases map[string]func(b *world, a filled) []outcome

// foreignCases call each method as b's organization with a's ids, and give what that found.
var foreignCases = merged(syncForeign, serverForeign, peopleForeign, overviewForeign, gatewayForeign)

// merged puts the cases of several files together.
func merged(some ...cases) cases {
	all := cases{}
	for _, one := range some {
		maps.Copy(all, one)
	}
	return all
}

var syncForeign = cases{
	"Apply": foreignApply,
	"CreateService": func(b *world, a filled) []outcome { // an id is an organization's own: this makes b's
		return got(nil, b.st.CreateService(b.ctx, b.org, a.service))
	},
	"UpdateService": func(b *world, a filled) []outcome { return refused(b.st.UpdateService(b.ctx, b.org, a.service)) },
	"DeleteService": func(b *world, a filled) []outcome {
		n, err := b.st.DeleteService(b.ctx, b.org, a.service.ID, a.service.Version, b.now)
		return append(got(n, err), refused(err)...)
	},
	"DetachService": func(b *world, a filled) []outcome {
		n, err := b.st.DetachService(b.ctx, b.org, tandem.Fence{ServiceID: a.service.ID, Token: a.lease.Fence}, tandem.Run{ID: b.id(), ServiceID: a.service.ID},
			func(tandem.Linked) tandem.Entry { return tandem.Entry{ID: b.id()} }, b.now)
		return append(got(n, err), refused(err)...)
	},
	"Services": func(b *world, a filled) []outcome { return one(b.st.Services(b.ctx, b.org)) },
	"Service": func(b *world, a filled) []outcome {
		_, byID := b.st.Service(b.ctx, b.org, a.service.ID)
		_, byName := b.st.Service(b.ctx, b.org, a.service.Name)
		return refused(byID, byName)
	},
	"Device": func(b *world, a filled) []outcome {
		_, err := b.st.Device(b.ctx, b.org, a.device.ID)
		return refused(err)
	},
	"FindDevices": func(b *world, a filled) []outcome {
		var all []outcome
		for _, ref := range []string{a.device.ID, a.device.DeviceID, a.device.Name} {
			all = append(all, one(b.st.FindDevices(b.ctx, b.org, ref))...)
		}
		return all
	},
	"Devices": func(b *world, a filled) []outcome {
		var all []outcome
		for _, f := range []tandem.DeviceFilter{{}, {IDs: []string{a.device.ID}}, {Search: a.device.Name}, {ServiceID: a.service.ID}, {Tag: "red"}, {NotLinked: true}} {
			all = append(all, two(b.st.Devices(b.ctx, b.org, f))...)
		}
		return all
	},
	"Assignments": func(b *world, a filled) []outcome {
		return one(b.st.Assignments(b.ctx, b.org, []string{a.device.ID}))
	},
	"Assignment": func(b *world, a filled) []outcome {
		_, err := b.st.Assignment(b.ctx, b.org, a.service.ID, a.external)
		return refused(err)
	},
	"LinkedByExternal": func(b *world, a filled) []outcome {
		return one(b.st.LinkedByExternal(b.ctx, b.org, a.service.ID, []string{a.external}))
	},
	"Reporting": func(b *world, a filled) []outcome {
		return one(b.st.Reporting(b.ctx, b.org, a.service.ID, []string{a.external}))
	},
	"LinkedByDevice": func(b *world, a filled) []outcome {
		return one(b.st.LinkedByDevice(b.ctx, b.org, a.service.ID, []string{a.device.ID}))
	},
	"LinkedIDs":   func(b *world, a filled) []outcome { return one(b.st.LinkedIDs(b.ctx, b.org, a.service.ID, "", 10)) },
	"LinkedCount": func(b *world, a filled) []outcome { return one(b.st.LinkedCount(b.ctx, b.org, a.service.ID)) },
	"StateUnread": func(b *world, a filled) []outcome { return one(b.st.StateUnread(b.ctx, b.org, a.service.ID, 10)) },
	"LocalOnly":   func(b *world, a filled) []outcome { return one(b.st.LocalOnly(b.ctx, b.org, a.service.ID, "", 10)) },
	"Candidates": func(b *world, a filled) []outcome {
		return one(b.st.Candidates(b.ctx, b.org, a.service.ID, []tandem.Probe{{Name: a.device.Name, HardwareIDs: []string{a.hardware}}, {Name: a.device.DeviceID}}))
	},
	"Intents":       func(b *world, a filled) []outcome { return one(b.st.Intents(b.ctx, b.org, a.service.ID)) },
	"KnownEntities": func(b *world, a filled) []outcome { return one(b.st.KnownEntities(b.ctx, b.org, a.service.ID)) },
	"NotLinked": func(b *world, a filled) []outcome {
		return two(b.st.NotLinked(b.ctx, b.org, a.service.ID, tandem.NotLinkedFilter{Ignored: true}))
	},
	"RecentChanges": func(b *world, a filled) []outcome {
		return one(b.st.RecentChanges(b.ctx, b.org, []string{a.device.ID}, 9))
	},
	"Removals": func(b *world, a filled) []outcome { return one(b.st.Removals(b.ctx, b.org, a.service.ID, time.Time{})) },
	"Rollouts": func(b *world, a filled) []outcome { return one(b.st.Rollouts(b.ctx, b.org, a.service.ID, time.Time{})) },
	"Run": func(b *world, a filled) []outcome {
		_, err := b.st.Run(b.ctx, b.org, a.run.ID)
		return refused(err)
	},
	"Runs": func(b *world, a filled) []outcome {
		return append(two(b.st.Runs(b.ctx, b.org, tandem.RunFilter{})), two(b.st.Runs(b.ctx, b.org, tandem.RunFilter{ServiceID: a.service.ID}))...)
	},
	"Entries": func(b *world, a filled) []outcome {
		return append(two(b.st.Entries(b.ctx, b.org, tandem.EntryFilter{RunID: a.run.ID})), two(b.st.Entries(b.ctx, b.org, tandem.EntryFilter{DeviceID: a.device.ID}))...)
	},
	"DoneEntries": func(b *world, a filled) []outcome {
		return one(b.st.DoneEntries(b.ctx, b.org, a.run.ID, tandem.EntryPlace{}, 10))
	},
	"RequestCancel":   func(b *world, a filled) []outcome { return refused(b.st.RequestCancel(b.ctx, b.org, a.run.ID)) },
	"CancelRequested": func(b *world, a filled) []outcome { return one(b.st.CancelRequested(b.ctx, b.org, a.run.ID)) },
	"Conflict": func(b *world, a filled) []outcome {
		_, err := b.st.Conflict(b.ctx, b.org, a.conflict.ID)
		return refused(err)
	},
	"Conflicts": func(b *world, a filled) []outcome {
		return append(two(b.st.Conflicts(b.ctx, b.org, tandem.ConflictFilter{All: true})),
			two(b.st.Conflicts(b.ctx, b.org, tandem.ConflictFilter{IDs: []string{a.conflict.ID}, DeviceIDs: []string{a.device.ID}}))...)
	},
	"CreatePlan": func(b *world, a filled) []outcome { return refused(b.st.CreatePlan(b.ctx, b.org, a.plan)) }, // a's service
	"AppendPlan": func(b *world, a filled) []outcome {
		return refused(b.st.AppendPlan(b.ctx, b.org, a.plan.ID, []tandem.Change{{Side: tandem.LocalSide, Action: tandem.ActUpdate}}))
	},
	"SealPlan": func(b *world, a filled) []outcome { return refused(b.st.SealPlan(b.ctx, b.org, a.plan.ID, 9, "sum")) },
	"Plan": func(b *world, a filled) []outcome {
		_, err := b.st.Plan(b.ctx, b.org, a.plan.ID)
		return refused(err)
	},
	"Plans": func(b *world, a filled) []outcome {
		return append(one(b.st.Plans(b.ctx, b.org, a.service.ID)), one(b.st.Plans(b.ctx, b.org, ""))...)
	},
	"PlanRows": func(b *world, a filled) []outcome { return one(b.st.PlanRows(b.ctx, b.org, a.plan.ID, 0, 10)) },
	"PlanRowsOf": func(b *world, a filled) []outcome {
		return one(b.st.PlanRowsOf(b.ctx, b.org, a.plan.ID, []string{a.device.ID}, []string{a.external}))
	},
	"PlanChanges": func(b *world, a filled) []outcome {
		found, total, err := b.st.PlanChanges(b.ctx, b.org, a.plan.ID, tandem.PlanFilter{})
		return append(got(found, nil), append(got(total, nil), refused(err)...)...)
	},
	"PlanGroups": func(b *world, a filled) []outcome {
		found, err := b.st.PlanGroups(b.ctx, b.org, a.plan.ID)
		return append(got(found, nil), refused(err)...)
	},
	"ClosePlan": func(b *world, a filled) []outcome {
		return refused(b.st.ClosePlan(b.ctx, b.org, a.plan.ID, tandem.PlanDiscarded, b.now))
	},
	"AcquireLease": func(b *world, a filled) []outcome {
		_, err := b.st.AcquireLease(b.ctx, b.org, a.service.ID, "thief", "run", time.Minute)
		return refused(err)
	},
	"RenewLease": func(b *world, a filled) []outcome {
		_, err := b.st.RenewLease(b.ctx, b.org, a.lease, time.Minute)
		return refused(err)
	},
	"ReleaseLease": func(b *world, a filled) []outcome { return got(nil, b.st.ReleaseLease(b.ctx, b.org, a.lease)) },
	"TakeRequests": func(b *world, a filled) []outcome {
		n, _, err := b.st.TakeRequests(b.ctx, b.org, a.service.ID, 1, 60)
		return append(got(n, err), refused(err)...)
	},
	"TakeSlots": func(b *world, a filled) []outcome {
		n, err := b.st.TakeSlots(b.ctx, b.org, a.service.ID, "holder", 0, 5, time.Minute)
		return got(n, err)
	},
}

// foreignApply tries every member of Changes with a's ids.
func foreignApply(b *world, a filled) []outcome {
	mine := b.device("mine")
	own := b.service("own")
	degraded, device, assignment, conflict := tandem.ServiceDegraded, a.device, a.assignment, a.conflict
	device.Name, assignment.Status, conflict.Status = "stolen", tandem.SyncUnlinked, tandem.ConflictIgnored
	must := func(changes tandem.Changes) outcome { // must be refused
		return outcome{err: b.st.Apply(b.ctx, b.org, &changes), refuse: true}
	}
	may := func(changes tandem.Changes) outcome { // may do nothing, or something of b's own
		return outcome{err: b.st.Apply(b.ctx, b.org, &changes)}
	}
	second := b.newConflict(a.service, mine, "tags")
	return append(append(foreignServerChanges(b, a, must, may), foreignPeopleChanges(b, a, must, may)...), []outcome{
		must(tandem.Changes{UpdateDevices: []tandem.Device{device}}),
		must(tandem.Changes{UpdateAssignments: []tandem.Assignment{assignment}}),
		must(tandem.Changes{PutConflicts: []tandem.Conflict{conflict}}),
		must(tandem.Changes{PutConflicts: []tandem.Conflict{second}}),
		must(tandem.Changes{CreateAssignments: []tandem.Assignment{b.newAssignment(mine, a.service, "stolen")}}),
		must(tandem.Changes{CreateAssignments: []tandem.Assignment{b.newAssignment(a.device, own, "stolen")}}),
		must(tandem.Changes{PutIntents: []tandem.Intent{b.newIntent(a.service, mine)}}),
		must(tandem.Changes{PutNotLinked: []tandem.NotLinked{a.remote}}),
		must(tandem.Changes{PutEntities: []tandem.KnownEntity{a.tag}}),
		must(tandem.Changes{PutRuns: []tandem.Run{a.run}}),
		must(tandem.Changes{PutServices: []tandem.ServiceMark{{ServiceID: a.service.ID, State: &degraded}}}),
		must(tandem.Changes{Fence: &tandem.Fence{ServiceID: a.service.ID, Token: a.lease.Fence}}),
		may(tandem.Changes{CreateDevices: []tandem.Device{a.device}}),
		may(tandem.Changes{Observe: []tandem.Observation{{DeviceID: a.device.ID, Observed: tandem.Observed{LastSeen: &b.now}}}}),
		may(tandem.Changes{DropIntents: []string{a.intent.ID}}),
		may(tandem.Changes{ShowNotLinked: []tandem.NotLinkedKey{{ServiceID: a.service.ID, ExternalDeviceID: a.remoteKey}}}),
		may(tandem.Changes{DropNotLinked: []tandem.NotLinkedKey{{ServiceID: a.service.ID, ExternalDeviceID: a.remoteKey}}}),
		may(tandem.Changes{Entries: []tandem.Entry{a.entry}}),
	}...)
}

// outcome is what a foreign call gave.
type outcome struct {
	found  any // must be empty
	err    error
	refuse bool // an error is due
}

func got(found any, err error) []outcome { return []outcome{{found: found, err: err}} }

func one[T any](found T, err error) []outcome { return got(found, err) }

func two[T any](found T, total int, err error) []outcome {
	return append(got(found, err), got(total, nil)...)
}

func refused(errs ...error) []outcome {
	return pick(errs, func(err error) outcome { return outcome{err: err, refuse: true} })
}

var foreignTests = map[string]func(*world){
	"every method has a case": func(w *world) {
		store := reflect.TypeFor[tandem.ServerStore]()
		for i := range store.NumMethod() {
			name := store.Method(i).Name
			if _, has := foreignCases[name]; has == withoutOrganization[name] {
				w.Errorf("%s needs a case with another organization's ids, or a place among the calls without an organization", name)
			}
		}
		for name := range foreignCases {
			if _, has := store.MethodByName(name); !has {
				w.Errorf("there is no method %s any more", name)
			}
		}
	},
	"every call with another organization's ids": func(w *world) {
		a := full(w)
		before := snapshot(w)
		for _, name := range sorted(foreignCases) {
			for _, o := range foreignCases[name](w.other(), a) {
				if o.err == nil && o.refuse {
					w.Errorf("%s: no error", name)
				}
				// Busy or Exists would tell that the other organization has it.
				if o.err != nil && !tandem.Is(o.err, tandem.NotFound, tandem.Stale, tandem.LeaseLost, tandem.Invalid) {
					w.Errorf("%s: %v (code %q)", name, o.err, tandem.CodeOf(o.err))
				}
				if v := reflect.ValueOf(o.found); o.found != nil && !(v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) {
					w.Errorf("%s shows another organization's %+v", name, o.found)
				}
			}
			if after := snapshot(w); after != before {
				w.Fatalf("%s changed another organization: %s", name, diff(after, before))
			}
		}
		if _, err := w.st.RenewLease(w.ctx, w.org, a.lease, time.Hour); err != nil {
			w.Errorf("the lease is gone: %v", err)
		}
		if n, err := w.st.TakeSlots(w.ctx, w.org, a.service.ID, "other", 1, 5, time.Hour); err != nil || n != 0 {
			w.Errorf("the slots were given away: %d, %v", n, err)
		}
	},
}

// Fill puts one of everything into a new organization and gives its id, for tests of one database only.
func Fill(t *testing.T, st tandem.ServerStore) string {
	w := newWorld(t, []tandem.ServerStore{st})
	full(w)
	return w.org
}
