package clienttest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"tandem"
	"tandem/golioth"
)

// state writes leaves, reads them back however long that takes, and removes one.
func (s *suite) state(t *testing.T) {
	ctx := within(t)
	id := s.makeDevice(t, ctx, tandem.NewRemoteDevice{Name: s.prefix + "state", HardwareIDs: []string{s.prefix + "state"}}).ID
	reads := func(path string, want any) {
		t.Helper()
		s.eventually(t, func() string {
			got, err := s.client.State(ctx, id, path)
			if err != nil {
				return err.Error()
			}
			return gocmp.Diff(want, got)
		})
	}
	reads("nowhere/at/all", nil)
	writes := func(path string, value any) {
		t.Helper()
		if err := s.client.SetState(ctx, id, path, value); err != nil {
			t.Fatal(err)
		}
	}
	writes("site/floor", 3)
	writes("site/room name", "Küche & Bad")
	writes("flag", false)
	writes("list", []any{1, "two", nil})
	reads("site/floor", json.Number("3"))
	reads("site/room name", "Küche & Bad")
	reads("flag", false)
	reads("list", []any{json.Number("1"), "two", nil})
	reads("site", map[string]any{"floor": json.Number("3"), "room name": "Küche & Bad"})
	s.eventually(t, func() string {
		root, err := s.client.State(ctx, id, "")
		if object, ok := root.(map[string]any); err != nil || !ok || object["site"] == nil || object["flag"] != false {
			return fmt.Sprintf("the root is %v, %v", root, err)
		}
		return ""
	})
	s.listed(t, id)

	if err := s.client.DeleteState(ctx, id, "site/floor"); err != nil {
		t.Error(err)
	}
	reads("site/floor", nil)
	reads("site/room name", "Küche & Bad")
	if err := s.client.DeleteState(ctx, id, "site/floor"); err != nil {
		t.Error("deleting what is absent:", err)
	}
}

// listed looks whether a listing carries the state in a shape that is known. Golioth does not say what it
// is, so that none is required; but a shape that is recognized must mean the value that a read gives.
func (s *suite) listed(t *testing.T, id string) {
	ctx := within(t)
	direct, err := s.client.State(ctx, id, "site/floor")
	if err != nil {
		t.Fatal(err)
	}
	for page, err := range s.client.Devices(ctx, tandem.RemoteListing{Term: s.prefix + "state", StatePath: "site/floor"}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Devices {
			if d.ID != id {
				continue
			}
			value, ok, shape := golioth.StateFromListing(d.State, "site/floor")
			if ok && shape != golioth.ShapeValue && gocmp.Diff(direct, value) != "" {
				t.Errorf("%s was taken for shape %q with the value %v, not %v", d.State, shape, value, direct)
			}
			t.Logf("statePath gives %s: recognized %v, shape %q", d.State, ok, shape)
		}
	}
}

// credentials adds a key to a device, reads it back and takes it away.
func (s *suite) credentials(t *testing.T) {
	ctx := within(t)
	id := s.makeDevice(t, ctx, tandem.NewRemoteDevice{Name: s.prefix + "keys", HardwareIDs: []string{s.prefix + "keys"}}).ID
	before, err := s.client.Credentials(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	psk := golioth.Secret(random(t, 16))
	made, err := s.client.CreateCredential(ctx, id, golioth.NewCredential{Type: golioth.PreSharedKey, Identity: s.prefix + "keys", PreSharedKey: psk})
	if err != nil {
		t.Fatal(err)
	}
	if made.ID == "" || made.Identity != s.prefix+"keys@"+s.target.Project {
		t.Errorf("created %q as %q", made.ID, made.Identity)
	}
	if text := fmt.Sprintf("%v %+v %#v", made, made, made); strings.Contains(text, string(psk)) {
		t.Error("the key shows when the credential is printed")
	}
	s.eventually(t, func() string {
		all, err := s.client.Credentials(ctx, id)
		if err != nil || len(all) != len(before)+1 {
			return fmt.Sprintf("%d credentials, %v", len(all), err)
		}
		for _, c := range all {
			if c.ID == made.ID && c.PreSharedKey == psk {
				return ""
			}
		}
		return "the new credential is not listed with its key"
	})
	if err := s.client.DeleteCredential(ctx, id, made.ID); err != nil {
		t.Error(err)
	}
}
