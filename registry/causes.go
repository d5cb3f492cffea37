package registry

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"tandem"
)

// causesRead bounds how many entries of a run are grouped.
const causesRead = 200_000

// EntryGroups groups what a run did not get done by its cause, the most first: texts that differ in names, ids and
// numbers alone are one.
func (r *Registry) EntryGroups(ctx context.Context, actor Actor, org, run string) ([]tandem.EntryGroup, error) {
	if err := actor.may(org, ReadRuns); err != nil {
		return nil, err
	}
	if _, err := r.Store.Run(ctx, org, run); err != nil {
		return nil, err
	}
	c := causes{of: map[cause]*group{}}
	if err := r.Server.UndoneEntries(ctx, org, run, causesRead, c.add); err != nil {
		return nil, err
	}
	return c.list(), nil
}

// cause is what entries are grouped by.
type cause struct {
	outcome tandem.EntryOutcome
	code    tandem.Code
	action  tandem.Action
	text    string // without what differs from device to device
	hint    string
}

// group is an EntryGroup as it grows. It shows the first text as it is while no other one is in the group.
type group struct {
	tandem.EntryGroup
	first string
	many  bool
	seen  map[tandem.EntryDevice]bool
}

// causes are the groups, in the order of their first entries.
type causes struct {
	of    map[cause]*group
	order []*group
}

// shownDevices is how many devices a group names.
const shownDevices = 5

func (c *causes) add(e *tandem.Entry) {
	text, hint := e.Note, ""
	if e.Error != "" {
		for _, thing := range []string{e.DeviceName, e.ExternalDeviceID, e.DeviceID} {
			e.Error = strings.TrimPrefix(e.Error, thing+": ")
		}
		text, hint, _ = strings.Cut(e.Error, "; ") // an error's text ends with what to do
	}
	key := cause{e.Outcome, e.Code, e.Action, general(text, e), cmp.Or(general(hint, e), causeHint(e.Outcome, e.Code))}
	g := c.of[key]
	if g == nil {
		g = &group{EntryGroup: tandem.EntryGroup{Outcome: e.Outcome, Code: e.Code, Error: key.text, Action: e.Action, Hint: key.hint, Devices: []tandem.EntryDevice{}},
			first: text, seen: map[tandem.EntryDevice]bool{}}
		c.of[key], c.order = g, append(c.order, g)
	}
	g.Count++
	g.many = g.many || text != g.first
	device := tandem.EntryDevice{DeviceID: e.DeviceID, DeviceName: e.DeviceName, ExternalDeviceID: e.ExternalDeviceID}
	if len(g.Devices) < shownDevices && device != (tandem.EntryDevice{}) && !g.seen[device] {
		g.seen[device], g.Devices = true, append(g.Devices, device)
	}
}

func (c *causes) list() []tandem.EntryGroup {
	slices.SortStableFunc(c.order, func(a, b *group) int { return cmp.Compare(b.Count, a.Count) })
	list := make([]tandem.EntryGroup, len(c.order))
	for i, g := range c.order {
		if !g.many {
			g.Error = g.first
		}
		list[i] = g.EntryGroup
	}
	return list
}

// particular are the parts of a text that tell one thing from another of its kind: what is quoted, ids, numbers.
var particular = regexp.MustCompile("\"[^\"]*\"|`[^`]*`" + `|\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b|\b[0-9a-fA-F]{12,}\b|\d+(?:[.:]\d+)*`)

// general gives a text without the names of the device, and without ids and numbers.
func general(text string, e *tandem.Entry) string {
	for _, name := range []string{e.ExternalDeviceID, e.DeviceID, e.DeviceName} {
		if len(name) > 2 { // a shorter one would be found inside words
			text = strings.ReplaceAll(text, name, "…")
		}
	}
	return particular.ReplaceAllString(text, "…")
}

// causeHint says what a person can do about entries that did not get done.
func causeHint(outcome tandem.EntryOutcome, code tandem.Code) string {
	switch outcome {
	case tandem.OutcomePending:
		return "settle the conflicts of these devices; the next run does what was decided"
	case tandem.OutcomeHeld:
		return "look at what the run holds back: let it through if it is meant, or change the guard, the direction or the field's setting"
	case tandem.OutcomeMoved:
		return "these devices were edited while they were synced; the next run takes them"
	case tandem.OutcomeDone, tandem.OutcomeFailed:
	}
	return codeHints[code]
}

// codeHints say what to do about a failure of a code.
var codeHints = map[tandem.Code]string{
	tandem.Invalid:      "the value is not accepted; change it on the side that it comes from",
	tandem.NotFound:     "the device is gone there; look whether it was deleted, then unlink it or let a full sync find out",
	tandem.Exists:       "the name or a hardware id is taken by another device; give one of them another, or link the one that is there",
	tandem.Stale:        "it was changed meanwhile; the next run reads it again",
	tandem.Unauthorized: "the service's key is refused; give the service a new key",
	tandem.Forbidden:    "the service's key may not do this; give the service a key that may",
	tandem.RateLimited:  "the service was asked too often; lower its requests per minute, or wait for the next run",
	tandem.Unavailable:  "the service was away or failing; the next run tries again",
	tandem.Timeout:      "the service did not answer in time; the next run looks what became of it",
	tandem.Malformed:    "the service's answer could not be read; look at the device there, and report it if it looks right",
	tandem.Mismatch:     "the key leads to another project than before; confirm the project or put the old key back",
	tandem.Busy:         "another write to the device is under way; the next run takes it",
	tandem.LeaseLost:    "another process took the run over; look at the newer run of this service",
	tandem.Blocked:      "a guard or an approval holds it; let it through or discard it",
	tandem.DiskFull:     "the server's disk is full; make room, then run again",
	tandem.KeyLost:      "the stored key cannot be opened; give the service its key again",
	tandem.Corrupt:      "a stored value is damaged; ask whoever runs the server to look at its log",
	tandem.Internal:     "this is a fault of the program; ask whoever runs the server to look at its log",
}
