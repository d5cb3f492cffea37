package clienttest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tandem"
	"tandem/golioth"
)

func (s *suite) project(t *testing.T) {
	ctx := within(t)
	p, err := s.client.Project(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if p.ID != s.target.Project || p.OrganizationID == "" || p.CreatedAt.IsZero() || p.Now.IsZero() {
		t.Errorf("%+v", p)
	}
	again, err := s.client.Project(ctx)
	if err != nil || again.ProjectIdentity != p.ProjectIdentity {
		t.Errorf("the identity moved: %+v, %+v, %v", p, again, err)
	}
}

// keys tries a key that opens nothing, and the right key on a project that is not there.
func (s *suite) keys(t *testing.T) {
	ctx := within(t)
	wrong := s.target
	wrong.Key = golioth.Secret(random(t, 16))
	_, err := newClient(t, wrong).Project(ctx)
	fails(t, "a wrong key", err, tandem.Unauthorized, tandem.Forbidden)

	other := s.target
	other.Project = s.prefix + "nowhere"
	_, err = newClient(t, other).Project(ctx)
	fails(t, "a wrong project", err, tandem.Forbidden, tandem.NotFound, tandem.Unauthorized)
}

// entity follows one tag, blueprint or cohort from its creation to its end.
func (s *suite) entity(t *testing.T, kind tandem.EntityKind) {
	ctx := within(t)
	name := s.prefix + string(kind)
	e := s.makeEntity(t, ctx, kind, name)
	if e.ID == "" || e.Name != name || e.Kind != kind {
		t.Errorf("created as %+v", e)
	}
	_, err := s.client.CreateEntity(ctx, kind, name)
	fails(t, "the same name again", err, tandem.Exists, tandem.Invalid)

	listed := func(want tandem.RemoteEntity) func() string {
		return func() string {
			all, err := s.client.Entities(ctx, kind)
			if err != nil || !slices.Contains(all, want) {
				return fmt.Sprintf("the list of %d lacks %+v (%v)", len(all), want, err)
			}
			return ""
		}
	}
	s.eventually(t, listed(e))
	renamed, err := s.client.RenameEntity(ctx, kind, e.ID, name+"-2")
	if err != nil || renamed.ID != e.ID || renamed.Name != name+"-2" {
		t.Errorf("renamed to %+v, %v", renamed, err)
	}
	s.eventually(t, listed(tandem.RemoteEntity{Kind: kind, ID: e.ID, Name: name + "-2"}))

	if err := s.client.DeleteEntity(ctx, kind, e.ID); err != nil {
		t.Error(err)
	}
	if err := s.client.DeleteEntity(ctx, kind, e.ID); err == nil {
		t.Error("it could be deleted twice")
	}
	s.eventually(t, func() string {
		all, err := s.client.Entities(ctx, kind)
		if err != nil || slices.ContainsFunc(all, func(o tandem.RemoteEntity) bool { return o.ID == e.ID }) {
			return fmt.Sprintf("it is still listed (%v)", err)
		}
		return ""
	})
}

// stream only asks: whether there is data depends on the project's pipelines.
func (s *suite) stream(t *testing.T) {
	rows := 0
	query := tandem.StreamQuery{Since: time.Now().Add(-time.Minute), Paths: []string{"battery", "env/temp"}}
	for row, err := range s.client.Stream(within(t), query) {
		if err != nil {
			t.Fatal(err)
		}
		if row.DeviceID == "" || row.Time.IsZero() {
			t.Errorf("%+v", row)
		}
		if rows++; rows == 1000 {
			break
		}
	}
}
