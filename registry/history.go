package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"tandem"
)

// The bounds of a device's history: how far back it can be paged, and how many edits of a device are looked at.
const (
	historyDeep  = 10_000
	historyEdits = 2_000
)

// DeviceHistory lists what changed a device, newest first, and counts the matches: what runs did to it, and who edited it
// here, one entry for each field. What runs did is left out for whoever may not read runs.
func (r *Registry) DeviceHistory(ctx context.Context, actor Actor, org, ref string, filter tandem.HistoryFilter) ([]tandem.HistoryEntry, int, error) {
	d, err := r.Device(ctx, actor, org, ref)
	if err != nil {
		return nil, 0, err
	}
	offset, limit := (max(filter.Number, 1)-1)*pageLimit(filter.Page), pageLimit(filter.Page)
	if offset+limit > historyDeep {
		return nil, 0, invalid("page", "is further back than a device's %d newest changes", historyDeep)
	}
	edits, err := r.Server.DeviceEdits(ctx, org, d.ID, historyEdits)
	if err != nil {
		return nil, 0, err
	}
	var all []tandem.HistoryEntry
	for i := range edits {
		all = append(all, splitEdit(&edits[i], filter.Field)...)
	}
	total := len(all)
	if actor.May(org, ReadRuns) {
		entries, n, err := r.Server.DeviceEntries(ctx, org, d.ID, filter.Field, offset+limit)
		if err != nil {
			return nil, 0, err
		}
		all, total = append(all, entries...), total+n
	}
	slices.SortStableFunc(all, func(a, b tandem.HistoryEntry) int { return b.At.Compare(a.At) })
	from := min(offset, len(all))
	return all[from:min(offset+limit, len(all))], total, nil
}

// editsLooked is how many of a device's newest edits are looked through for the one of a field.
const editsLooked = 20

// sameEdit is by how much the time of an edit and that of its audit may differ.
const sameEdit = time.Minute

// ConflictEditors says who edited here what conflicts are about, by the conflict's id: nobody where a sync brought the
// value since, or where it was too many edits ago.
func (r *Registry) ConflictEditors(ctx context.Context, actor Actor, org string, conflicts []tandem.Conflict) (map[string]string, error) {
	if err := actor.may(org, ReadConflicts); err != nil {
		return nil, err
	}
	var devices []string
	for i := range conflicts {
		if id := conflicts[i].DeviceID; id != "" && !slices.Contains(devices, id) {
			devices = append(devices, id)
		}
	}
	editors := map[string]string{}
	if len(devices) == 0 || !actor.May(org, ReadDevices) {
		return editors, nil
	}
	edits, err := r.Server.RecentEdits(ctx, org, devices, editsLooked)
	if err != nil {
		return nil, err
	}
	for i := range conflicts {
		c := &conflicts[i]
		at := slices.IndexFunc(edits, func(e tandem.AuditEntry) bool {
			return e.ThingID == c.DeviceID && !e.At.After(c.UpdatedAt.Add(sameEdit)) && len(splitEdit(&e, c.FieldName)) > 0
		})
		if at >= 0 && (c.LocalUpdatedAt == nil || !c.LocalUpdatedAt.After(edits[at].At.Add(sameEdit))) {
			editors[c.ID] = edits[at].Actor
		}
	}
	return editors, nil
}

// pageLimit is how many a page has (tandem.Page).
func pageLimit(p tandem.Page) int {
	if p.Limit <= 0 {
		return 100
	}
	return min(p.Limit, 1000)
}

// editActions are the actions of the audit in the words of changes.
var editActions = map[string]tandem.Action{"device.create": tandem.ActCreate, "device.update": tandem.ActUpdate, "device.delete": tandem.ActDelete,
	"device.link": tandem.ActLink, "device.unlink": tandem.ActUnlink}

// splitEdit gives what an edit changed, one entry for each field; of a device that came or went, one for the whole of it
// unless a field is asked for.
func splitEdit(e *tandem.AuditEntry, field tandem.Path) []tandem.HistoryEntry {
	action, known := editActions[e.Action]
	if !known {
		return nil
	}
	whole := tandem.HistoryEntry{At: e.At, Side: tandem.LocalSide, Action: action, Before: e.Before, After: e.After, By: e.Actor, RunID: e.RunID,
		Outcome: tandem.OutcomeDone, Source: tandem.FromPerson}
	if action == tandem.ActLink || action == tandem.ActUnlink || action != tandem.ActUpdate && field == "" {
		if field != "" {
			return nil
		}
		return []tandem.HistoryEntry{whole}
	}
	before, after := members(e.Before), members(e.After)
	var split []tandem.HistoryEntry
	for _, name := range deviceColumns {
		was, is := before[name], after[name]
		if was == nil && is == nil {
			continue
		}
		for _, one := range splitField(tandem.Path(name), was, is) {
			if field == "" || one.Field == field || strings.HasPrefix(string(one.Field), string(field)+"/") {
				h := whole
				h.Field, h.Before, h.After = one.Field, one.Before, one.After
				split = append(split, h)
			}
		}
	}
	return split
}

// deviceColumns are the fields of a device that people edit, in the order in which Diff gives them.
var deviceColumns = []string{"name", "device_id", "device_type", "lifecycle", "hardware_ids", "tags", "enabled", "blueprint", "cohort", "metadata", "notes"}

// splitField gives a field's change; of metadata one for each leaf.
func splitField(name tandem.Path, was, is json.RawMessage) []tandem.HistoryEntry {
	if name != tandem.Path(tandem.FieldMetadata.String()) {
		return []tandem.HistoryEntry{{Field: name, Before: was, After: is}}
	}
	before, after := decodeMap(was), decodeMap(is)
	values, news := map[tandem.Path]any{}, map[tandem.Path]any{}
	leaves(name, before, values)
	leaves(name, after, news)
	var split []tandem.HistoryEntry
	for _, path := range changedLeaves(before, after) {
		split = append(split, tandem.HistoryEntry{Field: path, Before: asJSON(values[path]), After: asJSON(news[path])})
	}
	return split
}

// members gives a JSON object's members, none of what is no object.
func members(text json.RawMessage) map[string]json.RawMessage {
	found := map[string]json.RawMessage{}
	if len(text) > 0 && json.Unmarshal(text, &found) != nil {
		return nil
	}
	return found
}

// decodeMap reads a JSON object with its numbers as they were written.
func decodeMap(text json.RawMessage) tandem.Map {
	m := tandem.Map{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if len(text) > 0 && decoder.Decode(&m) != nil {
		return nil
	}
	return m
}
