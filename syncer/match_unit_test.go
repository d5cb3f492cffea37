package syncer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"tandem"
)

func TestS12IdentifyTable(t *testing.T) {
	gone := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	local := func(id, name string, hardware ...string) tandem.Candidate {
		return tandem.Candidate{Device: tandem.Device{ID: id, Name: name, DeviceID: "id-of-" + id, HardwareIDs: hardware}}
	}
	linked := func(c tandem.Candidate, external string, status tandem.SyncStatus) tandem.Candidate {
		c.Assignment = &tandem.Assignment{ExternalDeviceID: external, Status: status}
		return c
	}
	dead := func(c tandem.Candidate) tandem.Candidate { c.Device.DeletedAt = &gone; return c }
	called := func(c tandem.Candidate, id string) tandem.Candidate { c.Device.DeviceID = id; return c }
	remote := tandem.RemoteDevice{ID: "r1", Name: "gate", HardwareIDs: []string{"HW-1", "HW-2"}}
	bare := tandem.RemoteDevice{ID: "r1", Name: "gate"}
	for _, tt := range []struct {
		name       string
		remote     tandem.RemoteDevice
		candidates []tandem.Candidate
		match      string
		ambiguous  string
		of         []string
	}{
		{"nobody", remote, nil, "", "", nil},
		{"one shares a hardware id", remote, []tandem.Candidate{local("a", "other", "HW-2")}, "a", "", nil},
		{"a hardware id beats a name", remote, []tandem.Candidate{local("a", "other", "HW-2"), local("b", "gate")}, "a", "", nil},
		{"two share one", remote, []tandem.Candidate{local("b", "x", "HW-1"), local("a", "y", "HW-2")}, "", "several devices here share", []string{"a", "b"}},
		{"by letter case", remote, []tandem.Candidate{local("a", "gate", "hw-1")}, "", "letter case", []string{"a"}},
		{"by name", remote, []tandem.Candidate{local("a", "gate")}, "a", "", nil},
		{"by device_id", remote, []tandem.Candidate{called(local("a", "x"), "gate")}, "a", "", nil},
		{"by name, remote without hardware ids", bare, []tandem.Candidate{local("a", "gate", "HW-9")}, "a", "", nil},
		{"by name, disjoint hardware ids", remote, []tandem.Candidate{local("a", "gate", "HW-9")}, "", "other hardware ids", []string{"a"}},
		{"by name, two", remote, []tandem.Candidate{local("a", "gate"), called(local("b", "x"), "gate")}, "", "several devices here have its name", []string{"a", "b"}},
		{"by name but for letter case", remote, []tandem.Candidate{local("a", "Gate")}, "", "letter case", []string{"a"}},
		{"a tombstone is no candidate", remote, []tandem.Candidate{dead(local("a", "gate", "HW-1"))}, "", "", nil},
		{"a linked device of the same name is no candidate", remote, []tandem.Candidate{linked(local("a", "gate"), "listed", tandem.SyncSynced)}, "", "", nil},
		{"a linked device whose remote one is gone", remote, []tandem.Candidate{linked(local("a", "gate"), "lost", tandem.SyncSynced)}, "", "reappearance", []string{"a"}},
		{"a linked device with its hardware id", remote, []tandem.Candidate{linked(local("a", "x", "HW-1"), "listed", tandem.SyncSynced)}, "", "reappearance", []string{"a"}},
		{"an unlinked device with its hardware id", remote, []tandem.Candidate{linked(local("a", "x", "HW-1"), "listed", tandem.SyncUnlinked)}, "", "reappearance", []string{"a"}},
		{"an unlinked device with its name", remote, []tandem.Candidate{linked(local("a", "gate"), "listed", tandem.SyncUnlinked)}, "", "reappearance", []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := identify(&tt.remote, tt.candidates, func(id string) bool { return id == "listed" })
			match := ""
			if v.device != nil {
				match = v.device.ID
			}
			if match != tt.match || v.ambiguous() != (tt.ambiguous != "") || !strings.Contains(v.reason, tt.ambiguous) || !slices.Equal(v.candidates, tt.of) {
				t.Fatalf("got match %q, reason %q, candidates %v", match, v.reason, v.candidates)
			}
			reversed := slices.Clone(tt.candidates)
			slices.Reverse(reversed)
			if w := identify(&tt.remote, reversed, func(id string) bool { return id == "listed" }); w.reason != v.reason || !slices.Equal(w.candidates, v.candidates) || (w.device == nil) != (v.device == nil) {
				t.Fatalf("the order of candidates matters: %+v and %+v", v, w)
			}
		})
	}
}

func TestS12CandidateIndexFindsWhatIdentifyLooksAt(t *testing.T) {
	all := []tandem.Candidate{
		{Device: tandem.Device{ID: "a", Name: "Gate", DeviceID: "gate", HardwareIDs: []string{"HW-1"}}},
		{Device: tandem.Device{ID: "b", Name: "pump", DeviceID: "p-1", HardwareIDs: []string{"hw-1", "HW-2"}}},
		{Device: tandem.Device{ID: "c", Name: "fan", DeviceID: "GATE"}},
	}
	index := indexCandidates(all)
	for _, tt := range []struct {
		remote tandem.RemoteDevice
		want   []string
	}{
		{tandem.RemoteDevice{Name: "gate"}, []string{"a", "c"}},
		{tandem.RemoteDevice{Name: "x", HardwareIDs: []string{"Hw-1"}}, []string{"a", "b"}},
		{tandem.RemoteDevice{Name: "GATE", HardwareIDs: []string{"HW-1", "hw-2"}}, []string{"a", "b", "c"}},
		{tandem.RemoteDevice{Name: "nothing"}, nil},
	} {
		var got []string
		for _, c := range index.of(&tt.remote) {
			got = append(got, c.Device.ID)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("of %+v: %v, want %v", tt.remote, got, tt.want)
		}
	}
	if !index.takenID("p-1") || index.takenID("P-1") || (*candidateIndex)(nil).takenID("p-1") {
		t.Error("takenID is wrong")
	}
}
