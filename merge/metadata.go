package merge

import (
	"maps"
	"reflect"

	"tandem"
)

// node is one place in metadata with its base pair and both sides; nil is absent.
type node struct {
	bl, br, l, r any
}

// sameMap compares metadata. The same map is equal to itself without being looked at.
func sameMap(a, b tandem.Map) bool {
	if reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer() {
		return true
	}
	return equalMaps(a, b)
}

// metadata merges the map, leaf by leaf (S3).
func (m *merger) metadata() {
	const f = tandem.FieldMetadata
	path := tandem.Path(f.String())
	based := m.s.Base.Local.Known.Has(f)
	was := node{l: m.s.Local.Metadata, r: m.s.Remote.Metadata}
	if based {
		was.bl, was.br = m.s.Base.Local.Metadata, m.s.Base.Remote.Metadata
	}
	if m.unbelievable(was) {
		m.res.Unknown = append(m.res.Unknown, path)
		m.res.Compared = m.res.Compared.Without(f)
		return
	}
	now := m.merge(path, was)
	if !Equal(now.l, was.l) {
		if m.res.After.Metadata = mapOf(now.l); m.res.After.Metadata == nil {
			m.res.After.Metadata = tandem.Map{}
		}
	}
	m.res.Base.Local.Metadata, m.res.Base.Remote.Metadata = mapOf(now.bl), mapOf(now.br)
	if !based || !Equal(now.bl, was.bl) || !Equal(now.br, was.br) {
		m.res.Base.Local.Known = m.res.Base.Local.Known.With(f)
		m.res.Base.Remote.Known = m.res.Base.Remote.Known.With(f)
		m.res.BaseMoved = true
	}
}

// unbelievable reports whether the remote shows nothing at all where base has leaves that are still here (S6):
// an unread document looks the same as an emptied one. Where nothing here would be lost by it, it is believed.
func (m *merger) unbelievable(root node) bool {
	if !absent(root.r) || m.p.Force && m.p.Direction == tandem.Export {
		return false
	}
	return overlap(root.br, root.l)
}

// overlap reports whether b has something in a place where a has something.
func overlap(a, b any) bool {
	x, ok := a.(tandem.Map)
	y, okToo := b.(tandem.Map)
	if !ok || !okToo {
		return !absent(a) && !absent(b)
	}
	for k, v := range x {
		if overlap(v, y[k]) {
			return true
		}
	}
	return false
}

// merge decides what is at a path and below it, and gives it as it is afterwards: the base that may be stored,
// and the local side. What does not change is the very same value.
func (m *merger) merge(p tandem.Path, n node) node {
	if Equal(n.l, n.bl) && Equal(n.r, n.br) && !(m.p.Force && !Equal(n.l, n.r)) {
		return n
	}
	sides := branches(n.l) && branches(n.r)
	bases := branches(n.bl) && branches(n.br)
	switch {
	case sides && bases:
	case sides && !absent(n.l) && !absent(n.r) && Equal(n.bl, n.br) && m.hold(p) == 0:
		// A leaf that both sides made a subtree: the leaf is gone, the subtrees go leaf by leaf.
		n.bl, n.br = nil, nil
	default:
		u := unit{field: tandem.FieldMetadata, path: p, bl: present(n.bl), br: present(n.br), l: present(n.l), r: present(n.r)}
		u.based = u.bl != nil || u.br != nil
		m.decide(&u)
		return node{bl: u.bl, br: u.br, l: u.l, r: n.r}
	}
	if Equal(n.l, n.r) && m.hold(p) != Frozen {
		return node{bl: present(n.l), br: present(n.l), l: n.l, r: n.r}
	}
	return m.mergeBelow(p, n)
}

// mergeBelow merges each key of a node whose values are objects or absent.
func (m *merger) mergeBelow(p tandem.Path, n node) node {
	bl, br, l, r := mapOf(n.bl), mapOf(n.br), mapOf(n.l), mapOf(n.r)
	now := n
	baseLocal, baseRemote, local := owned{of: bl}, owned{of: br}, owned{of: l}
	for _, k := range sortedKeys(bl, br, l, r) {
		was := node{bl: bl[k], br: br[k], l: l[k], r: r[k]}
		below := m.merge(join(p, k), was)
		baseLocal.put(k, was.bl, below.bl)
		baseRemote.put(k, was.br, below.br)
		local.put(k, was.l, below.l)
	}
	now.bl, now.br, now.l = baseLocal.value(n.bl), baseRemote.value(n.br), local.value(n.l)
	return now
}

// owned is a map that is copied at its first change.
type owned struct {
	of     tandem.Map
	copied tandem.Map
}

// put sets a key, unless its value is the same as before.
func (o *owned) put(k string, was, now any) {
	if Equal(was, now) {
		return
	}
	if o.copied == nil {
		if o.copied = maps.Clone(o.of); o.copied == nil {
			o.copied = tandem.Map{}
		}
	}
	if absent(now) {
		delete(o.copied, k)
	} else {
		o.copied[k] = now
	}
}

// value gives the map, nil when the changes left it empty, and was when there were none.
func (o *owned) value(was any) any {
	switch {
	case o.copied == nil:
		return was
	case len(o.copied) == 0:
		return nil
	}
	return o.copied
}

// branches reports whether v is an object or absent: something that has, or may have, leaves below.
func branches(v any) bool {
	if _, ok := v.(tandem.Map); ok {
		return true
	}
	return v == nil
}

// present gives v, nil when it is absent.
func present(v any) any {
	if absent(v) {
		return nil
	}
	return v
}

// mapOf gives v as a map, nil when it is none.
func mapOf(v any) tandem.Map {
	m, _ := v.(tandem.Map)
	return m
}
