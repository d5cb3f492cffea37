package simtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tandem"
	"tandem/registry"
	"tandem/store/postgres/postgrestest"
)

// staged makes a world in which the next run has every kind of remote write to make: creates, a recreation,
// a deletion, a new tag, patches, LightDB State, and a ring of names.
func staged(ctx context.Context, seed uint64, db database) (*world, error) {
	s := settings{fleet: 8, locals: 1, root: "metadata", deletes: 2, switches: 2, words: "every kind of write"}
	s.config = func(c *tandem.ServiceConfig) {
		c.Strategy, c.CreateRemote, c.DeleteRemote, c.OnRemoteDelete = tandem.LocalWins, true, true, tandem.RecreateRemote
		c.Guards = tandem.Guards{MaxDelete: 1, MaxChange: 1}
		c.Paths.Metadata = "state:" + s.root
	}
	w, err := newWorld(ctx, seed, s, rand.New(rand.NewPCG(seed, 7)), db, tandemProgram)
	if err != nil {
		return w, err
	}
	if _, err := w.told(ctx, nil, calm...); err != nil {
		return w, err
	}
	rows, err := w.linked(ctx)
	if err != nil || len(rows) < 9 {
		return w, fmt.Errorf("%d devices are linked, want 9 (%w)", len(rows), err)
	}
	text := func(s string) *string { return &s }
	off, names := false, [3]string{rows[0].Name, rows[1].Name, rows[2].Name}
	tags, ids := append(rows[3].Tags, "made-now"), append(rows[3].HardwareIDs, "HW:made-now")
	edits := []struct {
		of int
		registry.DeviceEdit
	}{
		{0, registry.DeviceEdit{Name: &names[1]}}, {1, registry.DeviceEdit{Name: &names[2]}}, {2, registry.DeviceEdit{Name: &names[0]}},
		{3, registry.DeviceEdit{Tags: &tags, HardwareIDs: &ids}},
		{4, registry.DeviceEdit{Enabled: &off, Blueprint: text("blueprint-1"), Metadata: &tandem.Map{"site": "here", "port": 7}}},
		{5, registry.DeviceEdit{Name: text("ours"), Cohort: text("cohort-1")}},
	}
	for _, e := range edits {
		if err := w.updateLocal(ctx, &rows[e.of].Device, e.DeviceEdit); err != nil {
			return w, err
		}
	}
	if err := w.createLocal(ctx); err != nil {
		return w, err
	}
	if err := w.deleteLocal(ctx, &rows[6].Device); err != nil {
		return w, err
	}
	there := func(i int) string { return externalOf(&rows[i], w.service.ID) }
	if err := w.byHand(there(7), func() error { return w.sim.DeleteDevice(project, there(7)) }); err != nil {
		return w, err
	}
	// The same field on both sides: local_wins writes over it, and records the conflict.
	return w, w.byHand(there(5), func() error {
		_, err := w.sim.EditDevice(project, there(5), tandem.RemotePatch{Name: text("theirs")})
		return err
	})
}

// killedAt plays the staged world, killed at one boundary, to its end. Boundary 0 is none; it gives how many writes there were.
func killedAt(t *testing.T, db database, seed uint64, at moment, n int) (writes int) {
	t.Helper()
	ctx := t.Context()
	w, err := staged(ctx, seed, db)
	if w != nil {
		defer func() {
			if err := w.close(); err != nil {
				t.Error(err)
			}
		}()
	}
	if err != nil {
		t.Fatal(err)
	}
	w.gate.arm(event{at, n, func() bool {
		w.story.tell("write %d %s:", n, at)
		w.kill()
		return at != before
	}})
	o, err := w.told(ctx, nil, hurried...)
	if err != nil {
		t.Fatal(err)
	}
	writes = w.gate.count(before)
	if n > 0 && n <= writes && !o.killed {
		t.Errorf("the run was not killed at write %d of %d", n, writes)
	}
	p, wrong, err := w.finale(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if wrong = append(wrong, check(p)...); len(wrong) > 0 {
		t.Errorf("killed when write %d %s:\n%s\n\nwhat happened:\n%s", n, at, strings.Join(wrong, "\n"), w.story)
	}
	return writes
}

// TestS24EveryWriteBoundary kills a run that makes every kind of write before and after each of them.
func TestS24EveryWriteBoundary(t *testing.T) {
	writes := killedAt(t, onSQLite(t), 1, before, 0)
	if writes < 14 {
		t.Fatalf("the run makes %d writes; the staged world is to need more", writes)
	}
	t.Logf("%d writes", writes)
	for n := 1; n <= writes; n++ {
		for _, at := range []moment{before, after} {
			t.Run(fmt.Sprintf("%d %s", n, at), func(t *testing.T) {
				t.Parallel()
				killedAt(t, onSQLite(t), 1, at, n)
			})
		}
	}
}

// TestS24WriteBoundariesOnPostgres does so at a quarter of them.
func TestS24WriteBoundariesOnPostgres(t *testing.T) {
	url := postgrestest.URL(t)
	writes := killedAt(t, onPostgres(url, t.TempDir()), 1_000_000, before, 0)
	t.Run("boundaries", func(t *testing.T) {
		for n := 1; n <= writes; n += 4 {
			for i, at := range []moment{before, after} {
				t.Run(fmt.Sprintf("%d %s", n, at), func(t *testing.T) {
					t.Parallel()
					killedAt(t, onPostgres(url, t.TempDir()), 1_000_000+uint64(2*n+i), at, n)
				})
			}
		}
	})
}
