package registry

import (
	"slices"
	"strings"
	"time"

	"tandem"
	"tandem/merge"
)

// FieldChange is one field of a device before and after.
type FieldChange struct {
	Field  string `json:"field"`
	Before any    `json:"before"`
	After  any    `json:"after"`
}

// was and is give changes as the audit keeps them.
func was(changes []FieldChange) map[string]any {
	values := map[string]any{}
	for _, c := range changes {
		values[c.Field] = c.Before
	}
	return values
}

func is(changes []FieldChange) map[string]any {
	values := map[string]any{}
	for _, c := range changes {
		values[c.Field] = c.After
	}
	return values
}

// deviceAudit is what the audit keeps of a device that comes or goes: the whole of it.
func deviceAudit(d *tandem.Device) map[string]any { return is(Diff(&tandem.Device{}, d)) }

// Diff lists the fields in which two states of a device differ, in the order of the columns.
func Diff(before, after *tandem.Device) []FieldChange {
	var changes []FieldChange
	add := func(field string, b, a any, same bool) {
		if !same {
			changes = append(changes, FieldChange{field, b, a})
		}
	}
	add("name", before.Name, after.Name, before.Name == after.Name)
	add("device_id", before.DeviceID, after.DeviceID, before.DeviceID == after.DeviceID)
	add("device_type", before.DeviceType, after.DeviceType, before.DeviceType == after.DeviceType)
	add("lifecycle", before.Lifecycle, after.Lifecycle, before.Lifecycle == after.Lifecycle)
	add("hardware_ids", before.HardwareIDs, after.HardwareIDs, sameSet(before.HardwareIDs, after.HardwareIDs))
	add("tags", before.Tags, after.Tags, sameSet(before.Tags, after.Tags))
	add("enabled", before.Enabled, after.Enabled, before.Enabled == after.Enabled)
	add("blueprint", before.Blueprint, after.Blueprint, before.Blueprint == after.Blueprint)
	add("cohort", before.Cohort, after.Cohort, before.Cohort == after.Cohort)
	add("metadata", before.Metadata, after.Metadata, len(changedLeaves(before.Metadata, after.Metadata)) == 0)
	add("notes", before.Notes, after.Notes, before.Notes == after.Notes)
	return changes
}

func sameSet(a, b []string) bool {
	return slices.Equal(canonicalSet(a), canonicalSet(b))
}

// touch notes when each changed path was edited (S8); metadata leaf by leaf (S3).
func touch(before, after *tandem.Device, now time.Time) {
	times := make(tandem.EditTimes, len(before.FieldEditedAt)+1)
	for path, at := range before.FieldEditedAt {
		times[path] = at
	}
	for _, change := range Diff(before, after) {
		if change.Field == tandem.FieldMetadata.String() {
			for _, leaf := range changedLeaves(before.Metadata, after.Metadata) {
				times[leaf] = now
			}
		} else if _, err := tandem.ParseField(change.Field); err == nil {
			times[tandem.Path(change.Field)] = now
		}
	}
	if before.ID == "" { // a new device is enabled or not from now on, also where that is the zero value
		times[tandem.Path(tandem.FieldEnabled.String())] = now
	}
	after.FieldEditedAt, after.UpdatedAt = times, now
}

// changedLeaves gives the paths of the leaves that differ, sorted.
func changedLeaves(before, after tandem.Map) []tandem.Path {
	was, is := map[tandem.Path]any{}, map[tandem.Path]any{}
	leaves("metadata", before, was)
	leaves("metadata", after, is)
	var paths []tandem.Path
	for path, value := range is {
		if old, ok := was[path]; !ok || !merge.Equal(old, value) {
			paths = append(paths, path)
		}
	}
	for path := range was {
		if _, ok := is[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901

// leaves lists a map's leaves by path; null and an empty object are absent (S6).
func leaves(at tandem.Path, v any, into map[tandem.Path]any) {
	m, ok := v.(tandem.Map)
	if !ok {
		if v != nil {
			into[at] = v
		}
		return
	}
	for key, inner := range m {
		leaves(at+tandem.Path("/"+escapePointer.Replace(key)), inner, into)
	}
}
