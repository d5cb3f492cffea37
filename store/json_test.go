package store

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem"
)

// texts are strings with what JSON escapes and what it does not.
var texts = rapid.OneOf(rapid.StringMatching(`[a-z0-9 :/.-]{0,12}`), rapid.StringOfN(rapid.RuneFrom([]rune("aé\"\\\n\t<>&\u2028\u007f字'{}[],")), 0, 8, -1))

func anyShared(t *rapid.T, known tandem.Fields) tandem.Shared {
	s := tandem.Shared{Known: known, Name: texts.Draw(t, "name"), Enabled: rapid.Bool().Draw(t, "enabled"), Blueprint: texts.Draw(t, "blueprint"),
		Cohort: texts.Draw(t, "cohort"), HardwareIDs: rapid.SliceOfN(texts, 0, 3).Draw(t, "hardware ids"), Tags: rapid.SliceOfN(texts, 0, 3).Draw(t, "tags")}
	if rapid.IntRange(0, 4).Draw(t, "with metadata") == 0 {
		s.Metadata = tandem.Map{texts.Draw(t, "key"): texts.Draw(t, "value")}
	}
	return s
}

func anyFields(t *rapid.T) tandem.Fields {
	switch rapid.IntRange(0, 2).Draw(t, "known") {
	case 0:
		return tandem.SharedFields
	case 1:
		return listedFields
	}
	var known tandem.Fields
	for _, name := range tandem.SharedFields.Names() {
		if f, err := tandem.ParseField(name); err == nil && rapid.Bool().Draw(t, name) {
			known = known.With(f)
		}
	}
	return known
}

// TestBaseReadsAsJSONDoes: what is written by hand is read back by hand and by encoding/json alike, and so is the other's.
func TestBaseReadsAsJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known := anyFields(t)
		base := tandem.Base{Local: anyShared(t, known)}
		base.Remote = base.Local
		if rapid.IntRange(0, 3).Draw(t, "differs") == 0 {
			base.Remote = anyShared(t, known)
		}
		byHand, err := encodeBase(&base)
		if err != nil {
			t.Fatal(err)
		}
		standard, err := base.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var want tandem.Base
		if err := want.UnmarshalJSON(standard); err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{byHand, standard} {
			var hand, std tandem.Base
			if err := decodeBase(word(text), &hand); err != nil {
				t.Fatal(err)
			}
			if err := std.UnmarshalJSON(text); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			if !sameJSON(t, hand, want) || !sameJSON(t, std, want) {
				t.Fatalf("%s\nread by hand  %+v\nby the library %+v\nwant           %+v", text, hand, std, want)
			}
		}
	})
}

// sameJSON compares without regard to nil and empty, which a base does not tell apart.
func sameJSON(t *rapid.T, a, b tandem.Base) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	return string(x) == string(y)
}

func TestListsReadAsJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(texts, 0, 4).Draw(t, "items")
		byHand := appendStrings(nil, items)
		standard, err := json.Marshal(items)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{byHand, standard} {
			var std []string
			if err := json.Unmarshal(text, &std); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			hand, err := decodeStrings(word(text))
			if err != nil || hand == nil || !slices.Equal(hand, std) || !slices.Equal(hand, items) {
				t.Fatalf("%s: by hand %q, %v, by the library %q", text, hand, err, std)
			}
		}
	})
}

// TestOddListsReadAsJSONDoes: also texts that this package would not write are read, or refused, as encoding/json does.
func TestOddListsReadAsJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"[", "]", ",", `"a"`, `"\n"`, `""`, " ", "null", "1", `"é"`}), 0, 7).Draw(t, "text"), "")
		if text == "" {
			return // NULL
		}
		std := []string{}
		failed := json.Unmarshal([]byte(text), &std) != nil
		hand, err := decodeStrings(word(text))
		if (err != nil) != failed || err == nil && !failed && !slices.Equal(hand, std) {
			t.Fatalf("%s: by hand %q, %v, by the library %q, refused %v", text, hand, err, std, failed)
		}
	})
}

func TestEditsReadAsJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edits := tandem.EditTimes{}
		for range rapid.IntRange(1, 5).Draw(t, "edits") {
			micros := rapid.Int64Range(-62_000_000_000_000_000, 250_000_000_000_000_000).Draw(t, "time")
			edits[tandem.Path(texts.Draw(t, "path"))] = time.UnixMicro(micros).UTC()
		}
		b := bulk{}
		b.row()
		b.edits(edits)
		text, ok := b.columns[0].values[0].(string)
		if !ok {
			t.Fatal("nothing was written")
		}
		var std tandem.EditTimes
		if err := json.Unmarshal([]byte(text), &std); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		hand, err := decodeEdits(word(text))
		if err != nil || !maps.EqualFunc(hand, edits, time.Time.Equal) || !maps.EqualFunc(std, edits, time.Time.Equal) {
			t.Fatalf("%s: by hand %v, %v, by the library %v", text, hand, err, std)
		}
	})
}

func TestFirmwareReadsAsJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		packages := map[string]tandem.Firmware{}
		for range rapid.IntRange(1, 2).Draw(t, "packages") {
			packages[texts.Draw(t, "name")] = tandem.Firmware{Version: texts.Draw(t, "version"), Target: texts.Draw(t, "target"), State: texts.Draw(t, "state"),
				StateCode: texts.Draw(t, "state code"), Reason: texts.Draw(t, "reason"), ReasonCode: texts.Draw(t, "reason code"), Time: texts.Draw(t, "time")}
		}
		b := bulk{}
		b.row()
		b.firmware(packages)
		text, ok := b.columns[0].values[0].(string)
		if !ok {
			t.Fatal("nothing was written")
		}
		var std map[string]tandem.Firmware
		if err := json.Unmarshal([]byte(text), &std); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		hand, err := decodeFirmware(word(text))
		if err != nil || !reflect.DeepEqual(hand, packages) || !reflect.DeepEqual(std, packages) {
			t.Fatalf("%s: by hand %v, %v, by the library %v", text, hand, err, std)
		}
	})
}

// TestFold: two texts fold alike exactly when strings.EqualFold says that they are equal.
func TestFold(t *testing.T) {
	odd := rapid.StringOfN(rapid.RuneFrom([]rune("aAkKK\u212AsSſßẞiIİıéÉΣσςµμΜǅǆǄ字")), 0, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.OneOf(odd, rapid.String()).Draw(t, "a")
		b := rapid.OneOf(odd, rapid.Just(strings.ToUpper(a)), rapid.Just(strings.ToLower(a)), rapid.Just(strings.ToTitle(a))).Draw(t, "b")
		if (fold(a) == fold(b)) != strings.EqualFold(a, b) {
			t.Fatalf("%q folds to %q, %q to %q; equal but for case: %v", a, fold(a), b, fold(b), strings.EqualFold(a, b))
		}
	})
}

// TestArrayText: what PostgreSQL's array text must escape is escaped, and nothing else.
func TestArrayText(t *testing.T) {
	for in, want := range map[string]string{``: `{""}`, `a b`: `{"a b"}`, `a"b`: `{"a\"b"}`, `\`: `{"\\"}`, `{x,y}`: `{"{x,y}"}`, `NULL`: `{"NULL"}`, `it's`: `{"it's"}`} {
		if got := ArrayList([]string{in}); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
		if got := string(appendArray(nil, []any{in})); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
	}
	if got := string(appendArray(nil, []any{nil, int64(-7), true, 1.5, []byte{0, 0xab}})); got != `{NULL,-7,true,1.5e+00,"\\x00ab"}` {
		t.Error(got)
	}
}
