package merge_test

import (
	"fmt"
	"reflect"
	"testing"

	"tandem"
	"tandem/merge"
)

// TestUnchangedAllocatesNothing: a device about which nothing is new costs no memory, in the less usual cases too.
func TestUnchangedAllocatesNothing(t *testing.T) {
	full := typical(t)
	other := full
	other.Name = "another"
	all := merge.Policy{Fields: tandem.SharedFields, Direction: tandem.Bidirectional}
	unnamed := merge.Policy{Fields: tandem.SharedFields.Without(tandem.FieldName), Direction: tandem.Bidirectional}
	forced := merge.Policy{Fields: tandem.SharedFields, Direction: tandem.Export, Force: true}
	for _, c := range []struct {
		name   string
		sides  merge.Sides
		policy merge.Policy
	}{
		{"nothing changed", merge.Sides{Base: tandem.Base{Local: full, Remote: full}, Local: full, Remote: full}, all},
		{"kept apart by a person (S10)", merge.Sides{Base: tandem.Base{Local: full, Remote: other}, Local: full, Remote: other}, all},
		{"forced, and the same already (S11)", merge.Sides{Base: tandem.Base{Local: full, Remote: full}, Local: full, Remote: full}, forced},
		{"a field that is not selected differs", merge.Sides{Base: merge.DropFields(tandem.Base{Local: full, Remote: full}, unnamed.Fields), Local: full, Remote: other}, unnamed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(50, func() { merge.Device(c.sides, c.policy) }); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
			if r := merge.Device(c.sides, c.policy); !quiet(r) {
				t.Errorf("it does something: %+v", r)
			}
		})
	}
}

// TestBaseOfNoSelectedField: a field that is switched off loses its base, also when no other is left (§2).
func TestBaseOfNoSelectedField(t *testing.T) {
	named := tandem.Shared{Known: tandem.FieldSet(tandem.FieldName), Name: "a"}
	r := merge.Device(merge.Sides{Base: tandem.Base{Local: named, Remote: named}, Local: named, Remote: named},
		merge.Policy{Fields: tandem.FieldSet(tandem.FieldTags), Direction: tandem.Bidirectional})
	if !r.BaseMoved || !reflect.DeepEqual(r.Base, tandem.Base{}) {
		t.Errorf("the base is %+v, moved: %v", r.Base, r.BaseMoved)
	}
}

// TestS25FrozenAmongOtherHolds: a field that is frozen as a whole is not compared, whatever else is held.
func TestS25FrozenAmongOtherHolds(t *testing.T) {
	full := typical(t)
	holds := map[tandem.Path]merge.Hold{"name": merge.Frozen, "cohort": merge.Frozen, "metadata/z": merge.Frozen}
	for i := range 20 {
		holds[tandem.Path(fmt.Sprintf("metadata/%d", i))] = merge.ByHand
	}
	s := merge.Sides{Base: tandem.Base{Local: full, Remote: full}, Local: full, Remote: full, Hold: holds}
	for range 20 { // a map has no order
		r := merge.Device(s, merge.Policy{Fields: tandem.SharedFields, Direction: tandem.Bidirectional})
		if want := tandem.SharedFields.Without(tandem.FieldName).Without(tandem.FieldCohort); r.Compared != want {
			t.Fatalf("compared are %v, want %v", r.Compared.Names(), want.Names())
		}
	}
}

// TestS6WrittenOverOneOfSeveral: what a write of ours replaced is looked at path by path; one that is not read
// again, or has no base, says nothing about the others, and an edit that is neither is one.
func TestS6WrittenOverOneOfSeveral(t *testing.T) {
	known := tandem.FieldSet(tandem.FieldName, tandem.FieldHardwareIDs, tandem.FieldTags, tandem.FieldCohort)
	base := tandem.Shared{Known: known.Without(tandem.FieldHardwareIDs), Name: "ours", Tags: []string{"ours"}, Cohort: "ours"}
	local := tandem.Shared{Known: known, Name: "ours", HardwareIDs: []string{"h"}, Tags: []string{"ours"}, Cohort: "ours"}
	remote := tandem.Shared{Known: known, Name: "edited", HardwareIDs: []string{"h"}, Tags: []string{"edited"}, Cohort: "old"}
	s := merge.Sides{Base: tandem.Base{Local: base, Remote: base}, Local: local, Remote: remote,
		WrittenOver: map[tandem.Path]any{"name": "old", "hardware_ids": []string{"h"}, "tags": []string{"old"}, "cohort": "old"}}
	r := merge.Device(s, merge.Policy{Fields: known, Direction: tandem.Bidirectional})
	var paths []tandem.Path
	for _, e := range r.Local {
		paths = append(paths, e.Path)
	}
	if want := []tandem.Path{"name", "tags"}; !reflect.DeepEqual(paths, want) || len(r.Remote)+len(r.Conflicts) != 0 {
		t.Errorf("imported are %v, want %v; %+v", paths, want, r)
	}
	if r.After.Name != "edited" || r.After.Cohort != "ours" || !reflect.DeepEqual(r.After.HardwareIDs, []string{"h"}) {
		t.Errorf("after it is %+v", r.After)
	}
	if r.Base.Local.Cohort != "ours" || r.Base.Remote.Cohort != "ours" {
		t.Errorf("the base is %+v", r.Base)
	}
}
