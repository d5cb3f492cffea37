package syncer

import (
	"context"
	"encoding/json"
	"errors"

	"tandem"
)

// createRemote creates what is here and not there, where the service wants that (S13). It takes a
// proven listing: only then is certain that they are not there.
func (r *run) createRemote(ctx context.Context, w *work, l *listed) error {
	if !r.createsRemote() || !l.proof.Complete {
		return r.countLocalOnly(ctx)
	}
	barred, err := r.barred(ctx)
	if err != nil {
		return err
	}
	return r.creating(ctx, w, barred, func(after string) ([]tandem.Device, error) {
		return r.e.Store.LocalOnly(ctx, r.org, r.service.ID, after, batchSize)
	})
}

// createRemoteOf creates some devices of a run about them.
func (r *run) createRemoteOf(ctx context.Context, w *work, ids []string) error {
	barred, err := r.barred(ctx)
	if err != nil {
		return err
	}
	first := true
	return r.creating(ctx, w, barred, func(string) ([]tandem.Device, error) {
		if !first {
			return nil, nil
		}
		first = false
		var out []tandem.Device
		for _, id := range ids {
			d, err := r.e.Store.Device(ctx, r.org, id)
			if err != nil {
				return nil, err
			}
			on, err := r.e.Store.Assignments(ctx, r.org, []string{id})
			if err != nil {
				return nil, err
			}
			linked := d.DeletedAt != nil
			for _, a := range on {
				linked = linked || a.ServiceID == r.service.ID
			}
			if !linked {
				out = append(out, d)
			}
		}
		return out, nil
	})
}

// countLocalOnly says how many devices are here and not there.
func (r *run) countLocalOnly(ctx context.Context) error {
	_, total, err := r.e.Store.Devices(ctx, r.org, tandem.DeviceFilter{ServiceID: r.service.ID, NotLinked: true, Now: r.now(), Page: tandem.Page{Limit: 1}})
	r.details.NotLinked.Local = total
	return err
}

// barred gives the devices that an ambiguous match may mean: they are not created a second time (S12).
func (r *run) barred(ctx context.Context) (map[string]bool, error) {
	barred := map[string]bool{}
	filter := tandem.ConflictFilter{ServiceID: r.service.ID, Type: tandem.AmbiguousMatch}
	filter.Limit = 1000
	for filter.Number = 1; ; filter.Number++ {
		rows, total, err := r.e.Store.Conflicts(ctx, r.org, filter)
		if err != nil {
			return nil, err
		}
		for _, c := range rows {
			for _, id := range toStrings(decode(c.LocalValue)) {
				barred[id] = true
			}
		}
		if filter.Number*filter.Limit >= total {
			return barred, nil
		}
	}
}

// creating creates batch by batch: intents first, all of a batch in one transaction, then the calls (S14).
func (r *run) creating(ctx context.Context, w *work, barred map[string]bool, next func(after string) ([]tandem.Device, error)) error {
	_, total, err := r.e.Store.Devices(ctx, r.org, tandem.DeviceFilter{ServiceID: r.service.ID, NotLinked: true, Now: r.now(), Page: tandem.Page{Limit: 1}})
	if err != nil || total == 0 {
		return err
	}
	r.enter("creating", total)
	return r.inParallel(ctx, func(ctx context.Context, c *committer, give func(func() error) error) error {
		for after := ""; ; {
			if err := r.border(ctx); err != nil {
				return err
			}
			devices, err := next(after)
			if err != nil || len(devices) == 0 {
				return err
			}
			after = devices[len(devices)-1].ID
			wanted, err := r.toCreate(ctx, devices, barred)
			if err != nil {
				return err
			}
			if err := r.makeTags(ctx, wanted); err != nil {
				return err
			}
			var list []*piece
			for _, d := range wanted {
				p, err := r.newIntent(w, d)
				if err != nil {
					return err
				}
				list = append(list, p)
			}
			// The map of intents that a reader of the database sees is always ahead of the calls.
			moved, err := r.commit(context.WithoutCancel(ctx), list)
			if err != nil {
				return err
			}
			if r.dry != nil {
				r.advance(len(devices))
				continue
			}
			if err := r.comeBack(w, list, moved); err != nil {
				return err
			}
			for _, p := range list {
				if p.err != nil || len(p.changes.PutIntents) == 0 || contains(moved, p) {
					continue
				}
				in, d := p.changes.PutIntents[0], p.device
				if err := give(func() error {
					defer r.advance(1)
					return r.createOne(ctx, w, c, d, in)
				}); err != nil {
					return err
				}
			}
		}
	})
}

// toCreate leaves out of a batch what may not be created now.
func (r *run) toCreate(ctx context.Context, devices []tandem.Device, barred map[string]bool) ([]tandem.Device, error) {
	ids := make([]string, len(devices))
	for i := range devices {
		ids[i] = devices[i].ID
	}
	if err := r.loadRows(ctx, ids, nil); err != nil {
		return nil, err
	}
	var wanted []tandem.Device
	for _, d := range devices {
		switch {
		case barred[d.ID] || r.frozenByIntent(d.ID):
			r.quiet(1)
		case r.allows(creation(&d)):
			wanted = append(wanted, d)
		}
	}
	return wanted, nil
}

// creation is the change that creating a device on the service is.
func creation(d *tandem.Device) tandem.Change {
	return tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActCreate, DeviceID: d.ID, DeviceName: d.Name, After: snapshot(d.Shared())}
}

// makeTags creates the tags that a batch of creates needs and the service lacks. A tag is told by its
// name, so that making one twice is impossible and needs no intent; one that is refused is drift later.
func (r *run) makeTags(ctx context.Context, devices []tandem.Device) error {
	if r.dry != nil || !r.fields.Has(tandem.FieldTags) {
		return nil
	}
	for i := range devices {
		for _, tag := range devices[i].Tags {
			if _, known := r.words.id(tandem.TagEntity, tag); known || r.words.refusal(tag) != nil {
				continue
			}
			if err := r.mayWrite(ctx, nil); err != nil {
				return err
			}
			if _, err := r.words.tagID(context.WithoutCancel(ctx), r.remote, tag); err != nil && r.words.refusal(tag) == nil {
				return err
			}
		}
	}
	return nil
}

func contains(list []*piece, p *piece) bool {
	for _, x := range list {
		if x == p {
			return true
		}
	}
	return false
}

// newIntent makes the piece that stores a create's intent, with the hardware id that will tell the
// device as ours (minted here when there is none).
func (r *run) newIntent(w *work, d tandem.Device) (*piece, error) {
	p := &piece{deviceID: d.ID}
	change := creation(&d)
	if d.Name == "" {
		p.counts = tandem.Summary{Processed: 1, Failed: 1}
		p.changes.Entries = []tandem.Entry{r.failure(change, tandem.Errorf(tandem.Invalid, "sync", d.DeviceID, "it has no name").WithHint("give it one: the service needs it"))}
		return p, nil
	}
	if r.dry != nil {
		return r.plannedCreate(w, d, change)
	}
	if len(d.HardwareIDs) == 0 {
		minted := "tandem-" + d.ID
		d.HardwareIDs = []string{minted}
		d.UpdatedAt = r.now()
		p.changes.UpdateDevices = []tandem.Device{d}
		d.Version++
		e := change
		e.Side, e.Action, e.Path, e.Before, e.After = tandem.LocalSide, tandem.ActUpdate, "hardware_ids", value([]string{}), value(d.HardwareIDs)
		e.Note = "minted, so that its twin on the service can be told"
		p.changes.Entries = []tandem.Entry{r.entry(e, tandem.OutcomeDone)}
		change.After = snapshot(d.Shared())
	}
	create := r.asRemote(&d)
	in := tandem.Intent{ID: r.e.NewID(), OrganizationID: r.org, ServiceID: r.service.ID, RunID: r.record.ID, DeviceID: d.ID,
		Kind: tandem.IntentCreate, Changes: []tandem.Change{change}, Create: &create}
	r.cover(&in)
	p.changes.PutIntents = []tandem.Intent{in}
	p.device = d
	return p, nil
}

// asRemote is what a create sends: of tags, blueprint and cohort what the service has.
func (r *run) asRemote(d *tandem.Device) tandem.NewRemoteDevice {
	create := tandem.NewRemoteDevice{Name: d.Name, HardwareIDs: d.HardwareIDs}
	if r.fields.Has(tandem.FieldBlueprint) {
		create.BlueprintID, _ = r.words.id(tandem.BlueprintEntity, d.Blueprint)
	}
	if r.fields.Has(tandem.FieldCohort) {
		create.CohortID, _ = r.words.id(tandem.CohortEntity, d.Cohort)
	}
	if r.fields.Has(tandem.FieldTags) {
		for _, tag := range d.Tags {
			if id, ok := r.words.id(tandem.TagEntity, tag); ok {
				create.TagIDs = append(create.TagIDs, id)
			}
		}
	}
	return create
}

// createOne sends a create, once, and records the reply as the base (S14).
func (r *run) createOne(ctx context.Context, w *work, c *committer, d tandem.Device, in tandem.Intent) error {
	if err := r.mayWrite(ctx, &in); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // nothing was sent: recovery drops the intent
	}
	quiet, cancel := r.writing(ctx, &in)
	defer cancel()
	rd, err := r.remote.CreateDevice(quiet, *in.Create)
	if err != nil && !refused(err) {
		// A lost reply: it is ours if it carries our hardware id.
		if found, lookErr := r.findOurs(quiet, in.Create); lookErr == nil && found != nil {
			rd, err = *found, nil
		} else {
			return r.perCreate(ctx, d, in, err, false)
		}
	}
	if tandem.Is(err, tandem.Exists) {
		found, lookErr := r.findOurs(quiet, in.Create)
		if lookErr == nil && found != nil && found.Name == in.Create.Name && in.Create.HardwareIDs[0] == "tandem-"+d.ID {
			rd, err = *found, nil
		}
	}
	if err != nil {
		return r.perCreate(ctx, d, in, err, true)
	}
	return r.created(ctx, w, c, d, in, rd)
}

// findOurs looks a created device up by its hardware id.
func (r *run) findOurs(ctx context.Context, create *tandem.NewRemoteDevice) (*tandem.RemoteDevice, error) {
	for page, err := range r.remote.Devices(ctx, tandem.RemoteListing{HardwareID: create.HardwareIDs[0]}) {
		if err != nil {
			return nil, err
		}
		for _, d := range page.Devices {
			found, err := entire(d, nil)
			return &found, err
		}
	}
	return nil, nil
}

// perCreate records a create that did not come about. The intent stays open when its effect is unknown.
func (r *run) perCreate(ctx context.Context, d tandem.Device, in tandem.Intent, err error, known bool) error {
	p := &piece{deviceID: d.ID, counts: tandem.Summary{Processed: 1, Failed: 1}}
	change := in.Changes[0]
	if tandem.Is(err, tandem.Exists) {
		var e *tandem.Error
		if errors.As(err, &e) {
			copied := *e
			copied.Thing = d.Name
			copied.Hint = "a device with this name or hardware id is on the service already: link the two (tandem device link), or rename one"
			err = &copied
		}
	}
	p.changes.Entries = []tandem.Entry{r.failure(change, err)}
	if known {
		p.changes.DropIntents = []string{in.ID}
		if err := r.settledConflict(&writeResult{linked: tandem.Linked{Device: d}, intent: in}, p, false); err != nil {
			return err
		}
	}
	_, commitErr := r.commit(context.WithoutCancel(ctx), []*piece{p})
	if commitErr == nil && fatal(err) {
		return err
	}
	return commitErr
}

// created records a new remote device: the reply is the base, and what a create cannot carry follows as an update.
func (r *run) created(ctx context.Context, w *work, c *committer, d tandem.Device, in tandem.Intent, rd tandem.RemoteDevice) error {
	p, more := r.createdPiece(d, in, rd)
	err := c.put(p)
	if tandem.Is(err, tandem.Exists) {
		return r.orphan(c, &in, rd.ID)
	}
	if err != nil {
		return err
	}
	if !more {
		return nil
	}
	linked, err := r.e.Store.LinkedByDevice(context.WithoutCancel(ctx), r.org, r.service.ID, []string{d.ID})
	if err != nil || len(linked) == 0 {
		return err
	}
	return r.attend(ctx, w, c, linked[0], true, anyButNames)
}

// orphan tells of a device that was created on the service for one that a person linked otherwise meanwhile.
func (r *run) orphan(c *committer, in *tandem.Intent, externalID string) error {
	change := in.Changes[0]
	change.ExternalDeviceID = externalID
	why := tandem.Errorf(tandem.Exists, "sync", change.DeviceName, "it was linked to another device while it was created on the service; what was created there, %s, belongs to nobody", externalID).
		WithHint("delete that one on the service, or link it: tandem remote list --not-linked")
	p := &piece{deviceID: in.DeviceID, counts: tandem.Summary{Processed: 1, Failed: 1},
		changes: tandem.Changes{DropIntents: []string{in.ID}, Entries: []tandem.Entry{r.failure(change, why)}}}
	if err := r.settledConflict(&writeResult{linked: tandem.Linked{Device: tandem.Device{ID: in.DeviceID, Name: change.DeviceName}}, intent: *in}, p, false); err != nil {
		return err
	}
	return c.put(p)
}

// createdPiece makes the piece of a confirmed create; more says that an update must follow.
func (r *run) createdPiece(d tandem.Device, in tandem.Intent, rd tandem.RemoteDevice) (p *piece, more bool) {
	now := r.now()
	after := r.read(rd, now)
	if r.state.metadata != "" {
		after.shared.Known = after.shared.Known.With(tandem.FieldMetadata) // a new device has no state
	}
	a := r.assignment(&d, rd.ID, now)
	a.Status, a.LastSync = tandem.SyncSynced, &now
	a.RemoteUpdatedAt = &rd.UpdatedAt
	// The base is what was sent, not what is there now: a lost reply may be found after someone edited the
	// device (S14), and that is an edit. What the create could not carry counts as changed here.
	sent := restrict(r.sent(in.Create, &after), r.policy.Fields)
	a.Base = tandem.Base{Local: sent, Remote: sent}
	a.WrittenAt = &now
	change := in.Changes[0]
	change.ExternalDeviceID = rd.ID
	change.After = snapshot(sent) // what a create cannot carry has its own entries
	e := r.entry(change, tandem.OutcomeDone)
	e.RunID = in.RunID
	p = &piece{deviceID: d.ID, assignmentID: a.ID, counts: tandem.Summary{Processed: 1, Successful: 1, Remote: tandem.Counts{Created: 1}},
		changes: tandem.Changes{CreateAssignments: []tandem.Assignment{a}, DropIntents: []string{in.ID}, Entries: []tandem.Entry{e}}}
	p.changes.DropNotLinked = []tandem.NotLinkedKey{{ServiceID: r.service.ID, ExternalDeviceID: rd.ID}}
	next := r.decide(tandem.Linked{Assignment: a, Device: d}, after, nil, nil)
	more = len(next.send) > 0 || len(next.local) > 0 || len(next.result.Conflicts) > 0 || len(next.drift) > 0
	return p, more
}

// deviceFrom reads a snapshot back, for undoing and recreating.
func deviceFrom(raw json.RawMessage) (tandem.Shared, error) {
	var s tandem.Shared
	err := json.Unmarshal(raw, &s)
	return s, err
}

// sent gives a device in our words as its create made it.
func (r *run) sent(create *tandem.NewRemoteDevice, after *reading) tandem.Shared {
	rd := after.device
	rd.Name, rd.HardwareIDs, rd.TagIDs = create.Name, create.HardwareIDs, create.TagIDs
	rd.BlueprintID, rd.CohortID, rd.Enabled = create.BlueprintID, create.CohortID, true
	made := r.read(rd, after.at).shared
	made.Known = after.shared.Known
	return made
}
