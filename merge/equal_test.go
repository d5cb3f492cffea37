package merge_test

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"

	"tandem"
	"tandem/merge"
)

func TestS6Equal(t *testing.T) {
	n := func(s string) json.Number { return json.Number(s) }
	cases := []struct {
		a, b any
		want bool
	}{
		{nil, nil, true}, {nil, tandem.Map{}, true}, {nil, tandem.Map{"a": nil, "b": tandem.Map{}}, true},
		{nil, "", false}, {nil, []any{}, false}, {nil, false, false}, {nil, 0, false}, {tandem.Map{}, []any{}, false},
		{"a", "a", true}, {"a", "b", false}, {"1", 1, false}, {"true", true, false}, {true, true, true}, {true, false, false},
		{true, 1, false}, {[]any{}, "", false},
		{1, 1.0, true}, {n("1"), n("1.0"), true}, {n("1"), n("1e0"), true}, {n("10"), n("1E+1"), true}, {n("0.1"), n("1e-1"), true},
		{n("1"), 1, true}, {n("1"), int64(1), true}, {n("1"), uint8(1), true}, {n("0.1"), 0.1, true}, {n("0.5"), float32(0.5), true},
		{int8(-3), int16(-3), true}, {int32(7), uint16(7), true}, {uint(7), uint32(7), true}, {uint64(math.MaxUint64), n("18446744073709551615"), true},
		{n("-0"), n("0"), true}, {n("-0.0e7"), 0, true}, {n("-1"), n("1"), false}, {n("1"), n("10"), false}, {n("1"), n("2"), false},
		{n("9007199254740993"), n("9007199254740992"), false}, {n("9007199254740993"), int64(9007199254740993), true},
		{n("9007199254740992"), float64(1 << 53), true}, {1e21, n("1e21"), true}, {1e23, n("1e23"), true},
		{n("1e999999999999"), n("10e999999999998"), true}, {n("1e999999999999"), n("1e999999999998"), false},
		{n("1e99999999999999999999"), n("1e99999999999999999999"), true}, {n("1e99999999999999999999"), n("2e99999999999999999999"), false},
		{n("1e-99999999999999999999"), n("1e99999999999999999999"), false}, {n("0e99999999999999999999"), 0, true},
		{n("1e4611686018427387903"), n("10e4611686018427387902"), true}, {n("1e-4611686018427387904"), n("0.1e-4611686018427387903"), true},
		{n("1e5000000000000000000"), n("10e4999999999999999999"), false}, {n("1e-5000000000000000000"), n("10e-5000000000000000001"), false},
		{n("0.125"), 0.125, true}, {n("15e299"), 1.5e300, true}, {n("0.1"), 0.125, false},
		{n("x"), n("x"), true}, {n("x"), n("y"), false}, {n("1."), n("1"), false}, {n(".5"), n("0.5"), false}, {n(""), n("0"), false},
		{math.NaN(), math.NaN(), true}, {math.Inf(1), math.Inf(-1), false},
		{"2026-03-01T10:00:00Z", "2026-03-01T11:00:00+01:00", true}, {"2026-03-01T10:00:00Z", "2026-03-01T10:00:00.000Z", true},
		{"2026-03-01T10:00:00Z", "2026-03-01T10:00:01Z", false}, {"2026-03-01T10:00:00.5Z", "2026-03-01T10:00:00,5Z", false},
		{"2026-03-01T10:00:00.1234567891Z", "2026-03-01T10:00:00.1234567892Z", false},
		{"2026-03-01T10:00:00.123456789Z", "2026-03-01T11:00:00.123456789+01:00", true},
		{"2026-13-01T10:00:00Z", "2026-13-01T11:00:00+01:00", false}, {"2026-03-01 10:00:00Z", "2026-03-01 11:00:00+01:00", false},
		{"2026-03-01T10:00:00Z", "2026-03-01T11:00:00+01:0x", false},
		{[]any{1, 2}, []any{1.0, n("2")}, true}, {[]any{1, 2}, []any{2, 1}, false}, {[]any{nil}, []any{tandem.Map{}}, true}, {[]any{nil}, []any{}, false},
		{[]string{"a"}, []any{"a"}, true}, {[]string(nil), []any{}, true}, {[]string{"a"}, []string{"b"}, false}, {[]any{"a"}, "a", false},
		{tandem.Map{"a": 1, "b": 2}, tandem.Map{"b": 2.0, "a": n("1")}, true}, {tandem.Map{"a": 1}, tandem.Map{"a": 1, "b": nil}, true},
		{tandem.Map{"a": 1}, tandem.Map{"a": 1, "b": 2}, false}, {tandem.Map{"a": 1}, tandem.Map{"b": 1}, false}, {tandem.Map{"a": 1}, []any{1}, false},
		{map[string]string{"a": "x"}, tandem.Map{"a": "x"}, true}, {map[string]int{"a": 1}, map[string]float64{"a": 1}, true},
		{json.RawMessage(`{"a":1}`), tandem.Map{"a": 1}, true}, {map[string]int{}, nil, true}, {map[string]bool{"a": true}, true, false},
		{func() {}, nil, false}, {json.RawMessage(`"a"`), "a", true}, {json.RawMessage(`true`), true, true},
		{json.RawMessage(`{"a":1}`), tandem.Map{"a": 2}, false}, {json.RawMessage(`["a"]`), []any{"b"}, false},
		{json.RawMessage(`"a"`), "b", false}, {json.RawMessage(`true`), false, false}, {json.RawMessage(`"a"`), []any{"a"}, false},
	}
	for _, c := range cases {
		for _, pair := range [][2]any{{c.a, c.b}, {c.b, c.a}} {
			if got := merge.Equal(pair[0], pair[1]); got != c.want {
				t.Errorf("Equal(%T %v, %T %v) = %v", pair[0], pair[0], pair[1], pair[1], got)
			}
			if got := merge.Fingerprint(pair[0], nil) == merge.Fingerprint(pair[1], nil); got != c.want {
				t.Errorf("Fingerprint(%T %v) = Fingerprint(%T %v): %v", pair[0], pair[0], pair[1], pair[1], got)
			}
		}
	}
}

// TestS7FingerprintsStay: they are stored, so what one release says of a pair every later one says too.
func TestS7FingerprintsStay(t *testing.T) {
	for want, pair := range map[string][2]any{
		"7f73ec42f8f7a5b6": {"a", "b"},
		"944547d157216ce7": {json.Number("1200"), -0.5},
		"b0700f35201b6f6c": {[]string{"x", "y"}, tandem.Map{"k": true, "l": nil}},
		"b26f6f5199e8fb99": {"2026-03-01T10:00:00.25Z", nil},
	} {
		if got := merge.Fingerprint(pair[0], pair[1]); got != want {
			t.Errorf("the fingerprint of %v and %v is %s, want %s", pair[0], pair[1], got, want)
		}
	}
}

// drawValue draws any JSON value, in the several Go types that hold one.
func drawValue(t *rapid.T, depth int) any {
	kinds := 5
	if depth > 0 {
		kinds = 7
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.SampledFrom([]string{"", "a", "1", "2026-03-01T10:00:00Z", "2026-03-01T11:00:00+01:00", "\"", "\xff"}).Draw(t, "text")
	case 3:
		return rapid.SampledFrom([]any{0, 1, 1.0, json.Number("1e0"), json.Number("0.10"), 0.1, json.Number("9007199254740993"), 1 << 53, uint8(1)}).Draw(t, "number")
	case 4:
		return rapid.SampledFrom([]any{[]string{}, []string{"a"}, []any{"a"}, map[string]int{"a": 1}, tandem.Map{}}).Draw(t, "typed")
	case 5:
		list := make([]any, rapid.IntRange(0, 2).Draw(t, "length"))
		for i := range list {
			list[i] = drawValue(t, depth-1)
		}
		return list
	}
	m := tandem.Map{}
	for _, k := range []string{"a", "b"} {
		if rapid.Bool().Draw(t, k) {
			m[k] = drawValue(t, depth-1)
		}
	}
	return m
}

// S6: equality is one: reflexive, symmetric, transitive, kept by JSON, and what the fingerprint says.
func TestS6EqualityIsAnEquivalence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawValue(t, 2), drawValue(t, 2), drawValue(t, 2)
		if !merge.Equal(a, a) {
			t.Fatalf("%#v is not equal to itself", a)
		}
		if merge.Equal(a, b) != merge.Equal(b, a) {
			t.Fatalf("%#v and %#v are equal one way only", a, b)
		}
		if merge.Equal(a, b) && merge.Equal(b, c) && !merge.Equal(a, c) {
			t.Fatalf("%#v = %#v = %#v, but not the first and the last", a, b, c)
		}
		if merge.Equal(a, b) != (merge.Fingerprint(a, 1) == merge.Fingerprint(b, 1)) {
			t.Fatalf("equality and fingerprints of %#v and %#v say different things", a, b)
		}
		if got := merge.Fingerprint(a, b) == merge.Fingerprint(b, a); got != merge.Equal(a, b) {
			t.Fatalf("fingerprints do not tell the sides of %#v and %#v apart", a, b)
		}
	})
}

func TestEqualTextAllocatesNothing(t *testing.T) {
	a, b := any("some text of a device"), any("another text of a device")
	if n := testing.AllocsPerRun(100, func() { merge.Equal(a, a); merge.Equal(a, b); merge.Equal(true, false) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
