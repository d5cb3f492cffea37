package store

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
	"unicode"

	"tandem"
)

// appendTime writes an instant as both databases read it: UTC, six decimals, so that text sorts as time does.
func appendTime(buf []byte, t time.Time) []byte {
	return t.UTC().Round(time.Microsecond).AppendFormat(buf, "2006-01-02 15:04:05.000000+00:00")
}

func formatTime(t time.Time) string { return string(appendTime(nil, t)) }

// stamp scans an instant; NULL is the zero time.
type stamp struct{ time.Time }

// Scan takes what either driver gives.
func (s *stamp) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		s.Time = time.Time{}
	case time.Time:
		s.Time = v.UTC()
	case string:
		return s.parse(v)
	case []byte:
		return s.parse(string(v))
	default:
		return tandem.Errorf(tandem.Corrupt, "", "", "a stored time has the type %T", src)
	}
	return nil
}

func (s *stamp) parse(v string) error {
	if t, ok := fastTime(v); ok {
		s.Time = t
		return nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05.999999999Z07:00", time.RFC3339Nano, "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, v); err == nil {
			s.Time = t.UTC()
			return nil
		}
	}
	return tandem.Errorf(tandem.Corrupt, "", v, "this stored time cannot be read")
}

// ptr gives nil for the zero time.
func (s *stamp) ptr() *time.Time {
	if s.IsZero() {
		return nil
	}
	t := s.Time
	return &t
}

// fastTime reads "2006-01-02 15:04:05[.ffffff](+00:00|Z)" with a space or a T; another form is not ok.
func fastTime(v string) (time.Time, bool) {
	if len(v) < 20 || v[4] != '-' || v[7] != '-' || v[10] != ' ' && v[10] != 'T' || v[13] != ':' || v[16] != ':' {
		return time.Time{}, false
	}
	rest := v[19:]
	nanos := 0
	if rest[0] == '.' {
		scale, i := 100_000_000, 1
		for ; i < len(rest) && rest[i] >= '0' && rest[i] <= '9'; i++ {
			nanos += int(rest[i]-'0') * scale
			scale /= 10
		}
		rest = rest[i:]
	}
	if rest != "+00:00" && rest != "Z" {
		return time.Time{}, false
	}
	year, a := digits(v[0:4])
	month, b := digits(v[5:7])
	day, c := digits(v[8:10])
	hour, d := digits(v[11:13])
	minute, e := digits(v[14:16])
	second, f := digits(v[17:19])
	if !(a && b && c && d && e && f) || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC), true
}

func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int(c)
	}
	return n, true
}

// word scans text; NULL is "".
type word string

// Scan takes what either driver gives.
func (w *word) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*w = ""
	case string:
		*w = word(v)
	case []byte:
		*w = word(v)
	default:
		return tandem.Errorf(tandem.Corrupt, "", "", "a stored text has the type %T", src)
	}
	return nil
}

// raw gives JSON text as a RawMessage, nil for none.
func (w word) raw() json.RawMessage {
	if w == "" {
		return nil
	}
	return json.RawMessage(w)
}

// decode reads JSON text, leaving v alone where there is none. Numbers keep their spelling.
func (w word) decode(v any) error {
	if w == "" {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(string(w)))
	decoder.UseNumber()
	err := decoder.Decode(v)
	if _, more := decoder.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("something follows the value")
	}
	if err != nil {
		return tandem.Errorf(tandem.Corrupt, "", "", "a stored value is damaged: %w", err).
			WithHint("restore a backup, or run `tandem doctor`")
	}
	return nil
}

// fold gives the spelling by which texts compare without regard to case: two texts fold alike
// exactly when strings.EqualFold says that they are equal.
func fold(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return strings.Map(foldRune, s)
		}
	}
	return strings.ToLower(s)
}

// foldRune picks one rune of those that differ by case only.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if least >= 'A' && least <= 'Z' {
		return least + 'a' - 'A'
	}
	return least
}

// like gives a pattern that finds a folded substring, with \ as escape.
func like(s string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(fold(s)) + "%"
}

// window gives offset and limit of a page.
func window(p tandem.Page) (offset, limit int) {
	limit = p.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, 1000)
	return (max(p.Number, 1) - 1) * limit, limit
}
