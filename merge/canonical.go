package merge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"tandem"
)

// Fingerprint names a pair of values, for drift (S7): 16 hex digits of a hash over their canonical forms.
// Pairs whose values are Equal have the same one.
func Fingerprint(local, remote any) string {
	sum := sha256.Sum256(appendCanonical(appendCanonical(nil, local), remote))
	return hex.EncodeToString(sum[:8])
}

// appendCanonical writes v so that two values are Equal exactly when their texts are the same.
// The text ends itself: no text is the beginning of another.
func appendCanonical(b []byte, v any) []byte {
	v = plain(v)
	if absent(v) {
		return append(b, 'n')
	}
	if d, ok := decimalOf(v); ok {
		if d.negative {
			b = append(b, '-')
		}
		b = append(append(b, '#'), d.digits...)
		return append(strconv.AppendInt(append(b, 'e'), d.exponent, 10), ';')
	}
	switch x := v.(type) {
	case bool:
		if x {
			return append(b, 't')
		}
		return append(b, 'f')
	case string:
		if t, ok := instant(x); ok {
			b = strconv.AppendInt(append(b, '@'), t.Unix(), 10)
			return append(strconv.AppendInt(append(b, '.'), int64(t.Nanosecond()), 10), ';')
		}
		return strconv.AppendQuote(b, x)
	case []any:
		b = append(b, '[')
		for _, e := range x {
			b = appendCanonical(b, e)
		}
		return append(b, ']')
	case tandem.Map:
		b = append(b, '{')
		for _, k := range sortedKeys(x) {
			if !absent(x[k]) {
				b = appendCanonical(strconv.AppendQuote(b, k), x[k])
			}
		}
		return append(b, '}')
	}
	return b
}

// sortedKeys gives the keys of all maps, each once.
func sortedKeys(maps ...tandem.Map) []string {
	var keys []string
	for _, m := range maps {
		for k := range m {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// decimal is a number exactly as it is spelled: ± digits × 10^exponent, without zeros at either end.
// A decimal, not a ratio of integers, so that 1e999999999 costs as little as 1.
type decimal struct {
	negative bool
	digits   string // "" is zero
	exponent int64
}

// decimalOf gives the number that v is. A whole float64 below 1e21 is that integer; any other is
// the shortest decimal that reads back as it, which is how JSON spells it.
func decimalOf(v any) (decimal, bool) {
	switch x := v.(type) {
	case json.Number:
		return parseDecimal(string(x)), true
	case float64:
		return decimalOfFloat(x, 64), true
	case float32:
		return decimalOfFloat(float64(x), 32), true
	case int:
		return parseDecimal(strconv.Itoa(x)), true
	case int8:
		return parseDecimal(strconv.Itoa(int(x))), true
	case int16:
		return parseDecimal(strconv.Itoa(int(x))), true
	case int32:
		return parseDecimal(strconv.Itoa(int(x))), true
	case int64:
		return parseDecimal(strconv.FormatInt(x, 10)), true
	case uint:
		return parseDecimal(strconv.FormatUint(uint64(x), 10)), true
	case uint8:
		return parseDecimal(strconv.Itoa(int(x))), true
	case uint16:
		return parseDecimal(strconv.Itoa(int(x))), true
	case uint32:
		return parseDecimal(strconv.FormatUint(uint64(x), 10)), true
	case uint64:
		return parseDecimal(strconv.FormatUint(x, 10)), true
	}
	return decimal{}, false
}

// decimalOfFloat gives a float of the given size in bits.
func decimalOfFloat(f float64, bits int) decimal {
	if f == math.Trunc(f) && math.Abs(f) < 1e21 {
		return parseDecimal(strconv.FormatFloat(f, 'f', 0, bits))
	}
	return parseDecimal(strconv.FormatFloat(f, 'g', -1, bits))
}

// parseDecimal reads a JSON number. What is none, or has an exponent past int64, is equal only to its own spelling.
func parseDecimal(s string) decimal {
	asSpelled := decimal{digits: "?" + strconv.Quote(s)}
	text, negative := strings.CutPrefix(s, "-")
	mantissa, power, hasPower := text, "", false
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, power, hasPower = text[:i], text[i+1:], true
	}
	whole, fraction, hasFraction := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if whole == "" || hasFraction && fraction == "" || strings.Trim(digits, "0123456789") != "" {
		return asSpelled
	}
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return decimal{} // zero has no sign and no power
	}
	var exponent int64
	if hasPower {
		var err error
		if exponent, err = strconv.ParseInt(power, 10, 64); err != nil || exponent > math.MaxInt64/2 || exponent < math.MinInt64/2 {
			return asSpelled
		}
	}
	short := strings.TrimRight(digits, "0")
	return decimal{negative: negative, digits: short, exponent: exponent - int64(len(fraction)) + int64(len(digits)-len(short))}
}
