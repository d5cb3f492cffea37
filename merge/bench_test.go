package merge_test

import (
	"encoding/json"
	"strings"
	"testing"

	"tandem"
	"tandem/merge"
)

// typical gives a device's side as a listing decodes it, with ten metadata leaves.
func typical(tb testing.TB) tandem.Shared {
	tb.Helper()
	metadata := decode(tb, `{"site":{"name":"Hamburg","floor":3,"rack":"B12"},"owner":"platform","installed":"2026-03-01T10:00:00Z",
		"limits":{"temperature":71.5,"humidity":90,"quiet":true},"channels":[1,2,3],"serial":9007199254740993}`).(tandem.Map)
	return tandem.Shared{Known: tandem.SharedFields, Name: "pump-0042", Enabled: true, HardwareIDs: []string{"hw-1", "hw-2"},
		Tags: []string{"eu", "pump", "prod"}, Blueprint: "pump-v3", Cohort: "stable", Metadata: metadata}
}

// unchanged gives the sides of a device that nobody edited; each has been decoded by itself.
func unchanged(tb testing.TB) (merge.Sides, merge.Policy) {
	tb.Helper()
	base := typical(tb)
	s := merge.Sides{Base: tandem.Base{Local: base, Remote: base}, Local: typical(tb), Remote: typical(tb)}
	s.Remote.Tags = []string{"prod", "eu", "pump"} // as the remote lists them
	return s, merge.Policy{Fields: tandem.AllFields, Direction: tandem.Bidirectional}
}

func TestUnchangedDeviceAllocatesNothing(t *testing.T) {
	s, p := unchanged(t)
	if n := testing.AllocsPerRun(100, func() { merge.Device(s, p) }); n != 0 {
		t.Errorf("%v allocations for a device that nobody edited, want 0", n)
	}
}

func BenchmarkDeviceUnchanged(b *testing.B) {
	s, p := unchanged(b)
	b.ReportAllocs()
	for b.Loop() {
		merge.Device(s, p)
	}
}

func BenchmarkDeviceOneLeafEdited(b *testing.B) {
	s, p := unchanged(b)
	s.Remote.Metadata["owner"] = "field team"
	b.ReportAllocs()
	for b.Loop() {
		merge.Device(s, p)
	}
}

func BenchmarkDeviceFirstMerge(b *testing.B) {
	s, p := unchanged(b)
	s.Base = tandem.Base{}
	b.ReportAllocs()
	for b.Loop() {
		merge.Device(s, p)
	}
}

// decode reads JSON as the client does, numbers as json.Number.
func decode(tb testing.TB, text string) any {
	tb.Helper()
	var v any
	if err := unmarshal(text, &v); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return v
}

func unmarshal(text string, v any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(v)
}
