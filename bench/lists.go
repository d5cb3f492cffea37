package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// A list is looked at as people do: its first page, then some further ones.
const (
	listFleets = 10 // times the devices of the other cases
	listLooks  = 25
	listPages  = 5
)

// lists measures the list of devices through the API, with each filter and each order that it offers, over a large fleet.
func (b *bench) lists(ctx context.Context, d *databases) (err error) {
	devices, looks := b.devices*listFleets, listLooks
	if b.devices < 1000 {
		looks = 2
	}
	h, err := b.newHouse(ctx, d, devices, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	client := manyConnections(1)
	defer client.CloseIdleConnections()
	var all, firsts []time.Duration
	slowest, which, missed := time.Duration(0), "", 0
	queries := h.queries(devices)
	for _, query := range queries {
		var times []time.Duration
		for look := range looks {
			begin := time.Now()
			if err := fetch(ctx, client, h.url+"/api/v1/devices?limit=50&"+query+"&page="+strconv.Itoa(h.pageOf(query, look)), h.as(0)); err != nil {
				return err
			}
			times = append(times, time.Since(begin))
		}
		first := times[0]
		all, firsts = append(all, times...), append(firsts, first)
		p95 := percentile(times, 95)
		if p95 > 20*time.Millisecond {
			missed++
		}
		if p95 > slowest {
			slowest, which = p95, query
		}
		if b.verbose {
			b.tell("  %-36s p50 %6.1f ms, p95 %6.1f ms, first %6.1f ms, load %.1f", query, percentile(times, 50).Seconds()*1e3, p95.Seconds()*1e3, first.Seconds()*1e3, load())
		}
	}
	b.tell("  the slowest is %s; %d of %d take longer than 20 ms", which, missed, len(queries))
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	what := fmt.Sprintf("device list over %d, %d filters and orders: ", devices, len(queries))
	b.add(Row{ID: "l", Database: d.kind, What: what + "p95 of all", Tandem: ms(percentile(all, 95)), Unit: "ms", Limit: 20})
	b.add(Row{ID: "l", Database: d.kind, What: what + "p95 of the slowest", Tandem: ms(slowest), Unit: "ms", Limit: 20})
	b.add(Row{ID: "l", Database: d.kind, What: what + "first looks, nothing kept yet, p50", Tandem: ms(percentile(firsts, 50)), Unit: "ms"})
	b.add(Row{ID: "l", Database: d.kind, What: what + "first looks, nothing kept yet, p95", Tandem: ms(percentile(firsts, 95)), Unit: "ms"})
	b.add(Row{ID: "l", Database: d.kind, What: "the server's memory then", Tandem: h.memory(), Unit: "MB"})
	return nil
}

// percentile sorts durations and gives the one that so many of a hundred do not exceed.
func percentile(times []time.Duration, of int) time.Duration {
	slices.Sort(times)
	return times[max(0, (len(times)*of+99)/100-1)]
}

// Two lists of which the pages are looked at that are far from the first: in the middle, and at the end.
const (
	deepList = "enabled=true&sort=name"
	lastList = "lifecycle=active&sort=-last_seen"
)

// pageOf gives the page of a look.
func (h *house) pageOf(query string, look int) int {
	pages := max(len(h.devices)*99/100/50, listPages) // of the devices that are enabled and active
	switch query {
	case deepList:
		return max(1, pages/2) + look%listPages
	case lastList:
		return pages - look%listPages
	}
	return 1 + look%listPages
}

// queries are every filter, every order both ways, and some of both together.
func (h *house) queries(devices int) []string {
	rare := fmt.Sprintf("search=pump-%06d", devices*9/10)
	queries := []string{"", "search=mp-0", "search=mp-0123", rare, "search=A0%3AB1%3A0000", "search=nothing-like-it", "status=online", "status=offline", "status=never_seen",
		"device_type=sensor", "lifecycle=active", "lifecycle=maintenance", "tag=north", "tag=rare", "tag=unknown", "blueprint=pump", "blueprint=valve", "cohort=stable", "cohort=canary",
		"enabled=true", "enabled=false", "service=bench", "service=" + h.service + "&sync_status=error", "sync_status=synced", "sync_status=error", "sync_status=pending",
		"not_linked=true", "not_linked=true&service=bench", "tag=north&status=online", "tag=north&status=online&sort=-last_seen", "search=mp-0&enabled=true&blueprint=pump&sort=battery_level",
		"sync_status=error&sort=-updated_at", deepList, lastList}
	for _, order := range []string{"name", "device_id", "last_seen", "battery_level", "created_at", "updated_at"} {
		queries = append(queries, "sort="+order, "sort=-"+order)
	}
	return queries
}
