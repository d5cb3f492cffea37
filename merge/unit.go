package merge

import (
	"time"

	"tandem"
)

// unit is a scalar or a leaf with its base pair and both sides; nil is absent. Deciding it changes the base
// to what may be stored, and l to what it is then.
type unit struct {
	field  tandem.Field
	path   tandem.Path
	based  bool // there is a base
	bl, br any
	l, r   any
}

// flow is where a unit's value has to go.
type flow uint8

const (
	stay     flow = iota
	toLocal       // import
	toRemote      // export
	disputed      // both changed it, differently
)

// decide settles one unit: S1, S4, the direction, the strategy, the holds.
func (m *merger) decide(u *unit) {
	hold := m.hold(u.path)
	if hold == Frozen {
		return
	}
	if u.same(u.l, u.r) {
		u.agree(u.l)
		return
	}
	if m.p.Force { // S11
		if m.p.Direction == tandem.Import {
			m.toLocal(u)
		} else {
			m.toRemote(u)
		}
		return
	}
	way := u.flow()
	byHand := hold == ByHand || u.apart()
	switch {
	case way == stay:
	case hold == ByHand || way == disputed:
		m.dispute(u, byHand)
	default:
		m.deliver(u, way)
	}
}

// flow is S1, and S4 where there is no base. The sides differ.
func (u *unit) flow() flow {
	if !u.based {
		switch l, r := fullness(u.l), fullness(u.r); {
		case l < r:
			return toLocal
		case r < l:
			return toRemote
		}
		return disputed
	}
	here, there := !u.same(u.l, u.bl), !u.same(u.r, u.br)
	switch {
	case !here && !there:
		return stay // kept apart by a person (S10)
	case u.apart(), here && there:
		return disputed
	case here:
		return toRemote
	}
	return toLocal
}

// apart reports whether a person chose to keep both values (S10).
func (u *unit) apart() bool { return u.based && !u.same(u.bl, u.br) }

// same compares two values of the unit.
func (u *unit) same(a, b any) bool {
	if u.field == tandem.FieldMetadata {
		return Equal(a, b)
	}
	return a == b
}

// agree moves the base to a value that both sides have.
func (u *unit) agree(v any) { u.based, u.bl, u.br = true, v, v }

// fullness orders values without a base: absent, then empty ("" and []; never false or 0), then all others.
// The fuller side is taken (S4).
func fullness(v any) int {
	if absent(v) {
		return 0
	}
	switch x := plain(v).(type) {
	case string:
		if x == "" {
			return 1
		}
	case []any:
		if len(x) == 0 {
			return 1
		}
	}
	return 2
}

// deliver sends a value its way, or records that the direction holds it back (S7).
func (m *merger) deliver(u *unit, way flow) bool {
	if m.held(way) {
		m.drift(u.path, u.l, u.r)
		return false
	}
	if way == toLocal {
		m.toLocal(u)
	} else {
		m.toRemote(u)
	}
	return true
}

// held reports whether the direction holds back what goes that way.
func (m *merger) held(way flow) bool {
	return way == toLocal && m.p.Direction == tandem.Export || way == toRemote && m.p.Direction == tandem.Import
}

// toLocal takes the remote's value here, and so it is agreed.
func (m *merger) toLocal(u *unit) {
	m.res.Local = append(m.res.Local, Edit{Path: u.path, Before: u.l, After: u.r, At: m.editedAt(u.field)})
	u.l = u.r
	u.agree(u.r)
}

// toRemote sends the local value. It is agreed when the remote says so, not before.
func (m *merger) toRemote(u *unit) {
	m.res.Remote = append(m.res.Remote, Edit{Path: u.path, Before: u.r, After: u.l})
}

// dispute settles a conflict by the strategy, or leaves it to a person (S8).
func (m *merger) dispute(u *unit, byHand bool) {
	c := Conflict{Path: u.path, Type: tandem.ConcurrentModification, Base: u.bl, Local: u.l, Remote: u.r}
	if !u.based {
		c.Type = tandem.InitialMismatch
	}
	way := disputed
	if !byHand {
		c.Settled, way = m.winner(u)
	}
	switch way {
	case toLocal:
		c.Value = u.r
	case toRemote:
		c.Value = u.l
	default:
		c.Settled = ""
		m.res.Conflicts = append(m.res.Conflicts, c)
		return
	}
	if m.deliver(u, way) {
		m.res.Conflicts = append(m.res.Conflicts, c)
	}
}

// winner asks the field's strategy, disputed when a person has to decide.
func (m *merger) winner(u *unit) (tandem.Strategy, flow) {
	strategy := tandem.Manual
	if m.p.Strategy != nil {
		strategy = m.p.Strategy(u.field)
	}
	switch strategy {
	case tandem.LocalWins:
		return strategy, toRemote
	case tandem.RemoteWins:
		return strategy, toLocal
	case tandem.NewestWins:
		return strategy, m.newest(u)
	}
	return strategy, disputed
}

// newest is newest_wins (S8): the remote's edit lies between the last run that saw the old value and the latest
// instant it can have been made at. A local edit inside, or nearer than the clocks are sure of, is for a person.
func (m *merger) newest(u *unit) flow {
	local, from, to := m.localEdit(u.path), m.s.RemoteUnchangedAt, m.latestRemoteEdit(u.field)
	if local.IsZero() || from.IsZero() || to.IsZero() {
		return disputed
	}
	if to.Before(from) { // the clocks differ
		from, to = to, from
	}
	skew := m.s.Skew.Abs()
	switch {
	case local.After(to.Add(skew)):
		return toRemote
	case local.Before(from.Add(-skew)):
		return toLocal
	}
	return disputed
}

// latestRemoteEdit gives the latest instant at which the remote's value can have been edited.
// Metadata has no time of its own: it was some time before it was read.
func (m *merger) latestRemoteEdit(f tandem.Field) time.Time {
	if f == tandem.FieldMetadata {
		return m.s.ReadAt
	}
	return m.s.RemoteUpdatedAt
}

// editedAt gives the time that an imported value brings along. For metadata the remote tells none.
func (m *merger) editedAt(f tandem.Field) time.Time {
	if f == tandem.FieldMetadata {
		return time.Time{}
	}
	return m.s.RemoteUpdatedAt
}

// localEdit gives the latest local edit of a path or of anything above or below it.
func (m *merger) localEdit(p tandem.Path) time.Time {
	var latest time.Time
	for q, t := range m.s.LocalEdited {
		if related(p, q) && t.After(latest) {
			latest = t
		}
	}
	return latest
}

// hold gives the strongest hold on a path or on anything above or below it.
func (m *merger) hold(p tandem.Path) Hold {
	var strongest Hold
	for q, h := range m.s.Hold {
		if related(p, q) && (strongest == 0 || h == Frozen) {
			strongest = h
		}
	}
	return strongest
}

// drift records a pair of values that the direction holds back (S7).
func (m *merger) drift(p tandem.Path, local, remote any) {
	d := Drift{Path: p, Local: local, Remote: remote, Fingerprint: Fingerprint(local, remote)}
	d.Known = m.s.Drift[p] == d.Fingerprint
	m.res.Drift = append(m.res.Drift, d)
}

// related reports whether the paths are the same or one lies in the other. The empty path is the whole device.
func related(a, b tandem.Path) bool { return a == b || within(a, b) || within(b, a) }

// within reports whether a lies below b.
func within(a, b tandem.Path) bool {
	return b == "" || len(a) > len(b) && a[len(b)] == '/' && a[:len(b)] == b
}
