package golioth

import (
	"encoding/json"
	"time"

	"tandem"
)

// A listing of a large fleet is mostly decoding, so a page in its usual form is read here in one pass,
// straight into the domain's devices. Whatever is unusual (an escape in a key, a number as a string, a
// member twice, another type, bad JSON) makes scanPage give up, and decodePageSlowly, which is the
// meaning of the format, reads the page instead. FuzzDecodePage holds the two to the same result.

// scanPage reads a page of devices; ok is false when it is not in its usual form.
func scanPage(body []byte) (p devicePage, ok bool) {
	s := scanner{b: body, seen: map[string]string{}}
	const list, number, perPage, total = 1, 2, 4, 8
	found := 0
	p.devices = make([]tandem.RemoteDevice, 0, MaxPerPage)
	ok = s.object(func(key string) bool {
		bit := 0
		switch key {
		case "list":
			bit = list
		case "page":
			bit = number
		case "perPage":
			bit = perPage
		case "total":
			bit = total
		default:
			return s.foreign(key, "list", "page", "perPage", "total")
		}
		if found&bit != 0 {
			return false
		}
		found |= bit
		switch bit {
		case list:
			return s.array(func() bool {
				p.devices = append(p.devices, tandem.RemoteDevice{})
				return s.device(&p.devices[len(p.devices)-1])
			})
		case number:
			return s.count(&p.number)
		case perPage:
			return s.count(&p.perPage)
		}
		return s.count(&p.total)
	}) && s.end()
	return p, ok && found&(list|number|total) == list|number|total
}

// The members of a device, as bits.
const (
	sawID = 1 << iota
	sawHardwareIDs
	sawName
	sawCreatedAt
	sawUpdatedAt
	sawTagIDs
	sawBlueprintID
	sawCohortID
	sawData
	sawLastReport
	sawMetadata
	sawEnabled
)

// device reads one device.
func (s *scanner) device(d *tandem.RemoteDevice) bool {
	saw := 0
	var report, reported, online time.Time
	ok := s.object(func(key string) bool {
		was := saw
		ok := false
		switch key {
		case "id":
			saw |= sawID
			ok = s.once(&d.ID)
		case "hardwareIds":
			saw |= sawHardwareIDs
			ok = s.texts(&d.HardwareIDs, false)
		case "name":
			saw |= sawName
			ok = s.once(&d.Name)
		case "createdAt":
			saw |= sawCreatedAt
			ok = s.instant(&d.CreatedAt)
		case "updatedAt":
			saw |= sawUpdatedAt
			ok = s.instant(&d.UpdatedAt)
		case "tagIds":
			saw |= sawTagIDs
			ok = s.texts(&d.TagIDs, true)
		case "blueprintId":
			saw |= sawBlueprintID
			ok = s.again(&d.BlueprintID)
		case "cohortId":
			saw |= sawCohortID
			ok = s.again(&d.CohortID)
		case "data":
			saw |= sawData
			raw, read := s.raw()
			if ok = read; ok && string(raw) != "null" {
				d.State = json.RawMessage(append([]byte(nil), raw...))
			}
		case "lastReport":
			saw |= sawLastReport
			ok = s.instant(&report)
		case "metadata":
			saw |= sawMetadata
			ok = s.metadata(d, &reported, &online)
		case "enabled":
			saw |= sawEnabled
			ok = s.boolean(&d.Enabled)
		case "status", "certificateId":
			return s.skip()
		default:
			return s.foreign(key, "id", "hardwareIds", "name", "createdAt", "updatedAt", "tagIds", "blueprintId", "cohortId",
				"data", "lastReport", "metadata", "enabled")
		}
		return ok && saw != was // a member that comes twice is for the slow reader
	})
	if !ok {
		return false
	}
	if !reported.IsZero() {
		report = reported
	}
	d.LastReport, d.LastSeenOnline = known(report), known(online)
	finish(d, saw&sawName != 0, saw&sawEnabled != 0)
	return true
}

// known gives a time of its own, nil for zero.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// metadata reads what the device reported.
func (s *scanner) metadata(d *tandem.RemoteDevice, report, online *time.Time) bool {
	var saw [3]bool
	return s.object(func(key string) bool {
		switch key {
		case "update":
			ok := !saw[0]
			saw[0] = true
			return ok && s.updates(d)
		case "lastReport":
			ok := !saw[1]
			saw[1] = true
			return ok && s.instant(report)
		case "lastSeenOnline":
			ok := !saw[2]
			saw[2] = true
			return ok && s.instant(online)
		}
		return s.foreign(key, "update", "lastReport", "lastSeenOnline")
	})
}

// updates reads the firmware state of each package.
func (s *scanner) updates(d *tandem.RemoteDevice) bool {
	return s.object(func(name string) bool {
		var f tandem.Firmware
		saw := 0
		ok := s.object(func(key string) bool {
			was := saw
			ok := false
			switch key {
			case "version":
				saw |= 1
				ok = s.again(&f.Version)
			case "target":
				saw |= 2
				ok = s.again(&f.Target)
			case "state":
				saw |= 4
				ok = s.again(&f.State)
			case "stateCode":
				saw |= 8
				ok = s.again(&f.StateCode)
			case "reason":
				saw |= 16
				ok = s.again(&f.Reason)
			case "reasonCode":
				saw |= 32
				ok = s.again(&f.ReasonCode)
			case "time":
				saw |= 64
				ok = s.once(&f.Time)
			case "package":
				return s.skip()
			default:
				return s.foreign(key, "version", "target", "state", "stateCode", "reason", "reasonCode", "time")
			}
			return ok && saw != was
		})
		if _, twice := d.Firmware[name]; !ok || twice {
			return false
		}
		if d.Firmware == nil {
			d.Firmware = make(map[string]tandem.Firmware, 1)
		}
		d.Firmware[name] = f
		return true
	})
}
