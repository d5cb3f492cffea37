package merge

import (
	"cmp"
	"slices"

	"tandem"
)

// Device merges one device: every selected shared field that both sides know.
// Where nothing changed it allocates nothing.
func Device(s Sides, p Policy) Result {
	both := p.Fields & s.Local.Known & s.Remote.Known & tandem.SharedFields
	changed := changedFields(&s, both, p.Force)
	both = withoutFrozen(both, s.Hold)
	if changed == tandem.NoFields && s.Base.Local.Known&^p.Fields == tandem.NoFields {
		return Result{After: s.Local, Base: s.Base, Compared: both}
	}
	return mergeFields(s, p, both, changed)
}

// changedFields gives those of the fields that a merge has to look at: no base, or a side that is not as base has it.
func changedFields(s *Sides, fields tandem.Fields, force bool) tandem.Fields {
	changed := fields &^ s.Base.Local.Known
	bl, br, l, r := &s.Base.Local, &s.Base.Remote, &s.Local, &s.Remote
	for f := tandem.FieldName; f <= tandem.FieldMetadata; f++ {
		if !fields.Has(f) || changed.Has(f) {
			continue
		}
		if !sameField(f, l, bl) || !sameField(f, r, br) || force && !sameField(f, l, r) {
			changed = changed.With(f)
		}
	}
	return changed
}

// sameField compares one field of two sides (S6).
func sameField(f tandem.Field, a, b *tandem.Shared) bool {
	switch f {
	case tandem.FieldName:
		return a.Name == b.Name
	case tandem.FieldEnabled:
		return a.Enabled == b.Enabled
	case tandem.FieldHardwareIDs:
		return sameSet(a.HardwareIDs, b.HardwareIDs)
	case tandem.FieldTags:
		return sameSet(a.Tags, b.Tags)
	case tandem.FieldBlueprint:
		return a.Blueprint == b.Blueprint
	case tandem.FieldCohort:
		return a.Cohort == b.Cohort
	}
	return sameMap(a.Metadata, b.Metadata)
}

// withoutFrozen leaves out the fields that are frozen as a whole: they are not compared.
func withoutFrozen(fields tandem.Fields, holds map[tandem.Path]Hold) tandem.Fields {
	for p, h := range holds {
		if h != Frozen {
			continue
		}
		if p == "" {
			return tandem.NoFields
		}
		if f, ok := p.Field(); ok && p.Pointer() == "" {
			fields = fields.Without(f)
		}
	}
	return fields
}

// merger is one merge under way.
type merger struct {
	s   Sides
	p   Policy
	res Result
}

// mergeFields merges the changed fields.
func mergeFields(s Sides, p Policy, compared, changed tandem.Fields) Result {
	m := &merger{s: s, p: p, res: Result{After: s.Local, Base: s.Base, Compared: compared}}
	m.p.Force = p.Force && p.Direction != tandem.Bidirectional
	if dropped := s.Base.Local.Known &^ p.Fields; dropped != tandem.NoFields {
		m.res.Base, m.res.BaseMoved = DropFields(s.Base, p.Fields), true
	}
	m.s.Remote = unwritten(s, changed)
	for f := tandem.FieldName; f <= tandem.FieldMetadata; f++ {
		if !changed.Has(f) || !compared.Has(f) {
			continue
		}
		switch f {
		case tandem.FieldHardwareIDs, tandem.FieldTags:
			m.set(f)
		case tandem.FieldMetadata:
			m.metadata()
		default:
			m.scalar(f)
		}
	}
	m.sort()
	return m.res
}

// unwritten gives the remote with our own recent writes in it: a value that one of them replaced is read again
// for a while, and is taken as what base has (S6).
func unwritten(s Sides, fields tandem.Fields) tandem.Shared {
	remote := s.Remote
	for _, p := range sortedPaths(s.WrittenOver) {
		f, _, err := split(p)
		if err != nil || !fields.Has(f) || !s.Base.Remote.Known.Has(f) {
			continue
		}
		read, _ := Value(s.Remote, p)
		if !sameValue(f, read, s.WrittenOver[p]) {
			continue
		}
		agreed, _ := Value(s.Base.Remote, p)
		// A path that the remote has no room for any more reads otherwise than it did before our write.
		if moved, err := Apply(remote, []Edit{{Path: p, After: agreed}}); err == nil {
			remote = moved
		}
	}
	return remote
}

// sameValue compares a field's values; those of sets as sets, text as it is spelled (S6).
func sameValue(f tandem.Field, a, b any) bool {
	switch f {
	case tandem.FieldMetadata:
		return Equal(a, b)
	case tandem.FieldHardwareIDs, tandem.FieldTags:
		x, ok := elements(a)
		y, okToo := elements(b)
		return ok && okToo && slices.Equal(x, y)
	case tandem.FieldEnabled:
		return a == b
	}
	x, ok := text(a)
	y, okToo := text(b)
	return ok && okToo && x == y
}

// scalar merges a scalar field (S1).
func (m *merger) scalar(f tandem.Field) {
	u := unit{field: f, path: tandem.Path(f.String()), based: m.s.Base.Local.Known.Has(f),
		l: fieldValue(&m.s.Local, f), r: fieldValue(&m.s.Remote, f)}
	if u.based {
		u.bl, u.br = fieldValue(&m.s.Base.Local, f), fieldValue(&m.s.Base.Remote, f)
	}
	was := u
	m.decide(&u)
	if u.l != was.l {
		putField(&m.res.After, f, u.l)
	}
	if u.based != was.based || u.bl != was.bl || u.br != was.br {
		putField(&m.res.Base.Local, f, u.bl)
		putField(&m.res.Base.Remote, f, u.br)
		m.res.BaseMoved = true
	}
}

// putField sets a scalar that was read from a side.
func putField(side *tandem.Shared, f tandem.Field, value any) {
	switch f {
	case tandem.FieldName:
		side.Name, _ = text(value)
	case tandem.FieldBlueprint:
		side.Blueprint, _ = text(value)
	case tandem.FieldCohort:
		side.Cohort, _ = text(value)
	case tandem.FieldEnabled:
		side.Enabled = value == true
	}
	side.Known = side.Known.With(f)
}

// sort puts everything in the order of the fields, then of the paths.
func (m *merger) sort() {
	slices.SortFunc(m.res.Local, func(a, b Edit) int { return comparePaths(a.Path, b.Path) })
	slices.SortFunc(m.res.Remote, func(a, b Edit) int { return comparePaths(a.Path, b.Path) })
	slices.SortFunc(m.res.Conflicts, func(a, b Conflict) int { return comparePaths(a.Path, b.Path) })
	slices.SortFunc(m.res.Drift, func(a, b Drift) int { return comparePaths(a.Path, b.Path) })
}

// comparePaths orders paths of shared fields.
func comparePaths(a, b tandem.Path) int {
	f, _ := a.Field()
	g, _ := b.Field()
	return cmp.Or(cmp.Compare(f, g), cmp.Compare(a, b))
}

// sortedPaths gives the keys of a map by path.
func sortedPaths[V any](m map[tandem.Path]V) []tandem.Path {
	paths := make([]tandem.Path, 0, len(m))
	for p := range m {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, comparePaths)
	return paths
}
