package golioth

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

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
