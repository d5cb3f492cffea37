package store

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unique"

	"tandem"
)

// A fleet is what a listing of devices filters and sorts by, of all live devices of one organization, in memory. A walk
// through a hundred thousand of them takes a few milliseconds, whatever is asked for, where the same through the tables
// takes up to a second (docs/decisions/0026). What a page shows is read from the tables.
//
// fleet_list.go asks it, fleet_read.go fills it, and fleets.go keeps it true.
type fleet struct {
	org string

	mu         sync.RWMutex
	rows       []fleetRow // in about the order of their names; some are free
	at         map[string]int32
	free       []int32
	byName     []int32
	byDeviceID []int32

	keeping keeping
}

// fleetRow is one device. A free one is not live.
type fleetRow struct {
	id, name, deviceID, deviceIDFolded, search           string // name is folded
	deviceType, lifecycle, blueprint, cohort             unique.Handle[string]
	tags                                                 []unique.Handle[string]
	links                                                []fleetLink
	lastSeen, offlineAt, batteryAt, createdAt, updatedAt int64 // microseconds since 1970, or never
	battery                                              int64 // as ordinal has it, or never
	enabled, live                                        bool
}

// fleetLink is a device's assignment.
type fleetLink struct{ service, status unique.Handle[string] }

// never stands for NULL, which comes before everything.
const never = math.MinInt64

// micros gives an instant as the databases keep it.
func micros(t *time.Time) int64 {
	if t == nil {
		return never
	}
	return t.UTC().Round(time.Microsecond).UnixMicro()
}

// ordinal gives a number that is in order as v is.
func ordinal(v float64) int64 {
	bits := int64(math.Float64bits(v + 0)) // there is one zero
	if bits < 0 {
		bits ^= math.MaxInt64
	}
	return bits
}

// compareNames and compareDeviceIDs are the orders that are kept, as the indexes have them.
func (f *fleet) compareNames(a, b int32) int {
	x, y := &f.rows[a], &f.rows[b]
	return cmp.Or(strings.Compare(x.name, y.name), strings.Compare(x.id, y.id))
}

func (f *fleet) compareDeviceIDs(a, b int32) int {
	x, y := &f.rows[a], &f.rows[b]
	return cmp.Or(strings.Compare(x.deviceIDFolded, y.deviceIDFolded), strings.Compare(x.deviceID, y.deviceID))
}

// newFleet makes one of rows.
func newFleet(org string, rows []fleetRow) *fleet {
	f := &fleet{org: org, rows: rows}
	slices.SortFunc(f.rows, func(a, b fleetRow) int { return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.id, b.id)) })
	f.at = make(map[string]int32, len(rows))
	f.byName, f.byDeviceID = make([]int32, len(rows)), make([]int32, len(rows))
	for i := range f.rows {
		f.at[f.rows[i].id] = int32(i)
		f.byName[i], f.byDeviceID[i] = int32(i), int32(i)
	}
	slices.SortFunc(f.byDeviceID, f.compareDeviceIDs)
	return f
}

// become takes over what another one of the same organization knows.
func (f *fleet) become(other *fleet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows, f.at, f.free, f.byName, f.byDeviceID = other.rows, other.at, other.free, other.byName, other.byDeviceID
}

// put brings some devices up to date: those of found are live, the others of ids are not.
func (f *fleet) put(ids []string, found []fleetRow) {
	rows := make(map[string]*fleetRow, len(found))
	for i := range found {
		rows[found[i].id] = &found[i]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	moved := make([]bool, len(f.rows), len(f.rows)+len(found)) // which have another place in the orders
	some := false
	for _, id := range ids {
		slot, there := f.at[id]
		row, live := rows[id]
		switch {
		case there && !live:
			f.rows[slot] = fleetRow{}
			f.free = append(f.free, slot)
			delete(f.at, id)
			moved[slot], some = true, true
		case there:
			was := &f.rows[slot]
			if was.name != row.name || was.deviceID != row.deviceID {
				moved[slot], some = true, true
			}
			f.rows[slot] = *row
		case live:
			if n := len(f.free); n > 0 {
				slot, f.free = f.free[n-1], f.free[:n-1]
			} else {
				slot = int32(len(f.rows))
				f.rows, moved = append(f.rows, fleetRow{}), append(moved, false)
			}
			f.rows[slot], f.at[id] = *row, slot
			moved[slot], some = true, true
		}
	}
	if some {
		f.byName = f.reordered(f.byName, moved, f.compareNames)
		f.byDeviceID = f.reordered(f.byDeviceID, moved, f.compareDeviceIDs)
	}
}

// reordered gives an order in which the moved rows stand where they belong.
func (f *fleet) reordered(order []int32, moved []bool, compare func(a, b int32) int) []int32 {
	var anew []int32
	for slot, is := range moved {
		if is && f.rows[slot].live {
			anew = append(anew, int32(slot))
		}
	}
	slices.SortFunc(anew, compare)
	merged := make([]int32, 0, len(order)+len(anew))
	for _, slot := range order {
		if moved[slot] {
			continue
		}
		for len(anew) > 0 && compare(anew[0], slot) < 0 {
			merged, anew = append(merged, anew[0]), anew[1:]
		}
		merged = append(merged, slot)
	}
	return append(merged, anew...)
}

// fleetObserved is what a report says that a fleet has.
type fleetObserved struct {
	device                                  string
	lastSeen, offlineAt, batteryAt, battery int64
}

func newFleetObserved(o *tandem.Observation) fleetObserved {
	said := o.Observed
	dateObserved(&said)
	observed := fleetObserved{o.DeviceID, micros(said.LastSeen), micros(said.OfflineAt), micros(said.BatteryAt), never}
	if said.BatteryLevel != nil {
		observed.battery = ordinal(*said.BatteryLevel)
	}
	return observed
}

// observe keeps the newer of each value that was reported (S5), as the tables do.
func (f *fleet) observe(all []fleetObserved) {
	if len(all) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range all {
		o := &all[i]
		slot, there := f.at[o.device]
		if !there {
			continue
		}
		row := &f.rows[slot]
		row.lastSeen, row.offlineAt = max(row.lastSeen, o.lastSeen), max(row.offlineAt, o.offlineAt)
		if o.batteryAt > row.batteryAt {
			row.batteryAt, row.battery = o.batteryAt, o.battery
		}
	}
}
