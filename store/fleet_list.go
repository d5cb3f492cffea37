package store

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unique"

	"tandem"
)

// fleetFilter is a tandem.DeviceFilter, but for its ids, as a fleet asks it. A handle that is zero asks for nothing.
type fleetFilter struct {
	search                                                         string // folded
	status                                                         tandem.Status
	deviceType, lifecycle, blueprint, cohort, tag, service, linked unique.Handle[string]
	enabled                                                        *bool
	isLinked, notLinked                                            bool
	online                                                         onlineSince
}

// onlineSince is when a device must have been seen last to be online, by the services that have a window of their own.
type onlineSince struct {
	standard int64
	by       map[unique.Handle[string]]int64
}

var unlinkedHandle = unique.Make(string(tandem.SyncUnlinked))

func newOnlineSince(now time.Time, windows map[string]time.Duration) onlineSince {
	since := func(window time.Duration) int64 { at := now.Add(-window); return micros(&at) }
	o := onlineSince{standard: since(tandem.DefaultOnlineWindow), by: make(map[unique.Handle[string]]int64, len(windows))}
	for service, window := range windows {
		o.by[unique.Make(service)] = since(window)
	}
	return o
}

// of gives the instant for one device: the latest, which is the smallest window, of its services.
func (o *onlineSince) of(row *fleetRow) int64 {
	if len(o.by) == 0 {
		return o.standard
	}
	latest := int64(never)
	for _, link := range row.links {
		if link.status == unlinkedHandle {
			continue
		}
		since, own := o.by[link.service]
		if !own {
			since = o.standard
		}
		latest = max(latest, since)
	}
	if latest == never {
		return o.standard
	}
	return latest
}

// status is what Device.StatusAt says.
func (o *onlineSince) status(row *fleetRow) tandem.Status {
	switch {
	case row.lastSeen == never:
		return tandem.NeverSeen
	case row.lastSeen >= o.of(row) && row.offlineAt < row.lastSeen:
		return tandem.Online
	}
	return tandem.Offline
}

// handle gives the handle of a value that is asked for.
func handle(value string) (h unique.Handle[string]) {
	if value != "" {
		h = unique.Make(value)
	}
	return h
}

func newFleetFilter(q tandem.DeviceFilter, now time.Time, windows map[string]time.Duration) *fleetFilter {
	return &fleetFilter{search: fold(q.Search), status: q.Status, deviceType: handle(q.Type), lifecycle: handle(string(q.Lifecycle)),
		blueprint: handle(q.Blueprint), cohort: handle(q.Cohort), tag: handle(q.Tag), enabled: q.Enabled, service: handle(q.ServiceID),
		linked: handle(string(q.SyncStatus)), notLinked: q.NotLinked, isLinked: !q.NotLinked && (q.ServiceID != "" || q.SyncStatus != ""),
		online: newOnlineSince(now, windows)}
}

// asked reports whether a value is the one that is asked for, if any is.
func asked(value, want unique.Handle[string]) bool {
	return want == unique.Handle[string]{} || value == want
}

// has reports whether a device meets all conditions, those that are quick to tell first.
func (q *fleetFilter) has(row *fleetRow) bool {
	return row.live && asked(row.deviceType, q.deviceType) && asked(row.lifecycle, q.lifecycle) && asked(row.blueprint, q.blueprint) && asked(row.cohort, q.cohort) &&
		(q.enabled == nil || row.enabled == *q.enabled) && (q.tag == unique.Handle[string]{} || slices.Contains(row.tags, q.tag)) && q.hasLink(row) &&
		(q.status == "" || q.online.status(row) == q.status) && (q.search == "" || strings.Contains(row.search, q.search))
}

// hasLink tells it of the links, as deviceConditions has them.
func (q *fleetFilter) hasLink(row *fleetRow) bool {
	switch {
	case q.notLinked:
		return !slices.ContainsFunc(row.links, func(l fleetLink) bool { return asked(l.service, q.service) })
	case q.isLinked:
		return slices.ContainsFunc(row.links, func(l fleetLink) bool {
			return asked(l.service, q.service) && asked(l.status, q.linked) && (q.linked != unique.Handle[string]{} || l.status != unlinkedHandle)
		})
	}
	return true
}

// list gives the ids of a page of the matches in an order of deviceOrders, and the number of all matches.
func (f *fleet) list(q *fleetFilter, sort string, offset, limit int) (ids []string, total int) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	column, down := strings.CutPrefix(sort, "-")
	var page []int32
	switch column {
	case "", "name":
		page, total = f.walk(f.byName, q, down, offset, limit)
	case "device_id":
		page, total = f.walk(f.byDeviceID, q, down, offset, limit)
	default:
		page, total = f.sorted(q, fleetKeys[column], down, offset, limit)
	}
	ids = make([]string, len(page))
	for i, slot := range page {
		ids[i] = f.rows[slot].id
	}
	return ids, total
}

// walk goes through an order that is kept.
func (f *fleet) walk(order []int32, q *fleetFilter, down bool, offset, limit int) (page []int32, total int) {
	for i := range order {
		slot := order[i]
		if down {
			slot = order[len(order)-1-i]
		}
		if !q.has(&f.rows[slot]) {
			continue
		}
		if total >= offset && len(page) < limit {
			page = append(page, slot)
		}
		total++
	}
	return page, total
}

// fleetKeys are what the other orders go by; equals go by their ids.
var fleetKeys = map[string]func(row *fleetRow) int64{
	"last_seen": func(row *fleetRow) int64 { return row.lastSeen }, "battery_level": func(row *fleetRow) int64 { return row.battery },
	"created_at": func(row *fleetRow) int64 { return row.createdAt }, "updated_at": func(row *fleetRow) int64 { return row.updatedAt },
}

// fleetKey is a match with what it is sorted by.
type fleetKey struct {
	key  int64
	slot int32
}

// sorted puts only that part of the matches in order which the page shows: of the others it keeps no more than come before
// the page's end as far as it has seen them.
func (f *fleet) sorted(q *fleetFilter, key func(row *fleetRow) int64, down bool, offset, limit int) (page []int32, total int) {
	end, atLeast := offset+limit, 512
	compare := func(a, b fleetKey) int {
		if down {
			return cmp.Or(cmp.Compare(a.key, b.key), strings.Compare(f.rows[b.slot].id, f.rows[a.slot].id))
		}
		return cmp.Or(cmp.Compare(a.key, b.key), strings.Compare(f.rows[a.slot].id, f.rows[b.slot].id))
	}
	var kept []fleetKey
	full, last := false, fleetKey{}
	for slot := range f.rows {
		row := &f.rows[slot]
		if !q.has(row) {
			continue
		}
		total++
		one := fleetKey{key(row), int32(slot)}
		if down {
			one.key = ^one.key // the last is the first
		}
		if full && (one.key > last.key || compare(one, last) > 0) {
			continue
		}
		kept = append(kept, one)
		if len(kept) >= 2*max(end, atLeast) {
			settle(kept, end-1, end, compare)
			kept, full, last = kept[:end], true, kept[end-1]
		}
	}
	from, to := min(offset, len(kept)), min(end, len(kept))
	settle(kept, from, to, compare)
	for _, one := range kept[from:to] {
		page = append(page, one.slot)
	}
	return page, total
}

// settle puts what belongs at the places from to to there, in order; what is before and after them is in none. No two are
// equal.
func settle(all []fleetKey, from, to int, compare func(a, b fleetKey) int) {
	const few = 48
	for from < to && len(all) > few {
		pivot := all[middle(all, compare)]
		left, right := 0, len(all)-1
		for left <= right { // before left are those below the pivot, after right those above
			for compare(all[left], pivot) < 0 {
				left++
			}
			for compare(all[right], pivot) > 0 {
				right--
			}
			if left <= right {
				all[left], all[right] = all[right], all[left]
				left, right = left+1, right-1
			}
		}
		if from <= right {
			settle(all[:right+1], from, min(to, right+1), compare)
		}
		from, to, all = max(from-left, 0), to-left, all[left:]
	}
	if from < to {
		slices.SortFunc(all, compare)
	}
}

// middle gives the place of one that is likely to have as many before as after it.
func middle(all []fleetKey, compare func(a, b fleetKey) int) int {
	const spread = 9
	var places [spread]int
	for i := range places {
		places[i] = i * (len(all) - 1) / (spread - 1)
	}
	slices.SortFunc(places[:], func(a, b int) int { return compare(all[a], all[b]) })
	return places[spread/2]
}

// statuses counts the devices by status.
func (f *fleet) statuses(online onlineSince) (devices int, by map[tandem.Status]int) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	by = map[tandem.Status]int{}
	for slot := range f.rows {
		if row := &f.rows[slot]; row.live {
			devices++
			by[online.status(row)]++
		}
	}
	return devices, by
}

// facets gives the most used values of each kind.
func (f *fleet) facets() tandem.DeviceFacets {
	f.mu.RLock()
	defer f.mu.RUnlock()
	types, tags, blueprints, cohorts := uses{}, uses{}, uses{}, uses{}
	for slot := range f.rows {
		row := &f.rows[slot]
		if !row.live {
			continue
		}
		types[row.deviceType]++
		blueprints[row.blueprint]++
		cohorts[row.cohort]++
		for _, tag := range row.tags {
			tags[tag]++
		}
	}
	return tandem.DeviceFacets{Types: types.most(), Tags: tags.most(), Blueprints: blueprints.most(), Cohorts: cohorts.most()}
}

// uses counts values.
type uses map[unique.Handle[string]]int

// most gives the most used ones but "", in their order.
func (u uses) most() []string {
	all := make([]string, 0, len(u))
	for value := range u {
		if value.Value() != "" {
			all = append(all, value.Value())
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(u[unique.Make(b)], u[unique.Make(a)]), strings.Compare(a, b))
	})
	all = all[:min(len(all), facetsOfEach)]
	slices.Sort(all)
	return all
}
