package syncer

import (
	"slices"
	"strings"
	"time"

	"tandem"
	"tandem/merge"
)

// reading is a remote device as this run knows it.
type reading struct {
	device tandem.RemoteDevice
	shared tandem.Shared // in our words; Known says what was read
	at     time.Time
	// unresolved are fields whose ids nothing here can resolve (S33).
	unresolved []tandem.Path
	// state says that its LightDB State was read; observedState is what that says of battery and location.
	state         bool
	observedState observedState
	stateOnly     bool // nothing else of the device was read
}

// read puts a listed or directly read device into our words.
func (r *run) read(rd tandem.RemoteDevice, at time.Time) reading {
	if in, parked := r.parkedAs(rd.ID); parked && rd.Name == in.Temporary {
		rd.Name, _ = decode(beforeName(&in)).(string) // a temporary name is never imported (S27)
	}
	shared, unresolved := r.words.shared(&rd, r.fields)
	return reading{device: rd, shared: shared, at: at, unresolved: unresolved}
}

// decision is what is to be done with one linked device. Nothing in it has happened.
type decision struct {
	linked tandem.Linked
	remote reading
	open   []tandem.Conflict // open ones of the device on this service
	hold   map[tandem.Path]merge.Hold
	result merge.Result
	local  []merge.Edit // against the device as it is stored
	send   []merge.Edit // what of result.Remote may be sent now
	held   []merge.Edit // what a guard holds back
	drift  []limit
	stays  map[tandem.Path]string // drift that remains
	needs  bool                   // state must be read before more can be said (S6)
	pause  []merge.Conflict       // fields that keep changing back (S25)
	told   bool                   // what is held or failed was told before the write that this concludes
}

// limit is a difference that is not sent, and why.
type limit struct {
	merge.Drift
	reason string
}

// decide merges one linked device. It reads nothing and writes nothing.
func (r *run) decide(l tandem.Linked, rd reading, open []tandem.Conflict, hold map[tandem.Path]merge.Hold) decision {
	d := decision{linked: l, remote: rd, open: open}
	for _, c := range open {
		if over(&c) && l.Device.DeletedAt == nil {
			continue
		}
		if c.FieldName == "" || c.Status == tandem.ConflictResolving {
			hold = with(hold, c.FieldName, merge.Frozen)
		} else if c.ByHand && hold[c.FieldName] != merge.Frozen {
			hold = with(hold, c.FieldName, merge.ByHand)
		}
	}
	d.hold = hold
	if _, frozen := hold[""]; frozen {
		return d
	}
	sides := merge.Sides{Base: l.Assignment.Base, Local: l.Device.Shared(), Remote: rd.shared,
		LocalEdited: l.Device.FieldEditedAt, RemoteUpdatedAt: rd.device.UpdatedAt, ReadAt: rd.at, Skew: r.skew,
		Hold: hold, Drift: l.Assignment.Drift}
	if at, ok := sides.LocalEdited[""]; ok && r.newest {
		sides.LocalEdited = spread(sides.LocalEdited, at)
	}
	renamed := r.words.anyRenamed() && r.req.Operation != tandem.OpExport
	if renamed {
		sides.Base, sides.Local = r.words.follow(sides.Base, sides.Local)
	}
	if seen := r.service.LastListedAt; seen != nil && l.Assignment.CreatedAt.Before(*seen) {
		sides.RemoteUnchangedAt = *seen
	} else if l.Assignment.LastSync != nil {
		sides.RemoteUnchangedAt = *l.Assignment.LastSync
	}
	if at := l.Assignment.StateReadAt; at != nil && r.details.StateLeft > 0 && rd.state && at.Before(sides.RemoteUnchangedAt) {
		sides.RemoteUnchangedAt = *at // no listing shows the state: it was seen when its turn came
	}
	if r.justWrote(&l.Assignment) {
		sides.WrittenOver = l.Assignment.WrittenOver
	}
	d.result = merge.Device(sides, r.policy)
	d.local = d.result.Local
	if renamed {
		d.local = diff(l.Device.Shared(), d.result.After, d.result.Local, r.now())
	}
	d.stays = map[tandem.Path]string{}
	for _, drift := range d.result.Drift {
		d.stays[drift.Path] = drift.Fingerprint
		if !drift.Known {
			d.drift = append(d.drift, limit{drift, "the direction of this run does not send it"})
		}
	}
	d.send = r.sendable(&d)
	d.needs = r.fields.Has(tandem.FieldMetadata) && !rd.shared.Known.Has(tandem.FieldMetadata) && r.req.Operation != tandem.OpImport &&
		!merge.Equal(asAny(l.Device.Metadata), asAny(l.Assignment.Base.Local.Metadata))
	return d
}

// over reports whether a conflict was about a deletion: a device that is here, and was read there, has none (S9).
func over(c *tandem.Conflict) bool {
	return c.Status == tandem.ConflictPending && (c.Type == tandem.DeletedRemotely || c.Type == tandem.DeletedLocally)
}

// spread gives every field without a time of its own the time of the whole import.
func spread(times tandem.EditTimes, at time.Time) tandem.EditTimes {
	out := tandem.EditTimes{}
	for _, name := range tandem.SharedFields.Names() {
		out[tandem.Path(name)] = at
	}
	for p, t := range times {
		out[p] = t
	}
	return out
}

func asAny(m tandem.Map) any {
	if len(m) == 0 {
		return nil
	}
	return m
}

func with(hold map[tandem.Path]merge.Hold, p tandem.Path, h merge.Hold) map[tandem.Path]merge.Hold {
	next := make(map[tandem.Path]merge.Hold, len(hold)+1)
	for k, v := range hold {
		next[k] = v
	}
	next[p] = h
	return next
}

// diff gives the edits that bring the stored device to after, where renames of tags and the like moved both.
func diff(stored, after tandem.Shared, edits []merge.Edit, at time.Time) []merge.Edit {
	out := slices.DeleteFunc(slices.Clone(edits), func(e merge.Edit) bool {
		return e.Path == "tags" || e.Path == "blueprint" || e.Path == "cohort"
	})
	for _, p := range []tandem.Path{"tags", "blueprint", "cohort"} {
		before, _ := merge.Value(stored, p)
		now, _ := merge.Value(after, p)
		if same(p, before, now) {
			continue
		}
		e := merge.Edit{Path: p, Before: before, After: now, At: at}
		if i := slices.IndexFunc(edits, func(e merge.Edit) bool { return e.Path == p }); i >= 0 && !edits[i].At.IsZero() {
			e.At = edits[i].At
		}
		out = append(out, e)
	}
	return out
}

// same compares two values of a path canonically (S6): sets as sets.
func same(p tandem.Path, a, b any) bool {
	if p == "tags" || p == "hardware_ids" {
		x, y := slices.Sorted(slices.Values(toStrings(a))), slices.Sorted(slices.Values(toStrings(b)))
		return slices.Equal(slices.Compact(x), slices.Compact(y))
	}
	return merge.Equal(a, b)
}

// toStrings reads a set's value, as it stands in a Shared or as JSON decodes it.
func toStrings(v any) []string {
	switch v := v.(type) {
	case []string:
		return v
	case []any:
		out := make([]string, 0, len(v))
		for _, x := range v {
			if s, ok := x.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// sendable sorts the edits for the remote into what may go now, what a guard holds back and what the
// remote cannot hold, which is drift, recorded once for its pair of values (S7, S33).
func (r *run) sendable(d *decision) []merge.Edit {
	var send []merge.Edit
	for _, e := range d.result.Remote {
		local, _ := merge.Value(d.result.After, e.Path)
		remote, _ := merge.Value(d.remote.shared, e.Path)
		mark := "limit:" + merge.Fingerprint(local, remote)
		known := d.linked.Assignment.Drift[e.Path] == mark
		if known && e.Path == "tags" && !r.req.Force { // a tag that was refused before is not tried for ever
			d.stays[e.Path] = mark
			continue
		}
		if refused := notTaken(d, e.Path); d.linked.Assignment.Drift[e.Path] == refused && !r.req.Force {
			d.stays[e.Path] = refused
			continue
		}
		if reason := r.cannotHold(e); reason != "" {
			d.stays[e.Path] = mark
			if !known {
				d.drift = append(d.drift, limit{merge.Drift{Path: e.Path, Local: local, Remote: remote, Fingerprint: mark}, reason})
			}
			e = r.holdable(e)
			if same(e.Path, e.Before, e.After) {
				continue
			}
		}
		if r.guard.changesHeld.Load() && rollsOut(e) {
			d.held = append(d.held, e)
			continue
		}
		send = append(send, e)
	}
	return send
}

// notTaken marks, as drift, a pair of values of which the service took ours without a word and kept its own.
func notTaken(d *decision, p tandem.Path) string {
	local, _ := merge.Value(d.result.After, p)
	remote, _ := merge.Value(d.remote.shared, p)
	return "kept:" + merge.Fingerprint(local, remote)
}

// cannotHold says why the remote cannot take a value, "" when it can.
func (r *run) cannotHold(e merge.Edit) string {
	switch f, _ := e.Path.Field(); f {
	case tandem.FieldBlueprint, tandem.FieldCohort:
		kind := tandem.BlueprintEntity
		if f == tandem.FieldCohort {
			kind = tandem.CohortEntity
		}
		if name, ok := e.After.(string); ok && name != "" {
			if _, known := r.words.id(kind, name); !known {
				return "there is no " + string(kind) + " " + name + " on the service; create it there, and the next sync assigns it"
			}
		}
	case tandem.FieldTags:
		for _, tag := range toStrings(e.After) {
			if err := r.words.refusal(tag); err != nil {
				return "the service does not take the tag " + tag + ": " + err.Error()
			}
		}
	case tandem.FieldName:
		if e.After == nil || e.After == "" {
			return "a device needs a name on the service"
		}
	case tandem.FieldMetadata:
		for _, token := range strings.Split(strings.TrimPrefix(e.Path.Pointer(), "/"), "/") {
			if token == "" || strings.Contains(token, "~1") {
				return "LightDB State has no key that is empty or has a slash in it"
			}
		}
	}
	return ""
}

// holdable takes out of an edit what the remote cannot hold; for a scalar that is all of it.
func (r *run) holdable(e merge.Edit) merge.Edit {
	if e.Path != "tags" {
		e.After = e.Before
		return e
	}
	var keep []string
	for _, tag := range toStrings(e.After) {
		if r.words.refusal(tag) == nil {
			keep = append(keep, tag)
		}
	}
	e.After = keep
	return e
}

func (v *vocabulary) refusal(tag string) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.refused[tag]
}

func (e *Engine) settleWindow() time.Duration {
	if e.SettleWindow > 0 {
		return e.SettleWindow
	}
	return DefaultSettle
}

// editLocal gives the device with the edits applied; an imported value keeps its source's time (S8).
func (r *run) editLocal(d tandem.Device, edits []merge.Edit) (tandem.Device, error) {
	after, err := merge.Apply(d.Shared(), edits)
	if err != nil {
		return d, err
	}
	d.Name, d.Enabled, d.HardwareIDs, d.Tags = after.Name, after.Enabled, after.HardwareIDs, after.Tags
	d.Blueprint, d.Cohort, d.Metadata = after.Blueprint, after.Cohort, after.Metadata
	times := make(tandem.EditTimes, len(d.FieldEditedAt)+len(edits))
	for p, t := range d.FieldEditedAt {
		times[p] = t
	}
	for _, e := range edits {
		if _, whole := times[""]; e.At.IsZero() && !whole {
			delete(times, e.Path) // when it was edited at its source is not known
			continue
		}
		times[e.Path] = e.At
	}
	d.FieldEditedAt, d.UpdatedAt = times, r.now()
	return d, nil
}
