package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"tandem"
	"tandem/merge"
	"tandem/registry"
)

// DeviceShowCmd is `tandem device show`.
type DeviceShowCmd struct {
	In
	Device string `arg:"" help:"Its id, device_id or name."`
}

// history is how many entries are shown.
const history = 15

// Run shows everything about one device.
func (c *DeviceShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		d, err := s.Device(ctx, org.ID, c.Device)
		if err != nil {
			return err
		}
		sides, err := s.CompareDevice(ctx, org.ID, d.ID)
		if err != nil {
			return err
		}
		conflicts, _, err := s.Conflicts(ctx, org.ID, tandem.ConflictFilter{DeviceIDs: []string{d.ID}, Page: tandem.Page{Number: 1, Limit: 100}})
		if err != nil {
			return err
		}
		entries, err := recentEntries(ctx, s, org.ID, d.ID)
		if err != nil {
			return err
		}
		if a.out.json {
			d.Whole()
			return a.out.value(deviceJSON(s, &d, sides, conflicts, entries))
		}
		a.showDevice(&d)
		for i := range sides {
			a.showComparison(&sides[i])
		}
		if len(sides) == 0 {
			a.out.printf("\nnot linked to any service\n")
		}
		a.showDeviceConflicts(conflicts)
		a.showHistory(entries)
		return nil
	})
}

// recentEntries reads the newest entries of a device, the oldest of them first.
func recentEntries(ctx context.Context, s *desk, org, device string) ([]tandem.Entry, error) {
	entries, _, err := s.Entries(ctx, org, tandem.EntryFilter{DeviceID: device, Newest: true, Page: tandem.Page{Number: 1, Limit: history}})
	slices.Reverse(entries)
	return entries, err
}

// comparisonJSON is one service's part of the JSON.
type comparisonJSON struct {
	Service     string            `json:"service"`
	Assignment  tandem.Assignment `json:"assignment"`
	Base        tandem.Base       `json:"base"`
	Local       tandem.Shared     `json:"local"`
	Remote      *tandem.Shared    `json:"remote"`
	RemoteError string            `json:"remote_error,omitempty"`
	Differs     []tandem.Path     `json:"differs"`
}

func deviceJSON(s *desk, d *tandem.Device, sides []tandem.Comparison, conflicts []tandem.Conflict, entries []tandem.Entry) any {
	compared := []comparisonJSON{}
	for i := range sides {
		c := &sides[i]
		j := comparisonJSON{Service: c.Service.Name, Assignment: c.Assignment, Base: c.Base, Local: c.Local, Remote: c.Remote, Differs: []tandem.Path{}}
		if c.RemoteError != nil {
			j.RemoteError = c.RemoteError.Error()
		}
		for _, row := range compareRows(c) {
			if row.differs {
				j.Differs = append(j.Differs, row.path)
			}
		}
		compared = append(compared, j)
	}
	if conflicts == nil {
		conflicts = []tandem.Conflict{}
	}
	if entries == nil {
		entries = []tandem.Entry{}
	}
	return struct {
		tandem.Device
		Status      tandem.Status     `json:"status"`
		Comparisons []comparisonJSON  `json:"comparisons"`
		Conflicts   []tandem.Conflict `json:"conflicts"`
		History     []tandem.Entry    `json:"history"`
	}{*d, d.StatusAt(s.Clock(), tandem.DefaultOnlineWindow), compared, conflicts, entries}
}

func (a *app) showDevice(d *tandem.Device) {
	a.out.printf("%s\n", a.out.bold(clean(d.Name)))
	location := ""
	if d.Location != nil {
		location = fmt.Sprintf("%.5f, %.5f", d.Location.Latitude, d.Location.Longitude)
	}
	level := ""
	if d.BatteryLevel != nil {
		level = battery(d.BatteryLevel) + ", " + a.out.ago(d.BatteryAt)
	}
	a.out.pairs("device_id", clean(d.DeviceID), "id", d.ID, "type", clean(d.DeviceType), "lifecycle", string(d.Lifecycle),
		"status", string(d.StatusAt(a.Clock(), tandem.DefaultOnlineWindow))+", last seen "+a.out.ago(d.LastSeen),
		"battery", level, "location", location, "firmware", clean(registry.FirmwareText(d.Firmware)),
		"notes", clean(d.Notes), "changed", a.out.since(d.UpdatedAt))
}

// compared is one row of three values.
type compared struct {
	path                tandem.Path
	local, base, remote any
	remoteKnown         bool
	differs             bool // local and remote
}

// compareRows puts the three sides beside each other: field by field, metadata leaf by leaf.
func compareRows(c *tandem.Comparison) []compared {
	var rows []compared
	add := func(path tandem.Path) {
		row := compared{path: path}
		row.local, _ = merge.Value(c.Local, path)
		row.base, _ = merge.Value(c.Base.Local, path)
		if field, ok := path.Field(); c.Remote != nil && ok && c.Remote.Known.Has(field) {
			row.remoteKnown = true
			row.remote, _ = merge.Value(*c.Remote, path)
			row.differs = !merge.Equal(row.local, row.remote)
		}
		rows = append(rows, row)
	}
	for field := tandem.FieldName; field < tandem.FieldMetadata; field++ {
		add(tandem.Path(field.String()))
	}
	paths := map[tandem.Path]bool{}
	leafPaths("metadata", c.Local.Metadata, paths)
	leafPaths("metadata", c.Base.Local.Metadata, paths)
	if c.Remote != nil {
		leafPaths("metadata", c.Remote.Metadata, paths)
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		add(path)
	}
	return rows
}

// leafPaths collects the paths of a map's leaves.
func leafPaths(at tandem.Path, m tandem.Map, into map[tandem.Path]bool) {
	for key, v := range m {
		path := at + tandem.Path("/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
		if inner, ok := v.(tandem.Map); ok {
			leafPaths(path, inner, into)
		} else if v != nil {
			into[path] = true
		}
	}
}

func (a *app) showComparison(c *tandem.Comparison) {
	a.out.printf("\n%s  %s, %s, last sync %s\n", a.out.bold("on "+clean(c.Service.Name)), clean(c.Assignment.ExternalDeviceID),
		c.Assignment.Status, a.out.ago(c.Assignment.LastSync))
	if c.Assignment.Error != "" {
		a.out.printf("%s\n", a.out.paint(text.FgRed, "last error: "+clean(c.Assignment.Error)))
	}
	if c.RemoteError != nil {
		a.out.printf("the remote side could not be read: %s\n", clean(c.RemoteError.Error()))
	}
	var rows [][]string
	for _, r := range compareRows(c) {
		mark, remote := "", "?"
		if r.remoteKnown {
			remote = short(valueText(r.remote), 40)
		}
		if r.differs {
			mark = a.out.paint(text.FgYellow, "≠")
		}
		rows = append(rows, []string{mark, short(string(r.path), 40), short(valueText(r.local), 40), short(valueText(r.base), 40), remote})
	}
	a.out.table([]string{"", "field", "local", "base", "remote"}, rows)
}

func (a *app) showDeviceConflicts(conflicts []tandem.Conflict) {
	if len(conflicts) == 0 {
		return
	}
	a.out.printf("\n%s\n", a.out.bold(count(len(conflicts), "open conflict", "open conflicts")))
	for i := range conflicts {
		c := &conflicts[i]
		a.out.printf("  %s  %s %s: local %s, remote %s\n", c.ID, c.Type, dash(string(c.FieldName)), short(valueText(c.LocalValue), 40), short(valueText(c.RemoteValue), 40))
	}
	a.out.printf("  %s\n", a.out.dim("settle one: tandem conflicts resolve "+conflicts[0].ID+" --take local|remote"))
}

func (a *app) showHistory(entries []tandem.Entry) {
	if len(entries) == 0 {
		return
	}
	a.out.printf("\n%s\n", a.out.bold("history, newest first"))
	rows := make([][]string, 0, len(entries))
	for i := len(entries) - 1; i >= 0; i-- {
		e := &entries[i]
		rows = append(rows, []string{a.out.since(e.CreatedAt), string(e.Side), string(e.Action), dash(string(e.Path)),
			short(valueText(e.Before), 30), short(valueText(e.After), 30), string(e.Outcome)})
	}
	a.out.table([]string{"when", "side", "action", "field", "before", "after", "outcome"}, rows)
}
