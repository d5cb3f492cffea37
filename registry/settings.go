package registry

import (
	"context"
	"encoding/json"
	"hash/maphash"

	"tandem"
)

// SettingsPreview is what changed settings alone would do (S28).
type SettingsPreview struct {
	Run     tandem.Run // as a run with the new settings would end
	Changes int        // that only the new settings make
	Gone    int        // that only the settings as they are would have made
}

// PreviewSettings says what a change of a service's settings alone would do, before it is saved, and hands each such
// change to each: what a run would do with the new settings, without what it would do anyway. Where no person has let
// the settings as they are run yet, that is everything. It lists the whole project, and stores nothing.
func (r *Registry) PreviewSettings(ctx context.Context, actor Actor, org, ref string, edit ServiceEdit, each func(tandem.Change) error) (SettingsPreview, error) {
	var p SettingsPreview
	if err := actor.may(org, UpdateServices); err != nil {
		return p, err
	}
	before, err := r.Store.Service(ctx, org, ref)
	if err != nil {
		return p, err
	}
	after := before
	if err := r.decideService(ctx, actor, &before, &after, edit); err != nil {
		return p, err
	}
	if before.Config.Project != after.Config.Project || !sameBase(before.Config.BaseURL, after.Config.BaseURL) {
		return p, tandem.Errorf(tandem.Invalid, "preview settings", before.Name, "another project or address cannot be previewed").
			WithHint("save it, then look at a dry run")
	}
	end, err := r.Previews.begin(actor)
	if err != nil {
		return p, err
	}
	defer end()
	anyway := newChangeSet()
	if r.Engine.Approved(&before) {
		if _, err := r.Engine.PreviewSettings(ctx, org, before, anyway.add); err != nil {
			return p, err
		}
	}
	preview, err := r.Engine.PreviewSettings(ctx, org, after, func(c tandem.Change) error {
		if met, err := anyway.take(c); err != nil || met {
			return err
		}
		p.Changes++
		if each == nil {
			return nil
		}
		return each(c)
	})
	p.Run, p.Gone = preview.Run, anyway.left
	return p, err
}

// changeSet counts changes by their content; it keeps a few bytes of each.
type changeSet struct {
	seed  maphash.Seed
	count map[uint64]int
	left  int
}

func newChangeSet() *changeSet { return &changeSet{seed: maphash.MakeSeed(), count: map[uint64]int{}} }

func (s *changeSet) sum(c tandem.Change) (uint64, error) {
	text, err := json.Marshal(c)
	return maphash.Bytes(s.seed, text), err
}

func (s *changeSet) add(c tandem.Change) error {
	sum, err := s.sum(c)
	s.count[sum]++
	s.left++
	return err
}

// take removes a change and reports whether it was there.
func (s *changeSet) take(c tandem.Change) (bool, error) {
	sum, err := s.sum(c)
	if s.count[sum] == 0 {
		return false, err
	}
	s.count[sum]--
	s.left--
	return true, err
}
