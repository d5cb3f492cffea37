package merge_test

import (
	"reflect"
	"strings"
	"testing"

	"tandem"
	"tandem/merge"
)

func metadataOf(m tandem.Map) tandem.Shared {
	return tandem.Shared{Known: tandem.FieldSet(tandem.FieldMetadata), Metadata: m}
}

func TestApplyMetadata(t *testing.T) {
	cases := []struct {
		name, before string
		path         tandem.Path
		value, after string // "" for an error
	}{
		{"a new leaf", `{}`, "metadata/a", `1`, `{"a":1}`},
		{"a new leaf with parents", `{"k":1}`, "metadata/a/b/c", `1`, `{"k":1,"a":{"b":{"c":1}}}`},
		{"a changed leaf", `{"a":{"b":1,"c":2}}`, "metadata/a/b", `3`, `{"a":{"b":3,"c":2}}`},
		{"a leaf becomes a subtree", `{"a":1}`, "metadata/a", `{"b":1}`, `{"a":{"b":1}}`},
		{"removed with the parents it leaves empty", `{"a":{"b":{"c":1}},"k":1}`, "metadata/a/b/c", `null`, `{"k":1}`},
		{"removed, the parent holds more", `{"a":{"b":1,"c":null}}`, "metadata/a/b", `null`, `{"a":{"c":null}}`},
		{"an empty object is removed like null", `{"a":1}`, "metadata/a", `{}`, `{}`},
		{"a parent that was empty before stays", `{"a":{}}`, "metadata/a/b", `null`, `{"a":{}}`},
		{"nothing to remove", `{"k":1}`, "metadata/a/b", `null`, `{"k":1}`},
		{"an explicit null is removed", `{"a":null,"k":1}`, "metadata/a", `null`, `{"k":1}`},
		{"nothing to remove below a leaf", `{"a":1}`, "metadata/a/b", `null`, `{"a":1}`},
		{"a null gives way to a parent", `{"a":null}`, "metadata/a/b", `1`, `{"a":{"b":1}}`},
		{"escapes", `{}`, "metadata/a~1b/c~0d/~01", `1`, `{"a/b":{"c~d":{"~1":1}}}`},
		{"the empty key", `{}`, "metadata/", `1`, `{"":1}`},
		{"the whole map", `{"a":1}`, "metadata", `{"b":1}`, `{"b":1}`},
		{"the whole map emptied", `{"a":1}`, "metadata", `null`, `{}`},
		{"no leaf gives way", `{"a":1}`, "metadata/a/b", `1`, ``},
		{"no leaf gives way, deeper", `{"a":{"b":1}}`, "metadata/a/b/c", `1`, ``},
		{"an array has nothing below", `{"a":[1]}`, "metadata/a/0", `2`, ``},
		{"the map is a map", `{}`, "metadata", `5`, ``},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before, untouched := decode(t, c.before).(tandem.Map), decode(t, c.before)
			side, err := merge.Apply(metadataOf(before), []merge.Edit{{Path: c.path, After: decode(t, c.value)}})
			if !reflect.DeepEqual(before, untouched) {
				t.Errorf("the input became %v", before)
			}
			if c.after == "" {
				if !tandem.Is(err, tandem.Invalid) {
					t.Fatalf("error %v, want %s", err, tandem.Invalid)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := decode(t, c.after); !reflect.DeepEqual(any(side.Metadata), want) {
				t.Errorf("got %v, want %v", side.Metadata, want)
			}
		})
	}
}

func TestApplyFields(t *testing.T) {
	var none tandem.Shared
	side, err := merge.Apply(none, []merge.Edit{
		{Path: "name", After: "a"}, {Path: "enabled", After: true}, {Path: "blueprint", After: "v1"}, {Path: "cohort", After: "beta"},
		{Path: "tags", After: []any{"y", "x", "y"}}, {Path: "hardware_ids", After: []string{"h"}}, {Path: "metadata/k", After: 1}})
	if err != nil {
		t.Fatal(err)
	}
	want := tandem.Shared{Known: tandem.SharedFields, Name: "a", Enabled: true, Blueprint: "v1", Cohort: "beta",
		Tags: []string{"x", "y"}, HardwareIDs: []string{"h"}, Metadata: tandem.Map{"k": 1}}
	if !reflect.DeepEqual(side, want) {
		t.Errorf("got %+v, want %+v", side, want)
	}
	for path, value := range map[tandem.Path]any{"name": "a", "enabled": true, "blueprint": "v1", "cohort": "beta",
		"tags": []string{"x", "y"}, "hardware_ids": []string{"h"}, "metadata/k": 1} {
		if got, ok := merge.Value(side, path); !ok || !reflect.DeepEqual(got, value) {
			t.Errorf("%s is %v (%v), want %v", path, got, ok, value)
		}
	}
	cleared, err := merge.Apply(side, []merge.Edit{{Path: "name"}, {Path: "blueprint"}, {Path: "cohort"}, {Path: "tags"}, {Path: "hardware_ids"}})
	if err != nil {
		t.Fatal(err)
	}
	if cleared.Name+cleared.Blueprint+cleared.Cohort != "" || cleared.Tags == nil || len(cleared.Tags)+len(cleared.HardwareIDs) != 0 {
		t.Errorf("cleared to %+v", cleared)
	}
	for path, value := range map[tandem.Path]any{"name": 1, "enabled": nil, "tags": []any{1}, "hardware_ids": "h", "cohort": true,
		"blueprint": []any{}, "": "x", "nothing": 1, "status": 1, "name/x": "a", "metadata/~": 1, "metadata/~2": 1, "metadata/a~": 1} {
		if _, err := merge.Apply(side, []merge.Edit{{Path: path, After: value}}); !tandem.Is(err, tandem.Invalid) {
			t.Errorf("%q = %v: error %v, want %s", path, value, err, tandem.Invalid)
		} else if !strings.Contains(err.Error(), ";") {
			t.Errorf("%q: %v does not say what to do", path, err)
		}
	}
}

func TestValueOfWhatIsNotThere(t *testing.T) {
	side := tandem.Shared{Known: tandem.FieldSet(tandem.FieldName, tandem.FieldMetadata), Tags: []string{"x"},
		Metadata: tandem.Map{"a": tandem.Map{"b": nil}, "c": 1, "d": tandem.Map{"e": 1}}}
	for _, p := range []tandem.Path{"tags", "metadata/a", "metadata/a/b", "metadata/c/x", "metadata/x", "", "status", "metadata/~", "name/x"} {
		if v, ok := merge.Value(side, p); ok || v != nil {
			t.Errorf("%q is %v, want nothing", p, v)
		}
	}
	if v, ok := merge.Value(side, "name"); !ok || v != "" {
		t.Errorf("an empty name is %v (%v), want present and empty", v, ok)
	}
	if v, ok := merge.Value(side, "metadata/d"); !ok || !merge.Equal(v, tandem.Map{"e": 1}) {
		t.Errorf("a subtree is %v (%v)", v, ok)
	}
	if v, ok := merge.Value(metadataOf(nil), "metadata"); ok || v != nil {
		t.Errorf("an empty root is %v, want nothing", v)
	}
}

// S10: with ignore the base becomes the pair.
func TestS10SetBase(t *testing.T) {
	var b tandem.Base
	b = merge.SetBase(b, "name", "here", "there")
	b = merge.SetBase(b, "metadata/a", 1, 2)
	kept := merge.SetBase(b, "metadata/a/b", 3, nil) // over the leaf
	if b.Local.Name != "here" || b.Remote.Name != "there" || !merge.Equal(b.Local.Metadata, tandem.Map{"a": 1}) {
		t.Errorf("base is %+v", b)
	}
	if !merge.Equal(kept.Local.Metadata, tandem.Map{"a": tandem.Map{"b": 3}}) || !merge.Equal(kept.Remote.Metadata, tandem.Map{"a": 2}) {
		t.Errorf("base is %v and %v", kept.Local.Metadata, kept.Remote.Metadata)
	}
	if b.Local.Known != b.Remote.Known || b.Local.Known != tandem.FieldSet(tandem.FieldName, tandem.FieldMetadata) {
		t.Errorf("known are %v", b.Local.Known.Names())
	}
	for _, bad := range []tandem.Base{merge.SetBase(b, "name", "x", 1), merge.SetBase(b, "name", 1, "x"), merge.SetBase(b, "none", 1, 1)} {
		if !reflect.DeepEqual(bad, b) {
			t.Errorf("what cannot be set moved the base to %+v", bad)
		}
	}
	s := merge.Sides{Base: b, Local: b.Local, Remote: b.Remote}
	if r := merge.Device(s, merge.Policy{Fields: tandem.AllFields, Direction: tandem.Bidirectional}); !quiet(r) || len(r.Conflicts) > 0 {
		t.Errorf("what is kept apart still does something: %+v", r)
	}
}

func TestDropFields(t *testing.T) {
	full := typical(t)
	b := merge.DropFields(tandem.Base{Local: full, Remote: full}, tandem.AllFields)
	if !reflect.DeepEqual(b.Local, full) || !reflect.DeepEqual(b.Remote, full) {
		t.Errorf("keeping all fields gave %+v", b)
	}
	for f := tandem.FieldName; f <= tandem.FieldMetadata; f++ {
		b := merge.DropFields(tandem.Base{Local: full, Remote: full}, tandem.AllFields.Without(f))
		for _, half := range []tandem.Shared{b.Local, b.Remote} {
			if half.Known != tandem.SharedFields.Without(f) {
				t.Errorf("without %s: known %v", f, half.Known.Names())
			}
			half.Known = tandem.SharedFields
			if v, _ := merge.Value(half, tandem.Path(f.String())); !merge.Equal(v, nil) && v != "" && v != false && !merge.Equal(v, []string{}) {
				t.Errorf("without %s it is still %v", f, v)
			}
		}
	}
}

// FuzzApply: any path and value either fails as invalid or is read back, and never changes the input.
func FuzzApply(f *testing.F) {
	for _, seed := range [][2]string{{"metadata/a/b", `1`}, {"metadata/a~1b", `{"x":null}`}, {"metadata/", `[]`}, {"metadata/~", `1`},
		{"tags", `["b","a","a"]`}, {"name", `"x"`}, {"metadata", `{}`}, {"metadata/c/d", `null`}, {"enabled", `true`}, {"metadata/e/0", `1`}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, text string) {
		var value any
		if unmarshal(text, &value) != nil {
			return
		}
		const before = `{"a":{"b":1},"c":{"d":{"e":1}},"e":[1],"f":{}}`
		input := metadataOf(decode(t, before).(tandem.Map))
		p := tandem.Path(path)
		side, err := merge.Apply(input, []merge.Edit{{Path: p, After: value}})
		if !reflect.DeepEqual(any(input.Metadata), decode(t, before)) {
			t.Fatalf("the input became %v", input.Metadata)
		}
		if err != nil {
			if !tandem.Is(err, tandem.Invalid) {
				t.Fatalf("error %v", err)
			}
			return
		}
		got, present := merge.Value(side, p)
		field, _ := p.Field()
		switch {
		case !side.Known.Has(field):
			t.Fatalf("%s was set and is not known", field)
		case field == tandem.FieldMetadata && (!merge.Equal(got, value) || present != !merge.Equal(value, nil)):
			t.Fatalf("set %v, read %v (%v)", value, got, present)
		case field != tandem.FieldMetadata && !present:
			t.Fatalf("set %v, read nothing", value)
		}
		if again, err := merge.Apply(side, []merge.Edit{{Path: p, After: got}}); err != nil || !same(again, side) {
			t.Fatalf("setting it again gave %+v, %v", again, err)
		}
	})
}
