package clienttest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tandem"
)

// configuration is what people set on a device, to be compared; sets have no order.
func configuration(d tandem.RemoteDevice) tandem.NewRemoteDevice {
	return tandem.NewRemoteDevice{Name: d.Name, HardwareIDs: d.HardwareIDs, TagIDs: d.TagIDs, BlueprintID: d.BlueprintID, CohortID: d.CohortID}
}

func differ(want tandem.NewRemoteDevice, d tandem.RemoteDevice) string {
	return gocmp.Diff(want, configuration(d), cmpopts.EquateEmpty(), cmpopts.SortSlices(cmp.Less[string]))
}

// device creates one with everything on it, and finds it by everything.
func (s *suite) device(t *testing.T) {
	ctx := within(t)
	tag := s.makeEntity(t, ctx, tandem.TagEntity, s.prefix+"one")
	other := s.makeEntity(t, ctx, tandem.TagEntity, s.prefix+"two")
	blueprint := s.makeEntity(t, ctx, tandem.BlueprintEntity, s.prefix+"board")
	cohort := s.makeEntity(t, ctx, tandem.CohortEntity, s.prefix+"ring")
	want := tandem.NewRemoteDevice{Name: s.prefix + "Device One", HardwareIDs: []string{s.prefix + "hw1", s.prefix + "HW/2"},
		TagIDs: []string{tag.ID, other.ID}, BlueprintID: blueprint.ID, CohortID: cohort.ID}
	d := s.makeDevice(t, ctx, want)
	if diff := differ(want, d); diff != "" || !d.Enabled || d.CreatedAt.IsZero() || d.Problem != nil || d.LastReport != nil {
		t.Errorf("created as %+v\n%s", d, diff)
	}
	read, err := s.client.Device(ctx, d.ID)
	if diff := differ(want, read); err != nil || diff != "" || read.ID != d.ID || !read.CreatedAt.Equal(d.CreatedAt) {
		t.Errorf("read as %+v, %v\n%s", read, err, diff)
	}

	yes, no := true, false
	for name, test := range map[string]struct {
		listing tandem.RemoteListing
		found   bool
	}{
		"name":          {tandem.RemoteListing{Name: want.Name}, true},
		"half a name":   {tandem.RemoteListing{Name: s.prefix + "Device"}, false},
		"hardware id":   {tandem.RemoteListing{HardwareID: s.prefix + "HW/2"}, true},
		"both tags":     {tandem.RemoteListing{TagIDs: []string{tag.ID, other.ID}}, true},
		"blueprint":     {tandem.RemoteListing{BlueprintID: blueprint.ID}, true},
		"cohort":        {tandem.RemoteListing{CohortID: cohort.ID}, true},
		"enabled":       {tandem.RemoteListing{Term: s.prefix, Enabled: &yes}, true},
		"disabled":      {tandem.RemoteListing{Term: s.prefix, Enabled: &no}, false},
		"term":          {tandem.RemoteListing{Term: s.prefix + "Dev"}, true},
		"hardware term": {tandem.RemoteListing{Term: s.prefix + "hw1"}, true},
		"all at once": {tandem.RemoteListing{Name: want.Name, HardwareID: s.prefix + "hw1", TagIDs: []string{tag.ID}, BlueprintID: blueprint.ID,
			CohortID: cohort.ID, Enabled: &yes}, true},
		"one of two wrong": {tandem.RemoteListing{Name: want.Name, HardwareID: s.prefix + "none"}, false},
	} {
		t.Run("by "+name, func(t *testing.T) {
			s.eventually(t, func() string {
				var ids []string
				for page, err := range s.client.Devices(ctx, test.listing) {
					if err != nil {
						return err.Error()
					}
					for _, found := range page.Devices {
						ids = append(ids, found.ID)
					}
				}
				if slices.Contains(ids, d.ID) != test.found || len(ids) > 1 {
					return fmt.Sprintf("found %v, where %v is %v", ids, d.ID, test.found)
				}
				return ""
			})
		})
	}
}

// names are unique, and a device without a hardware id gets one.
func (s *suite) names(t *testing.T) {
	ctx := within(t)
	d := s.makeDevice(t, ctx, tandem.NewRemoteDevice{Name: s.prefix + "unique", HardwareIDs: []string{s.prefix + "unique-hw"}})
	_, err := s.client.CreateDevice(ctx, tandem.NewRemoteDevice{Name: d.Name, HardwareIDs: []string{s.prefix + "other-hw"}})
	fails(t, "a name that is taken", err, tandem.Exists, tandem.Invalid)
	_, err = s.client.CreateDevice(ctx, tandem.NewRemoteDevice{Name: s.prefix + "unique-2", HardwareIDs: d.HardwareIDs})
	fails(t, "a hardware id that is taken", err, tandem.Exists, tandem.Invalid)
	if bare := s.makeDevice(t, ctx, tandem.NewRemoteDevice{Name: s.prefix + "bare"}); len(bare.HardwareIDs) != 1 {
		t.Errorf("without a hardware id it got %q", bare.HardwareIDs)
	}
}

// patch changes one thing after another; each time all the rest stays (S23).
func (s *suite) patch(t *testing.T) {
	ctx := within(t)
	tag := s.makeEntity(t, ctx, tandem.TagEntity, s.prefix+"three")
	other := s.makeEntity(t, ctx, tandem.TagEntity, s.prefix+"four")
	blueprint := s.makeEntity(t, ctx, tandem.BlueprintEntity, s.prefix+"board-2")
	cohort := s.makeEntity(t, ctx, tandem.CohortEntity, s.prefix+"ring-2")
	want := tandem.NewRemoteDevice{Name: s.prefix + "patched", HardwareIDs: []string{s.prefix + "p1"}, TagIDs: []string{tag.ID}}
	d := s.makeDevice(t, ctx, want)
	enabled := true
	text := func(s string) *string { return &s }
	no, yes := false, true
	for _, step := range []struct {
		name  string
		patch tandem.RemotePatch
		then  func()
	}{
		{"rename", tandem.RemotePatch{Name: text(s.prefix + "patched-2")}, func() { want.Name = s.prefix + "patched-2" }},
		{"disable", tandem.RemotePatch{Enabled: &no}, func() { enabled = false }},
		{"give a blueprint", tandem.RemotePatch{BlueprintID: &blueprint.ID}, func() { want.BlueprintID = blueprint.ID }},
		{"give a cohort", tandem.RemotePatch{CohortID: &cohort.ID}, func() { want.CohortID = cohort.ID }},
		{"add a tag", tandem.RemotePatch{AddTagIDs: []string{other.ID}}, func() { want.TagIDs = []string{tag.ID, other.ID} }},
		{"remove a tag", tandem.RemotePatch{RemoveTagIDs: []string{tag.ID}}, func() { want.TagIDs = []string{other.ID} }},
		{"add hardware ids", tandem.RemotePatch{AddHardwareIDs: []string{s.prefix + "p2", s.prefix + "p3"}}, func() { want.HardwareIDs = []string{s.prefix + "p1", s.prefix + "p2", s.prefix + "p3"} }},
		{"remove a hardware id", tandem.RemotePatch{RemoveHardwareIDs: []string{s.prefix + "p1"}}, func() { want.HardwareIDs = []string{s.prefix + "p2", s.prefix + "p3"} }},
		{"clear the blueprint", tandem.RemotePatch{BlueprintID: text("")}, func() { want.BlueprintID = "" }},
		{"clear the cohort", tandem.RemotePatch{CohortID: text("")}, func() { want.CohortID = "" }},
		{"several at once", tandem.RemotePatch{Name: text(s.prefix + "patched-3"), Enabled: &yes, RemoveTagIDs: []string{other.ID}, AddTagIDs: []string{tag.ID}},
			func() { want.Name, want.TagIDs, enabled = s.prefix+"patched-3", []string{tag.ID}, true }},
		{"nothing", tandem.RemotePatch{}, func() {}},
	} {
		updated, err := s.client.UpdateDevice(ctx, d.ID, step.patch)
		step.then()
		if diff := differ(want, updated); err != nil || diff != "" || updated.Enabled != enabled {
			t.Fatalf("%s: enabled %v, %v\n%s", step.name, updated.Enabled, err, diff)
		}
	}
	if _, err := s.client.UpdateDevice(ctx, d.ID, tandem.RemotePatch{AddTagIDs: []string{missingID}}); err == nil || tandem.Is(err, tandem.Exists) {
		t.Errorf("a tag that is not there: %v", err)
	}
	read, err := s.client.Device(ctx, d.ID)
	if diff := differ(want, read); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// missingID is an id that no object has: its creation second is 1970.
const missingID = "000000000000000000000000"

// missing looks for the proof that S15 asks for.
func (s *suite) missing(t *testing.T) {
	ctx := within(t)
	_, err := s.client.Device(ctx, missingID)
	fails(t, "a device that never was", err, tandem.NotFound)
	d := s.makeDevice(t, ctx, tandem.NewRemoteDevice{Name: s.prefix + "short-lived", HardwareIDs: []string{s.prefix + "short"}})
	if err := s.client.DeleteDevice(ctx, d.ID); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, func() string {
		if _, err := s.client.Device(ctx, d.ID); !tandem.Is(err, tandem.NotFound) {
			return fmt.Sprintf("a deleted device: %v", err)
		}
		return ""
	})
	fails(t, "deleting it again", s.client.DeleteDevice(ctx, d.ID), tandem.NotFound, tandem.Invalid)
	name := s.prefix + "nobody"
	_, err = s.client.UpdateDevice(ctx, d.ID, tandem.RemotePatch{Name: &name})
	fails(t, "updating it", err, tandem.NotFound, tandem.Invalid)
}

// listing walks several pages: in order, without a gap, and saying how many there are.
func (s *suite) listing(t *testing.T) {
	ctx := within(t)
	const n = 7
	var want []string
	for i := range n {
		name := fmt.Sprintf("%spage-%d", s.prefix, i)
		want = append(want, s.makeDevice(t, ctx, tandem.NewRemoteDevice{Name: name, HardwareIDs: []string{name}}).ID)
	}
	s.eventually(t, func() string {
		var ids []string
		number := 0
		for page, err := range s.client.Devices(ctx, tandem.RemoteListing{Term: s.prefix + "page-", PerPage: 2}) {
			if err != nil {
				return err.Error()
			}
			if page.Number != number || page.PerPage != 2 || page.Total != n || page.Now.IsZero() {
				return fmt.Sprintf("page %d: %d of %d, %d to a page", number, page.Number, page.Total, page.PerPage)
			}
			number++
			for _, d := range page.Devices {
				ids = append(ids, d.ID)
			}
		}
		if !slices.IsSortedFunc(ids, strings.Compare) {
			return fmt.Sprintf("the ids do not rise: %v", ids)
		}
		if !slices.Equal(ids, want) {
			return fmt.Sprintf("%v, where %v were made", ids, want)
		}
		return ""
	})
}
