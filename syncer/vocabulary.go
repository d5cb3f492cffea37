package syncer

import (
	"context"
	"maps"
	"slices"
	"sync"

	"tandem"
)

// vocabulary translates between the remote's ids and our names of tags, blueprints and cohorts (S33).
type vocabulary struct {
	mu      sync.RWMutex
	names   map[tandem.EntityKind]map[string]string // id to name
	ids     map[tandem.EntityKind]map[string]string // name to id
	renamed map[tandem.EntityKind]map[string]string // old name to new, not yet followed by every device
	refused map[string]error                        // tag names that the remote would not take in this run
	known   []tandem.KnownEntity
	making  sync.Mutex // held while a tag is created there: who only reads does not wait for that
}

func newVocabulary() *vocabulary {
	v := &vocabulary{names: map[tandem.EntityKind]map[string]string{}, ids: map[tandem.EntityKind]map[string]string{},
		renamed: map[tandem.EntityKind]map[string]string{}, refused: map[string]error{}}
	for _, kind := range entityKinds {
		v.names[kind], v.ids[kind], v.renamed[kind] = map[string]string{}, map[string]string{}, map[string]string{}
	}
	return v
}

var entityKinds = []tandem.EntityKind{tandem.TagEntity, tandem.BlueprintEntity, tandem.CohortEntity}

var entityFields = map[tandem.EntityKind]tandem.Field{
	tandem.TagEntity: tandem.FieldTags, tandem.BlueprintEntity: tandem.FieldBlueprint, tandem.CohortEntity: tandem.FieldCohort,
}

// add notes an entity as the remote shows it now.
func (v *vocabulary) add(e tandem.RemoteEntity) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.names[e.Kind][e.ID] = e.Name
	v.ids[e.Kind][e.Name] = e.ID
}

func (v *vocabulary) name(kind tandem.EntityKind, id string) (string, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	name, ok := v.names[kind][id]
	return name, ok
}

func (v *vocabulary) id(kind tandem.EntityKind, name string) (string, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	id, ok := v.ids[kind][name]
	return id, ok
}

// compare sets what was kept against what is there: same id, new name is a rename. It gives the
// rows to keep and the renames that are new.
func (v *vocabulary) compare(service string, kept []tandem.KnownEntity) (put, renames []tandem.KnownEntity) {
	before := map[tandem.EntityKind]map[string]tandem.KnownEntity{}
	for _, k := range kept {
		if before[k.Kind] == nil {
			before[k.Kind] = map[string]tandem.KnownEntity{}
		}
		before[k.Kind][k.ID] = k
	}
	for _, kind := range entityKinds {
		for _, id := range slices.Sorted(maps.Keys(v.names[kind])) {
			name := v.names[kind][id]
			now := tandem.KnownEntity{RemoteEntity: tandem.RemoteEntity{Kind: kind, ID: id, Name: name}, ServiceID: service}
			was, knew := before[kind][id]
			switch {
			case !knew:
				put = append(put, now)
				continue
			case was.Name != name:
				if now.Was = was.Was; now.Was == "" {
					now.Was = was.Name
				}
				if now.Was == name {
					now.Was = ""
				}
				put = append(put, now)
				renames = append(renames, tandem.KnownEntity{RemoteEntity: now.RemoteEntity, ServiceID: service, Was: was.Name})
			default:
				now.Was = was.Was
			}
			if now.Was != "" {
				v.renamed[kind][now.Was] = name
				v.known = append(v.known, now)
			}
		}
	}
	return put, renames
}

// settled gives the rows that end the pending renames, once every linked device has followed.
func (v *vocabulary) settled() []tandem.KnownEntity {
	var rows []tandem.KnownEntity
	for _, k := range v.known {
		k.Was = ""
		rows = append(rows, k)
	}
	return rows
}

func (v *vocabulary) anyRenamed() bool {
	return len(v.renamed[tandem.TagEntity])+len(v.renamed[tandem.BlueprintEntity])+len(v.renamed[tandem.CohortEntity]) > 0
}

// follow brings a base, and what the local side still has of it, under the new names.
func (v *vocabulary) follow(base tandem.Base, local tandem.Shared) (tandem.Base, tandem.Shared) {
	scalar := func(kind tandem.EntityKind, name *string) {
		if now, renamed := v.renamed[kind][*name]; renamed {
			*name = now
		}
	}
	tags := func(names, of []string) []string {
		var out []string
		for i, name := range names {
			now, renamed := v.renamed[tandem.TagEntity][name]
			if !renamed || (of != nil && !slices.Contains(of, name)) {
				continue
			}
			if out == nil {
				out = slices.Clone(names)
			}
			out[i] = now
		}
		if out == nil {
			return names
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	if base.Local.Known.Has(tandem.FieldTags) && len(base.Local.Tags) > 0 {
		local.Tags = tags(local.Tags, base.Local.Tags)
		base.Local.Tags, base.Remote.Tags = tags(base.Local.Tags, nil), tags(base.Remote.Tags, nil)
	}
	for _, f := range []struct {
		kind              tandem.EntityKind
		local, bLoc, bRem *string
	}{
		{tandem.BlueprintEntity, &local.Blueprint, &base.Local.Blueprint, &base.Remote.Blueprint},
		{tandem.CohortEntity, &local.Cohort, &base.Local.Cohort, &base.Remote.Cohort},
	} {
		if *f.local == *f.bLoc {
			scalar(f.kind, f.local)
		}
		scalar(f.kind, f.bLoc)
		scalar(f.kind, f.bRem)
	}
	return base, local
}

// shared gives the remote device in our words: the selected fields that its listing carries.
// A field with an id that nothing here can resolve stays unknown, which is no removal (S33).
func (v *vocabulary) shared(rd *tandem.RemoteDevice, fields tandem.Fields) (tandem.Shared, []tandem.Path) {
	var unresolved []tandem.Path
	s := tandem.Shared{Name: rd.Name, Enabled: rd.Enabled, HardwareIDs: rd.HardwareIDs,
		Known: fields & tandem.FieldSet(tandem.FieldName, tandem.FieldEnabled, tandem.FieldHardwareIDs)}
	if fields.Has(tandem.FieldTags) {
		s.Known = s.Known.With(tandem.FieldTags)
		if len(rd.TagIDs) > 0 {
			s.Tags = make([]string, 0, len(rd.TagIDs))
		}
		for _, id := range rd.TagIDs {
			name, ok := v.name(tandem.TagEntity, id)
			if !ok {
				s.Known, s.Tags = s.Known.Without(tandem.FieldTags), nil
				unresolved = append(unresolved, tandem.Path(tandem.FieldTags.String()))
				break
			}
			s.Tags = append(s.Tags, name)
		}
		slices.Sort(s.Tags)
	}
	for _, f := range []struct {
		field tandem.Field
		kind  tandem.EntityKind
		id    string
		to    *string
	}{
		{tandem.FieldBlueprint, tandem.BlueprintEntity, rd.BlueprintID, &s.Blueprint},
		{tandem.FieldCohort, tandem.CohortEntity, rd.CohortID, &s.Cohort},
	} {
		if !fields.Has(f.field) {
			continue
		}
		name, ok := "", f.id == ""
		if !ok {
			name, ok = v.name(f.kind, f.id)
		}
		if !ok {
			unresolved = append(unresolved, tandem.Path(f.field.String()))
			continue
		}
		*f.to, s.Known = name, s.Known.With(f.field)
	}
	return s, unresolved
}

// tagID gives a tag's id, creating the tag when it is missing. A second caller waits for the first.
func (v *vocabulary) tagID(ctx context.Context, remote tandem.Remote, name string) (string, error) {
	if id, ok := v.id(tandem.TagEntity, name); ok {
		return id, nil
	}
	v.making.Lock()
	defer v.making.Unlock()
	if id, ok := v.id(tandem.TagEntity, name); ok {
		return id, nil
	}
	if err := v.refusal(name); err != nil {
		return "", err
	}
	tag, err := remote.CreateTag(ctx, name)
	if tandem.Is(err, tandem.Exists, tandem.Timeout) {
		// Someone else made it meanwhile, or our own request took effect without an answer.
		tags, lookErr := remote.Entities(ctx, tandem.TagEntity)
		if lookErr != nil {
			return "", lookErr
		}
		for _, t := range tags {
			v.add(t)
		}
		if id, ok := v.id(tandem.TagEntity, name); ok {
			return id, nil
		}
	}
	if err != nil {
		if tandem.Is(err, tandem.Invalid) {
			v.mu.Lock()
			v.refused[name] = err
			v.mu.Unlock()
		}
		return "", err
	}
	v.add(tag)
	return tag.ID, nil
}
