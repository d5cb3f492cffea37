package syncer

import (
	"context"
	"errors"
	"slices"
	"strings"

	"tandem"
	"tandem/merge"
)

// errTagRefused says that the remote would not create a tag; the vocabulary remembers which.
var errTagRefused = errors.New("the service does not take a tag")

// leaf is one write to LightDB State.
type leaf struct {
	path   string // on the remote
	edit   []merge.Edit
	value  any
	remove bool
}

// patch translates an intent's changes into what the remote is sent: a PATCH of what changes, sets as
// add and remove, and the leaves of metadata one by one (S23).
func (r *run) patch(ctx context.Context, in *tandem.Intent, before reading) (*tandem.RemotePatch, []leaf, error) {
	var patch tandem.RemotePatch
	var some bool
	var leaves []merge.Edit
	for _, c := range in.Changes {
		was, now := decode(c.Before), decode(c.After)
		f, _ := c.Path.Field()
		text, _ := now.(string)
		switch f {
		case tandem.FieldName:
			patch.Name, some = &text, true
		case tandem.FieldEnabled:
			on, _ := now.(bool)
			patch.Enabled, some = &on, true
		case tandem.FieldBlueprint, tandem.FieldCohort:
			kind, to := tandem.BlueprintEntity, &patch.BlueprintID
			if f == tandem.FieldCohort {
				kind, to = tandem.CohortEntity, &patch.CohortID
			}
			id, ok := "", text == ""
			if !ok {
				id, ok = r.words.id(kind, text)
			}
			if !ok {
				return nil, nil, tandem.Errorf(tandem.Invalid, "sync", c.DeviceName, "there is no %s %s on the service", kind, text)
			}
			*to, some = &id, true
		case tandem.FieldHardwareIDs:
			patch.AddHardwareIDs, patch.RemoveHardwareIDs = apart(toStrings(was), toStrings(now))
			some = true
		case tandem.FieldTags:
			add, remove := apart(toStrings(was), toStrings(now))
			if err := r.tagIDs(ctx, in, add, remove, &patch); err != nil {
				return nil, nil, err
			}
			some = true
		case tandem.FieldMetadata:
			leaves = append(leaves, merge.Edit{Path: c.Path, Before: was, After: now})
		}
	}
	state, err := r.leaves(leaves, before)
	if err != nil || !some {
		return nil, state, err
	}
	return &patch, state, nil
}

// apart gives what now has over was, and what it lacks.
func apart(was, now []string) (add, remove []string) {
	for _, x := range now {
		if !slices.Contains(was, x) {
			add = append(add, x)
		}
	}
	for _, x := range was {
		if !slices.Contains(now, x) {
			remove = append(remove, x)
		}
	}
	return add, remove
}

func (r *run) tagIDs(ctx context.Context, in *tandem.Intent, add, remove []string, patch *tandem.RemotePatch) error {
	refusedAny := false
	for _, name := range add {
		if _, known := r.words.id(tandem.TagEntity, name); !known {
			if err := r.mayWrite(ctx, in); err != nil {
				return err
			}
		}
		id, err := r.words.tagID(ctx, r.remote, name)
		if err != nil {
			if r.words.refusal(name) != nil {
				refusedAny = true
				continue
			}
			return err
		}
		patch.AddTagIDs = append(patch.AddTagIDs, id)
	}
	for _, name := range remove {
		if id, ok := r.words.id(tandem.TagEntity, name); ok {
			patch.RemoveTagIDs = append(patch.RemoveTagIDs, id)
		}
	}
	if refusedAny {
		return &tandem.Error{Code: tandem.Invalid, Op: "sync", Message: errTagRefused.Error(), Err: errTagRefused}
	}
	return nil
}

// leaves turns edits of metadata into writes. An empty document is written whole; otherwise leaf by
// leaf, since whether a write merges or replaces is not known of the remote.
func (r *run) leaves(edits []merge.Edit, before reading) ([]leaf, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	root := r.state.metadata
	if len(before.shared.Metadata) == 0 {
		whole, err := merge.Apply(tandem.Shared{Known: tandem.FieldSet(tandem.FieldMetadata)}, edits)
		if err != nil {
			return nil, err
		}
		if len(whole.Metadata) == 0 {
			return nil, nil
		}
		return []leaf{{path: root, edit: edits, value: whole.Metadata}}, nil
	}
	var out []leaf
	for _, e := range edits {
		segments := strings.Split(strings.TrimPrefix(e.Path.Pointer(), "/"), "/")
		for i, s := range segments {
			segments[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
		}
		out = append(out, leaf{path: strings.Trim(root+"/"+strings.Join(segments, "/"), "/"), edit: []merge.Edit{e}, value: e.After, remove: e.After == nil})
	}
	return out, nil
}

// withLeaf gives the reading as it is after a leaf was written.
func (rd reading) withLeaf(l leaf) reading {
	after, err := merge.Apply(rd.shared, l.edit)
	if err == nil {
		rd.shared = after
		rd.shared.Known = rd.shared.Known.With(tandem.FieldMetadata)
	}
	return rd
}

// keepState carries over what a device's reply does not hold.
func (rd *reading) keepState(before *reading) {
	if before.shared.Known.Has(tandem.FieldMetadata) {
		rd.shared.Metadata = before.shared.Metadata
		rd.shared.Known = rd.shared.Known.With(tandem.FieldMetadata)
	}
	rd.state, rd.observedState = before.state, before.observedState
}
