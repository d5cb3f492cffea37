package simtest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tandem"
)

// scene is a small world at rest that keeps every law: one linked device whose name went here → there, and
// whose metadata leaf went there → here.
func scene() *picture {
	raw := func(v any) json.RawMessage { return json.RawMessage(text(v)) }
	device := func() facts {
		return facts{itself: here, "name": `"new"`, "enabled": "true", "hardware_ids/H1": present, "tags/roof": present, "metadata/site": `"north"`}
	}
	first := facts{itself: here, "name": `"old"`, "enabled": "true", "hardware_ids/H1": present, "metadata/site": `"south"`}
	l := newLedger()
	l.note(tandem.RemoteSide, "r1", person, nil, first)
	l.note(tandem.LocalSide, "d1", person, facts{"name": `"old"`}, facts{"name": `"new"`})
	l.note(tandem.RemoteSide, "r1", program, facts{"name": `"old"`}, facts{"name": `"new"`})
	l.note(tandem.RemoteSide, "r1", person, facts{"metadata/site": `"south"`}, facts{"metadata/site": `"north"`, "tags/roof": present})
	created := tandem.Shared{Known: tandem.SharedFields, Name: "old", Enabled: true, HardwareIDs: []string{"H1"}, Metadata: tandem.Map{"site": "south"}}
	entry := func(side tandem.Side, action tandem.Action, path tandem.Path, before, after any) tandem.Entry {
		return tandem.Entry{Change: tandem.Change{Side: side, Action: action, DeviceID: "d1", ExternalDeviceID: "r1", Path: path,
			Before: raw(before), After: raw(after)}, Outcome: tandem.OutcomeDone}
	}
	return &picture{
		direction: tandem.Bidirectional, createLocal: true, onRemoteDelete: tandem.UnlinkLocal, metadata: true, taken: time.Unix(0, 0),
		local:     map[string]localDevice{"d1": {facts: device(), name: "new", external: "r1", lifecycle: tandem.Active}},
		remote:    map[string]facts{"r1": device()},
		notLinked: map[string]bool{}, mutations: l.mutations(),
		entries: []tandem.Entry{
			entry(tandem.LocalSide, tandem.ActCreate, itself, nil, created),
			entry(tandem.RemoteSide, tandem.ActUpdate, "name", "old", "new"),
			entry(tandem.LocalSide, tandem.ActUpdate, "metadata/site", "south", "north"),
			entry(tandem.LocalSide, tandem.ActUpdate, "tags", []string{}, []string{"roof"}),
		},
	}
}

func TestTheLawsHoldOfASoundWorld(t *testing.T) {
	if wrong := check(scene()); len(wrong) > 0 {
		t.Errorf("a sound world breaks laws:\n%s", strings.Join(wrong, "\n"))
	}
}

// TestTheLawsFindWhatIsWrong damages the sound world in one place each, and wants the law that says so.
func TestTheLawsFindWhatIsWrong(t *testing.T) {
	put := func(p *picture, side string, path tandem.Path, value string) {
		to := p.local["d1"].facts
		if side == "there" {
			to = p.remote["r1"]
		}
		if value == "" {
			delete(to, path)
		} else {
			to[path] = value
		}
	}
	change := func(p *picture, by who, path tandem.Path, before, after string) {
		p.mutations = append(p.mutations, mutation{edge: edge{path, before, after}, At: len(p.mutations), Side: tandem.RemoteSide, Device: "r1", By: by})
	}
	tests := []struct {
		name string
		do   func(p *picture)
		law  string
	}{
		{"S1 an edit there never came here", func(p *picture) {
			change(p, person, "name", `"new"`, `"newer"`)
			put(p, "there", "name", `"newer"`)
		}, "both sides agree"},
		{"S1 an edit there was overwritten without a word", func(p *picture) {
			change(p, person, "name", `"new"`, `"theirs"`)
			change(p, program, "name", `"theirs"`, `"new"`)
			e := p.entries[1]
			e.Before, e.After = json.RawMessage(`"theirs"`), json.RawMessage(`"new"`)
			p.entries = append(p.entries, e)
		}, "no edit is lost"},
		{"S8 an edit here was overwritten without a conflict", func(p *picture) {
			p.mutations = append(p.mutations, mutation{edge: edge{"metadata/site", `"north"`, `"mine"`}, Side: tandem.LocalSide, Device: "d1", By: person})
			e := p.entries[2]
			e.Before, e.After = json.RawMessage(`"mine"`), json.RawMessage(`"north"`)
			p.entries = append(p.entries, e)
		}, "no edit is lost"},
		{"an old value came back on both sides", func(p *picture) {
			change(p, program, "name", `"new"`, `"old"`)
			put(p, "here", "name", `"old"`)
			put(p, "there", "name", `"old"`)
		}, "what both sides hold"},
		{"S2 an element that nobody took out is gone", func(p *picture) {
			put(p, "here", "tags/roof", "")
			put(p, "there", "tags/roof", "")
		}, "what both sides hold"},
		{"S2 an element that was taken out is back", func(p *picture) { change(p, person, "tags/roof", present, "") }, "what both sides hold"},
		{"S24 an entry claims a write that never was", func(p *picture) {
			e := p.entries[1]
			e.Path, e.Before, e.After = "enabled", json.RawMessage("true"), json.RawMessage("false")
			p.entries = append(p.entries, e)
		}, "no change untold on the remote"},
		{"S24 an entry claims the same write twice", func(p *picture) { p.entries = append(p.entries, p.entries[1]) }, "no change untold on the remote"},
		{"a write there has no entry", func(p *picture) { p.entries = append(p.entries[:1], p.entries[2:]...) }, "no change untold on the remote"},
		{"a change here has no entry", func(p *picture) { p.entries = append(p.entries[:2], p.entries[3:]...) }, "no change untold here"},
		{"an entry claims a change here that never was", func(p *picture) { p.entries = append(p.entries, p.entries[2]) }, "no change untold here"},
		{"S9 an open conflict shows an old value", func(p *picture) {
			p.conflicts = []tandem.Conflict{{ID: "c", DeviceID: "d1", ExternalDeviceID: "r1", FieldName: "name", Status: tandem.ConflictPending,
				LocalValue: json.RawMessage(`"new"`), RemoteValue: json.RawMessage(`"old"`)}}
		}, "an open conflict shows"},
		{"S14 two remote devices were made for one", func(p *picture) {
			for _, x := range []string{"r2", "r3"} {
				p.mutations = append(p.mutations, mutation{edge: edge{itself, "", here}, Side: tandem.RemoteSide, Device: x, By: program})
				p.entries = append(p.entries, tandem.Entry{Change: tandem.Change{Side: tandem.RemoteSide, Action: tandem.ActCreate, DeviceID: "d1", ExternalDeviceID: x}, Outcome: tandem.OutcomeDone})
			}
		}, "no device exists twice"},
		{"S12 two devices are linked to one", func(p *picture) {
			p.local["d2"] = localDevice{facts: facts{itself: here}, external: "r1"}
		}, "no device exists twice"},
		{"S13 a remote device was not let in", func(p *picture) { p.remote["r9"] = facts{itself: here, "name": `"stray"`} }, "creations follow"},
		{"S17 a device that was deleted here is back", func(p *picture) {
			p.mutations = append(p.mutations, mutation{edge: edge{itself, here, gone}, Side: tandem.LocalSide, Device: "d1", By: person})
		}, "deletions follow"},
		{"S15 a remote device was deleted for nothing", func(p *picture) {
			change(p, program, itself, here, gone)
			delete(p.remote, "r1")
		}, "deletions follow"},
		{"S16 an unlinked device whose twin is there", func(p *picture) {
			d := p.local["d1"]
			d.unlinked = true
			p.local["d1"] = d
		}, "deletions follow"},
		{"S24 an intent is left open", func(p *picture) { p.intents = []tandem.Intent{{ID: "i"}} }, "nothing is left open"},
		{"S24 a dead run is still running", func(p *picture) {
			p.taken = time.Unix(100, 0)
			p.runs = []tandem.Run{{ID: "r", Status: tandem.RunRunning}}
		}, "nothing is left open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := scene()
			tt.do(p)
			wrong := check(p)
			for _, w := range wrong {
				if strings.Contains(w, tt.law) {
					return
				}
			}
			t.Errorf("nothing says %q; what is said: %q", tt.law, wrong)
		})
	}
}

// TestS23TheWindowIsLeftOut: a person's value between the engine's fresh read and its write is the one loss that is admitted.
func TestS23TheWindowIsLeftOut(t *testing.T) {
	l := newLedger()
	l.note(tandem.RemoteSide, "r1", person, nil, facts{itself: here, "name": `"a"`})
	l.reading("r1", l.now())
	l.note(tandem.RemoteSide, "r1", person, facts{"name": `"a"`}, facts{"name": `"b"`})
	l.note(tandem.RemoteSide, "r1", program, facts{"name": `"b"`}, facts{"name": `"c"`})
	if m := l.mutations(); !m[2].Raced || m[0].Raced {
		t.Errorf("raced: %v and %v, want the one after the reading alone", m[2].Raced, m[0].Raced)
	}
	l = newLedger()
	l.note(tandem.RemoteSide, "r1", person, nil, facts{"name": `"a"`})
	l.note(tandem.RemoteSide, "r1", person, facts{"name": `"a"`}, facts{"name": `"b"`})
	l.reading("r1", l.now())
	l.note(tandem.RemoteSide, "r1", program, facts{"name": `"b"`}, facts{"name": `"c"`})
	for _, m := range l.mutations() {
		if m.Raced {
			t.Errorf("%v was read before it was overwritten, and counts as raced", m)
		}
	}
}

// TestS27TemporaryNamesAreOneRename: what went through a temporary name is one change for the laws.
func TestS27TemporaryNamesAreOneRename(t *testing.T) {
	parked := facts{"name": `"tandem-renaming-d1"`}
	l := newLedger()
	l.note(tandem.RemoteSide, "r1", program, facts{"name": `"a"`}, parked)
	l.note(tandem.RemoteSide, "r2", program, facts{"name": `"b"`}, facts{"name": `"a"`})
	l.note(tandem.RemoteSide, "r1", program, parked, facts{"name": `"b"`})
	got := withoutTemporary(l.mutations())
	if len(got) != 2 || got[0].edge != (edge{"name", `"a"`, `"b"`}) || got[1].edge != (edge{"name", `"b"`, `"a"`}) {
		t.Errorf("got %v", got)
	}
}
