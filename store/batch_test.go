package store

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"tandem"
)

// TestDigestIsOverEachField changes each field of an entry in turn: the digest tells each from all others.
func TestDigestIsOverEachField(t *testing.T) {
	digestOf := func(entries ...tandem.Entry) string {
		d := newDigest()
		for i := range entries {
			d.add(&entries[i])
		}
		return d.sum()
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	whole := tandem.Entry{ID: "i", RunID: "r", ServiceID: "s", Outcome: "o", Code: "c", Error: "e", CreatedAt: at, Change: tandem.Change{Side: "s", Action: "a",
		DeviceID: "d", ExternalDeviceID: "x", DeviceName: "n", Path: "p", Before: []byte("1"), After: []byte("2"), Note: "n"}}
	seen := map[string]string{digestOf(whole): "the entry itself", digestOf(): "no entry", digestOf(whole, whole): "the entry twice"}
	check := func(name string, e tandem.Entry) {
		if other, same := seen[digestOf(e)]; same {
			t.Errorf("%s has the same digest as %s", name, other)
		}
		seen[digestOf(e)] = name
	}
	fields := 0
	var change func(v reflect.Value, name string, edited *tandem.Entry)
	change = func(v reflect.Value, name string, edited *tandem.Entry) {
		for i := range v.NumField() {
			f, name := v.Field(i), name+v.Type().Field(i).Name
			was := reflect.ValueOf(f.Interface())
			switch {
			case name == "OrganizationID": // the audit's own
				continue
			case name == "Change":
				change(f, "", edited)
				continue
			case f.Kind() == reflect.String:
				f.SetString(f.String() + "+")
			case f.Type() == reflect.TypeFor[time.Time]():
				f.Set(reflect.ValueOf(at.Add(time.Microsecond)))
			default:
				f.SetBytes(append([]byte("+"), f.Bytes()...))
			}
			fields++
			check(name, *edited)
			f.SetZero()
			check("no "+name, *edited)
			f.Set(was)
		}
	}
	edited := whole
	change(reflect.ValueOf(&edited).Elem(), "", &edited)
	if fields != 16 {
		t.Errorf("%d fields were changed", fields)
	}
	moved := whole // a byte from one field to the next
	moved.ID, moved.RunID = "ir", ""
	check("a moved byte", moved)
	finer := whole // what the databases round away
	finer.CreatedAt = at.Add(300 * time.Nanosecond).In(time.FixedZone("", 3600))
	if digestOf(finer) != digestOf(whole) {
		t.Error("the digest is over more than is stored")
	}
}

// TestBatchesAreByRunAndInTheOrderOfIDs holds what Apply tells of to what is read back.
func TestBatchesAreByRunAndInTheOrderOfIDs(t *testing.T) {
	var entries []tandem.Entry
	for i := range 9 {
		entries = append(entries, tandem.Entry{ID: fmt.Sprint((i * 2) % 9), RunID: fmt.Sprint("run", i%2)})
	}
	got := ""
	for _, b := range batches(entries) {
		got += b.run + ":"
		for _, e := range b.entries {
			got += e.ID
		}
		got += " "
	}
	if want := "run0:03478 run1:1256 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
