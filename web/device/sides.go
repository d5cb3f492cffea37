package device

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"tandem"
)

// side is a device's comparison with one service.
type side struct {
	tandem.Comparison
	Rows    []sideRow
	Differs int
	Trouble string // why the service did not answer
}

// sideRow is one value of the device: here, last agreed, and there.
type sideRow struct {
	Path                      tandem.Path
	Local, Base, Remote       json.RawMessage
	HasBase, HasRemote        bool
	BaseThere                 json.RawMessage // last agreed there, where two values were kept side by side
	TwoBases                  bool
	Selected                  bool // the service syncs it
	Differs                   bool // here and there differ
	ChangedHere, ChangedThere bool
}

// compareStored puts what is stored side by side; the services are asked later.
func (p *page) compareStored() error {
	for _, a := range p.linked() {
		s := p.services[a.ServiceID]
		p.sides = append(p.sides, sideOf(tandem.Comparison{Service: s, Assignment: a, Base: a.Base, Local: p.d.Shared()}))
	}
	p.pending = len(p.sides) > 0
	return nil
}

// compare asks the services too.
func (p *page) compare() error {
	all, err := p.c.Registry().CompareDevice(p.c.R.Context(), p.c.Actor, p.c.Org.ID, p.d.ID)
	if err != nil {
		return err
	}
	p.sides, p.asked, p.pending = nil, true, false
	for _, one := range all {
		if one.Assignment.Status != tandem.SyncUnlinked {
			p.sides = append(p.sides, sideOf(one))
		}
	}
	return nil
}

func sideOf(c tandem.Comparison) side {
	s := side{Comparison: c, Trouble: reason(c.RemoteError)}
	local, base, baseThere := valuesAt(&c.Local), valuesAt(&c.Base.Local), valuesAt(&c.Base.Remote)
	remote := map[tandem.Path]json.RawMessage{}
	if c.Remote != nil {
		remote = valuesAt(c.Remote)
	}
	for _, path := range pathsOf(local, base, baseThere, remote) {
		field, _ := path.Field()
		r := sideRow{Path: path, Local: local[path], Base: base[path], BaseThere: baseThere[path], Remote: remote[path], HasBase: c.Base.Local.Known.Has(field),
			HasRemote: c.Remote != nil && c.Remote.Known.Has(field), Selected: c.Service.Config.Fields.Has(field)}
		r.TwoBases = r.HasBase && !bytes.Equal(r.Base, r.BaseThere)
		r.Differs = r.HasRemote && !bytes.Equal(r.Local, r.Remote)
		r.ChangedHere = r.HasBase && !bytes.Equal(r.Local, r.Base)
		r.ChangedThere = r.HasBase && r.HasRemote && !bytes.Equal(r.Remote, r.BaseThere)
		if r.Differs && r.Selected {
			s.Differs++
		}
		s.Rows = append(s.Rows, r)
	}
	return s
}

// what says in words how the three stand to each other.
func (r sideRow) what() string {
	switch {
	case !r.Selected:
		return "not synced"
	case !r.HasRemote && r.ChangedHere:
		return "changed here"
	case !r.HasRemote:
		return ""
	case !r.Differs && (r.ChangedHere || r.ChangedThere):
		return "changed alike"
	case !r.Differs:
		return "same"
	case r.ChangedHere && r.ChangedThere:
		return "changed on both"
	case r.ChangedHere:
		return "changed here"
	case r.ChangedThere:
		return "changed there"
	case r.TwoBases:
		return "kept apart"
	}
	return "different"
}

// color is the badge's.
func (r sideRow) color() string {
	switch {
	case !r.Selected || r.what() == "same" || r.what() == "kept apart":
		return "secondary"
	case !r.Differs:
		return "azure"
	case r.ChangedHere && r.ChangedThere:
		return "red"
	}
	return "orange"
}

// valuesAt gives a side's values by path, metadata leaf by leaf; lists are in order, so that equal ones look equal.
func valuesAt(s *tandem.Shared) map[tandem.Path]json.RawMessage {
	found := map[tandem.Path]json.RawMessage{}
	put := func(f tandem.Field, v any) {
		if s.Known.Has(f) {
			found[tandem.Path(f.String())] = rawOf(v)
		}
	}
	put(tandem.FieldName, s.Name)
	put(tandem.FieldEnabled, s.Enabled)
	put(tandem.FieldHardwareIDs, ordered(s.HardwareIDs))
	put(tandem.FieldTags, ordered(s.Tags))
	put(tandem.FieldBlueprint, s.Blueprint)
	put(tandem.FieldCohort, s.Cohort)
	if s.Known.Has(tandem.FieldMetadata) {
		leaves(tandem.Path(tandem.FieldMetadata.String()), s.Metadata, found)
	}
	return found
}

func ordered(set []string) []string {
	out := append([]string{}, set...)
	slices.Sort(out)
	return out
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901

func leaves(at tandem.Path, v any, into map[tandem.Path]json.RawMessage) {
	m, ok := v.(tandem.Map)
	if !ok {
		if v != nil {
			into[at] = number(v)
		}
		return
	}
	for key, inner := range m {
		leaves(at+tandem.Path("/"+escapePointer.Replace(key)), inner, into)
	}
}

// number writes a value so that 1 and 1.0, which are the same number, look the same.
func number(v any) json.RawMessage {
	if n, ok := v.(json.Number); ok {
		if f, err := n.Float64(); err == nil && f == float64(int64(f)) && len(n) < 16 {
			return rawOf(int64(f))
		}
	}
	return rawOf(v)
}

// pathsOf lists all paths: the fields in their order, then the leaves of metadata.
func pathsOf(all ...map[tandem.Path]json.RawMessage) []tandem.Path {
	var paths []tandem.Path
	for _, one := range all {
		for path := range one {
			paths = append(paths, path)
		}
	}
	slices.SortFunc(paths, func(a, b tandem.Path) int {
		x, _ := a.Field()
		y, _ := b.Field()
		if x != y {
			return int(x) - int(y)
		}
		return strings.Compare(string(a), string(b))
	})
	return slices.Compact(paths)
}

// pathText writes a path as people read it: a leaf of metadata by its own name.
func pathText(p tandem.Path) string {
	if p == "" {
		return "The device"
	}
	field, ok := p.Field()
	if ok && field == tandem.FieldMetadata && p.Pointer() != "" {
		steps := strings.Split(strings.TrimPrefix(p.Pointer(), "/"), "/")
		for i, step := range steps {
			steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		}
		return "Metadata › " + strings.Join(steps, " › ")
	}
	return title(string(p))
}
