package syncer

import (
	"slices"
	"strings"

	"tandem"
)

// verdict is what identity says of a remote device that no assignment names (S12).
type verdict struct {
	device     *tandem.Device // the one match
	candidates []string       // of an ambiguous match: local device ids
	reason     string         // of an ambiguous match: why a person must say
}

func (v verdict) ambiguous() bool { return v.reason != "" }

// identify matches one remote device against its candidates: by a shared hardware id, else by name.
// Candidates that are tombstones, unlinked or linked on this service are no match, but one of those
// that carries the same identity makes the device a reappearance under a new id, which a person decides.
// listed says whether the remote device of an assignment was in the listing.
func identify(rd *tandem.RemoteDevice, candidates []tandem.Candidate, listed func(externalID string) bool) verdict {
	var byID, byFold, byName, byNameFold, gone []tandem.Candidate
	for _, c := range candidates {
		exact, fold := shares(rd.HardwareIDs, c.Device.HardwareIDs)
		named := c.Device.DeviceID == rd.Name || c.Device.Name == rd.Name
		nameFold := strings.EqualFold(c.Device.DeviceID, rd.Name) || strings.EqualFold(c.Device.Name, rd.Name)
		switch {
		case c.Assignment != nil:
			// Linked or unlinked on this service under another remote id.
			left := c.Assignment.Status == tandem.SyncUnlinked || !listed(c.Assignment.ExternalDeviceID)
			if exact || (named && left) {
				gone = append(gone, c)
			}
		case c.Device.DeletedAt != nil:
		case exact:
			byID = append(byID, c)
		case fold:
			byFold = append(byFold, c)
		case named:
			byName = append(byName, c)
		case nameFold:
			byNameFold = append(byNameFold, c)
		}
	}
	unsure := func(reason string, of ...[]tandem.Candidate) verdict {
		v := verdict{reason: reason}
		for _, c := range slices.Concat(of...) {
			v.candidates = append(v.candidates, c.Device.ID)
		}
		slices.Sort(v.candidates)
		return v
	}
	switch {
	case len(gone) > 0:
		return unsure("it carries the identity of a device that is linked to another remote device: a reappearance under a new id", gone, byID)
	case len(byID) > 1:
		return unsure("several devices here share a hardware id with it", byID)
	case len(byID) == 1:
		return verdict{device: &byID[0].Device}
	case len(byFold) > 0:
		return unsure("a hardware id here differs from its own by letter case only", byFold)
	case len(byName) > 1:
		return unsure("several devices here have its name", byName)
	case len(byName) == 1 && len(byName[0].Device.HardwareIDs) > 0 && len(rd.HardwareIDs) > 0:
		return unsure("a device here has its name, but other hardware ids", byName)
	case len(byName) == 1:
		return verdict{device: &byName[0].Device}
	case len(byNameFold) > 0:
		return unsure("a name here differs from its own by letter case only", byNameFold)
	}
	return verdict{}
}

// shares reports whether two sets of hardware ids have a common element, exactly or by letter case only.
func shares(a, b []string) (exact, fold bool) {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true, true
			}
			fold = fold || strings.EqualFold(x, y)
		}
	}
	return false, fold
}

// candidateIndex finds the candidates of each probe in the answer for many.
type candidateIndex struct {
	byHardware map[string][]int
	byName     map[string][]int
	all        []tandem.Candidate
}

func indexCandidates(all []tandem.Candidate) *candidateIndex {
	x := &candidateIndex{byHardware: map[string][]int{}, byName: map[string][]int{}, all: all}
	for i, c := range all {
		for _, id := range c.Device.HardwareIDs {
			key := strings.ToLower(id)
			x.byHardware[key] = append(x.byHardware[key], i)
		}
		names := []string{strings.ToLower(c.Device.Name), strings.ToLower(c.Device.DeviceID)}
		for _, key := range slices.Compact(names) {
			x.byName[key] = append(x.byName[key], i)
		}
	}
	return x
}

// of gives what may be meant by a remote device.
func (x *candidateIndex) of(rd *tandem.RemoteDevice) []tandem.Candidate {
	var picks []int
	for _, id := range rd.HardwareIDs {
		picks = append(picks, x.byHardware[strings.ToLower(id)]...)
	}
	picks = append(picks, x.byName[strings.ToLower(rd.Name)]...)
	slices.Sort(picks)
	var out []tandem.Candidate
	for _, i := range slices.Compact(picks) {
		out = append(out, x.all[i])
	}
	return out
}
