package registry_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tandem"
	"tandem/registry"
	"tandem/store"
	"tandem/store/sqlite/sqlitetest"
)

var actor = registry.Command("tester")

// open gives a registry over a fresh database, with one organization.
func open(t *testing.T) (*registry.Registry, *store.Store, string) {
	t.Helper()
	st := sqlitetest.Open(t)
	n := 0
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &registry.Registry{Store: st, Clock: func() time.Time { at = at.Add(time.Second); return at },
		NewID: func() string { n++; return fmt.Sprintf("00000000-0000-7000-8000-%012d", n) }}
	org, err := r.CreateOrganization(t.Context(), actor, "Acme", "")
	if err != nil {
		t.Fatal(err)
	}
	return r, st, org.ID
}

func ptr[T any](v T) *T { return &v }

func addService(t *testing.T, r *registry.Registry, org, name, project string, change func(*tandem.ServiceConfig)) (tandem.Service, error) {
	t.Helper()
	config := tandem.DefaultServiceConfig()
	config.BaseURL, config.Project = "https://api.golioth.io", project
	if change != nil {
		change(&config)
	}
	return r.AddService(t.Context(), actor, org, registry.NewService{Name: name, ServiceType: "golioth", Config: config,
		Key: func(string, string) ([]byte, error) { return []byte("sealed"), nil }})
}

func TestSlug(t *testing.T) {
	for in, want := range map[string]string{"Acme": "acme", " Acme  Europe ": "acme-europe", "a--b": "a-b", "Ünï": "uni", "!!!": "", "x_1": "x-1", "": ""} {
		if got := registry.Slug(in); got != want {
			t.Errorf("Slug(%q) = %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		slug := registry.Slug(rapid.String().Draw(t, "name"))
		if again := registry.Slug(slug); again != slug {
			t.Fatalf("the slug of the slug %q is %q", slug, again)
		}
	})
}

// TestS8EditTimesMoveWithWhatChanged: an edit dates the paths that it changes, metadata leaf by leaf, and no others.
func TestS8EditTimesMoveWithWhatChanged(t *testing.T) {
	r, _, org := open(t)
	d, err := r.CreateDevice(t.Context(), actor, org, registry.DeviceEdit{Name: ptr("one"), Tags: ptr([]string{"b", "a", "b", " "}),
		Metadata: &tandem.Map{"a": tandem.Map{"b": 1.0, "c/d": true}, "gone": nil}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Tags, []string{"a", "b"}) {
		t.Errorf("tags are %v", d.Tags)
	}
	before := d.FieldEditedAt
	d, changes, err := r.UpdateDevice(t.Context(), actor, org, "one", registry.DeviceEdit{Name: ptr("one"), Tags: ptr([]string{"b", "a"}),
		Metadata: &tandem.Map{"a": tandem.Map{"b": 2.0, "c/d": true}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != 1 || changes[0].Field != "metadata" {
		t.Errorf("changes are %v", changes)
	}
	moved := []tandem.Path{}
	for path, at := range d.FieldEditedAt {
		if !at.Equal(before[path]) {
			moved = append(moved, path)
		}
	}
	if diff := cmp.Diff([]tandem.Path{"metadata/a/b"}, moved); diff != "" {
		t.Error(diff)
	}
	if _, ok := d.FieldEditedAt["metadata/a/c~1d"]; !ok {
		t.Errorf("a key with a slash has no path: %v", d.FieldEditedAt)
	}
	version := d.Version
	if d, changes, err = r.UpdateDevice(t.Context(), actor, org, "one", registry.DeviceEdit{Name: ptr(" one ")}); err != nil || len(changes) != 0 || d.Version != version {
		t.Errorf("an edit that changes nothing gave %v, version %d after %d, %v", changes, d.Version, version, err)
	}
}

func TestDeviceValidationSaysEverythingAtOnce(t *testing.T) {
	r, _, org := open(t)
	_, err := r.CreateDevice(t.Context(), actor, org, registry.DeviceEdit{Name: ptr(strings.Repeat("x", 300)), DeviceType: ptr("a\x00b"),
		Lifecycle: ptr(tandem.Lifecycle("old")), Tags: ptr([]string{strings.Repeat("t", 300)}), Metadata: &tandem.Map{"x": strings.Repeat("y", 70_000)},
		HardwareIDs: ptr(slices.Repeat([]string{"a"}, 200)), Notes: ptr("\xff")})
	if !tandem.Is(err, tandem.Invalid) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"name has 300 characters", "device_type holds a control character", "lifecycle cannot be", "tags has 300", "metadata has", "notes is not valid"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hardware_ids") {
		t.Errorf("two hundred times the same hardware id is one: %v", err)
	}
}

// TestOrganizationsAreApart: nothing of another organization is found or changed.
func TestOrganizationsAreApart(t *testing.T) {
	r, _, org := open(t)
	other, err := r.CreateOrganization(t.Context(), actor, "Other", "")
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.CreateDevice(t.Context(), actor, org, registry.DeviceEdit{Name: ptr("one")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Device(t.Context(), actor, other.ID, d.ID); !tandem.Is(err, tandem.NotFound) {
		t.Errorf("another organization's device: %v", err)
	}
	if _, err := r.DeleteDevice(t.Context(), actor, other.ID, d.ID); !tandem.Is(err, tandem.NotFound) {
		t.Errorf("deleting another organization's device: %v", err)
	}
	report, err := r.ImportDevices(t.Context(), actor, other.ID, registry.ReadRows(strings.NewReader("device_id,id,name\none,"+d.ID+",two\n")), registry.ImportOptions{}, nil)
	if err != nil || report.Created != 1 {
		t.Errorf("an import with another organization's id gave %+v, %v", report, err)
	}
	if d, err = r.Device(t.Context(), actor, org, d.ID); err != nil || d.Name != "one" {
		t.Errorf("the device is %q, %v", d.Name, err)
	}
}

// TestS19OneProjectOnce: two services on one project need filters that no device can pass both of.
func TestS19OneProjectOnce(t *testing.T) {
	r, _, org := open(t)
	blueprint := func(name string) func(*tandem.ServiceConfig) {
		return func(c *tandem.ServiceConfig) { c.Filters.Blueprint = name }
	}
	if _, err := addService(t, r, org, "a", "p", blueprint("x")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*tandem.ServiceConfig)
		code   tandem.Code
	}{
		"no filter": {nil, tandem.Exists}, "the same filter": {blueprint("x"), tandem.Exists}, "another blueprint": {blueprint("y"), ""},
		"a tag only":       {func(c *tandem.ServiceConfig) { c.Filters.Tags = []string{"z"} }, tandem.Exists},
		"a slash after it": {func(c *tandem.ServiceConfig) { c.BaseURL += "/" }, tandem.Exists},
		"another host":     {func(c *tandem.ServiceConfig) { c.BaseURL = "https://golioth.example" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := addService(t, r, org, "b", "p", c.change)
			if tandem.CodeOf(err) != c.code {
				t.Errorf("got %v, want %q", err, c.code)
			}
			if err == nil {
				if _, _, err := r.DeleteService(t.Context(), actor, org, s.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestImportLinksInBulk: rows with external_device_id make assignments, once, and never take one away.
func TestImportLinksInBulk(t *testing.T) {
	r, st, org := open(t)
	s, err := addService(t, r, org, "prod", "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	load := func(csv string, options registry.ImportOptions) (registry.ImportReport, error) {
		options.ServiceID = s.ID
		return r.ImportDevices(context.Background(), actor, org, registry.ReadRows(strings.NewReader(csv)), options, nil)
	}
	var big strings.Builder
	big.WriteString("device_id,external_device_id\n")
	for i := range 1234 {
		fmt.Fprintf(&big, "d%d,r%d\n", i, i)
	}
	for i, want := range []registry.ImportReport{{Created: 1234, Linked: 1234}, {Unchanged: 1234}} {
		got, err := load(big.String(), registry.ImportOptions{})
		if err != nil || got.Created != want.Created || got.Linked != want.Linked || got.Unchanged != want.Unchanged {
			t.Errorf("import %d gave %+v, %v", i, got, err)
		}
	}
	if n, err := st.LinkedCount(t.Context(), org, s.ID); err != nil || n != 1234 {
		t.Errorf("%d are linked, %v", n, err)
	}
	got, err := load("device_id,external_device_id\nd1,r2\nd2,r9999\nnew,r3\nok,r5000\n", registry.ImportOptions{SkipBad: true})
	if err != nil || got.Bad != 3 || got.Linked != 1 {
		t.Errorf("taken links gave %+v, %v", got, err)
	}
	// A person's word revives an unlinked assignment.
	d1, err := r.Device(t.Context(), actor, org, "d1")
	if err != nil {
		t.Fatal(err)
	}
	a, err := st.Assignment(t.Context(), org, s.ID, "r1")
	if err != nil {
		t.Fatal(err)
	}
	a.Status, a.SyncEnabled = tandem.SyncUnlinked, false
	if err := st.Apply(t.Context(), org, &tandem.Changes{UpdateAssignments: []tandem.Assignment{a}}); err != nil {
		t.Fatal(err)
	}
	if got, err := load("device_id,external_device_id\nd1,r1\n", registry.ImportOptions{}); err != nil || got.Linked != 1 {
		t.Errorf("reviving gave %+v, %v", got, err)
	}
	if a, err = st.Assignment(t.Context(), org, s.ID, "r1"); err != nil || a.Status != tandem.SyncPending || a.DeviceID != d1.ID {
		t.Errorf("the assignment is %+v, %v", a, err)
	}
}

// noFormula looks that no cell of a file is one that a spreadsheet would calculate.
func noFormula(t *rapid.T, file string) {
	rows, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, cell := range slices.Concat(rows...) {
		if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
			t.Fatalf("a spreadsheet takes %q for a formula", cell)
		}
	}
}

// TestExportComesBack: whatever a device holds survives a file.
func TestExportComesBack(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab ;|,\"'[]{}=+@\\äß日é-")), 1, 12, -1).Filter(func(s string) bool { return strings.TrimSpace(s) == s && s != "" })
	rapid.Check(t, func(rt *rapid.T) {
		r, _, org := open(t)
		n := rapid.IntRange(1, 5).Draw(rt, "devices")
		for i := range n {
			edit := registry.DeviceEdit{Name: ptr(text.Draw(rt, "name")), DeviceID: ptr(fmt.Sprint("d", i, text.Draw(rt, "device_id"))),
				Tags: ptr(rapid.SliceOfN(text, 0, 3).Draw(rt, "tags")), HardwareIDs: ptr(rapid.SliceOfN(text, 0, 3).Draw(rt, "hardware_ids")),
				Enabled: ptr(rapid.Bool().Draw(rt, "enabled")), Notes: ptr(text.Draw(rt, "notes") + "\n" + text.Draw(rt, "more")),
				Metadata: &tandem.Map{text.Draw(rt, "key"): tandem.Map{"x": text.Draw(rt, "value"), "n": 1.5}}}
			if _, err := r.CreateDevice(t.Context(), actor, org, edit); err != nil {
				rt.Fatal(err)
			}
		}
		for _, format := range []registry.Format{registry.CSV, registry.JSON, registry.JSONLines} {
			var file bytes.Buffer
			if got, err := r.ExportDevices(t.Context(), actor, org, tandem.DeviceFilter{}, tandem.Service{}, format, &file); err != nil || got != n {
				rt.Fatalf("%s: exported %d of %d, %v", format, got, n, err)
			}
			if format == registry.CSV {
				noFormula(rt, file.String())
			}
			report, err := r.ImportDevices(t.Context(), actor, org, registry.ReadRows(bytes.NewReader(file.Bytes())), registry.ImportOptions{}, nil)
			if err != nil || report.Unchanged != n {
				rt.Fatalf("%s: %+v, %v\n%s", format, report, err, file.String())
			}
		}
	})
}
