package golioth

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

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

// scanner reads JSON forward. Its methods report false, and leave it anywhere, when they give up.
type scanner struct {
	b    []byte
	i    int
	seen map[string]string // texts that repeat from device to device, kept once
}

// space skips white space.
func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

// take skips white space and one byte, if it is c.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// literal skips white space and a word, if it comes.
func (s *scanner) literal(word string) bool {
	s.space()
	if len(s.b)-s.i >= len(word) && string(s.b[s.i:s.i+len(word)]) == word {
		s.i += len(word)
		return true
	}
	return false
}

// end reports whether only white space is left.
func (s *scanner) end() bool {
	s.space()
	return s.i == len(s.b)
}

// object hands each member's key to member, which reads the value.
func (s *scanner) object(member func(key string) bool) bool {
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return true
	}
	for {
		key, ok := s.quoted()
		if !ok || key == nil || !s.take(':') || !member(s.kept(key)) {
			return false
		}
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// array lets element read each element.
func (s *scanner) array(element func() bool) bool {
	if !s.take('[') {
		return false
	}
	if s.take(']') {
		return true
	}
	for {
		if !element() {
			return false
		}
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// quoted reads a string without escapes and gives the bytes between its quotes, never nil.
func (s *scanner) quoted() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	start, plain := s.i, true
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			text := s.b[start:s.i:s.i]
			s.i++
			return text, plain || utf8.Valid(text)
		case c == '\\' || c < ' ':
			return nil, false
		case c >= utf8.RuneSelf:
			plain = false
		}
		s.i++
	}
	return nil, false
}

// kept gives a text that is likely to come again as a string, allocated once a page. No text is cut out of the body, which would live as long as any of its devices.
func (s *scanner) kept(b []byte) string {
	if text, ok := s.seen[string(b)]; ok {
		return text
	}
	text := string(b)
	s.seen[text] = text
	return text
}

// once reads a string that is unlikely to come again; null is given up, since it may mean something.
func (s *scanner) once(to *string) bool {
	b, ok := s.quoted()
	*to = string(b)
	return ok
}

// again reads a string that is likely to come again.
func (s *scanner) again(to *string) bool {
	b, ok := s.quoted()
	if ok {
		*to = s.kept(b)
	}
	return ok
}

// texts reads a list of strings.
func (s *scanner) texts(to *[]string, likely bool) bool {
	*to = []string{}
	return s.array(func() bool {
		var text string
		ok := false
		if likely {
			ok = s.again(&text)
		} else {
			ok = s.once(&text)
		}
		*to = append(*to, text)
		return ok
	})
}

// count reads a whole number of few digits.
func (s *scanner) count(to *int) bool {
	s.space()
	start, n := s.i, 0
	for ; s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9'; s.i++ {
		n = n*10 + int(s.b[s.i]-'0')
	}
	*to = n
	digits := s.i - start
	return digits > 0 && digits <= 12 && (digits == 1 || s.b[start] != '0')
}

// instant reads a time, or null, which leaves it zero.
func (s *scanner) instant(to *time.Time) bool {
	if s.literal("null") {
		return true
	}
	b, ok := s.quoted()
	return ok && to.UnmarshalText(b) == nil && !to.IsZero() // zero stands for null here
}

// boolean reads true or false.
func (s *scanner) boolean(to *bool) bool {
	*to = s.literal("true")
	return *to || s.literal("false")
}

// skip reads any value and forgets it, but only if it is valid.
func (s *scanner) skip() bool {
	_, ok := s.raw()
	return ok
}

// raw reads any value and gives its bytes.
func (s *scanner) raw() ([]byte, bool) {
	s.space()
	start, depth := s.i, 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.checked(start)
			}
			if depth--; depth == 0 {
				s.i++
				return s.checked(start)
			}
		case ',':
			if depth == 0 {
				return s.checked(start)
			}
		case '"':
			for s.i++; s.i < len(s.b) && s.b[s.i] != '"'; s.i++ {
				if s.b[s.i] == '\\' {
					s.i++
				}
			}
			if depth == 0 {
				s.i = min(s.i+1, len(s.b))
				return s.checked(start)
			}
		}
		s.i++
	}
	return nil, false
}

// checked gives the bytes from start on, if they are one valid value.
func (s *scanner) checked(start int) ([]byte, bool) {
	value := bytes.TrimRight(s.b[start:s.i], " \t\r\n")
	return value, string(value) == "null" || json.Valid(value)
}

// foreign skips a member that nobody asked for. One that encoding/json would take for a known one, since
// it does not mind case, is given up.
func (s *scanner) foreign(key string, known ...string) bool {
	for _, k := range known {
		if strings.EqualFold(key, k) {
			return false
		}
	}
	return s.skip()
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
