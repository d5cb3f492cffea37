package simulator

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

func sortDevices(list []*device) {
	slices.SortFunc(list, func(a, b *device) int { return a.id.compare(b.id) })
}

// mostAtOnce bounds the reports played in one go, after a long silence.
const mostAtOnce = 20_000

// live plays what the devices did since the last look: LivePerSecond of them a second
// reported, some connected, updated their firmware or used up battery. No updatedAt moves.
// It is played when somebody looks, so that it needs no goroutine and follows the clock.
func (p *project) live(now time.Time) {
	rate := p.server.options.LivePerSecond
	if rate <= 0 || len(p.order) == 0 || !now.After(p.lived) {
		return
	}
	each := time.Duration(float64(time.Second) / rate)
	if each <= 0 {
		each = 1
	}
	n := int(now.Sub(p.lived) / each)
	if n == 0 {
		return
	}
	if n > mostAtOnce {
		p.lived = now.Add(-each * mostAtOnce)
		n = mostAtOnce
	}
	for range n {
		p.lived = p.lived.Add(each)
		d := p.order[p.random.IntN(len(p.order))]
		if d.enabled {
			p.act(d, p.lived)
		}
	}
}

// lifeTick is how often Live looks.
const lifeTick = 10 * time.Millisecond

// Live plays what the devices do as it happens, until ctx ends, so that their reports go out without anybody looking.
func (s *Server) Live(ctx context.Context) {
	if s.options.LivePerSecond <= 0 {
		return
	}
	tick := time.NewTicker(lifeTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, id := range s.ProjectIDs() {
			p := s.project(id)
			p.lock(s.clock())
			p.mu.Unlock()
		}
	}
}

// act is one thing that a device does at an instant.
func (p *project) act(d *device, at time.Time) {
	nanos := max(at.Truncate(time.Millisecond).UnixNano(), d.lastReport)
	d.lastReport = nanos
	switch p.random.IntN(20) {
	case 0, 1:
		d.online = nanos
		p.tellStatus(d, true, at)
	case 2:
		d.online = nanos
		p.tellStatus(d, true, at)
		p.updateFirmware(d, at)
	case 3, 4, 5, 6:
		p.drain(d)
	}
	p.touch(d)
	p.reportOf(d, at)
}

// updateFirmware moves the main package to the next version, or reports what it runs.
func (p *project) updateFirmware(d *device, at time.Time) {
	next := update{pack: "main", version: fleetVersions[0], at: at.UnixNano()}
	rest := d.updates
	if len(rest) > 0 {
		i := slices.Index(fleetVersions, rest[0].version)
		next.version, next.reason = fleetVersions[min(i+1, len(fleetVersions)-1)], 1
		rest = rest[1:]
	}
	d.updates = append([]update{next}, rest...)
}

// drain takes a percent off the battery; an empty one is replaced.
func (p *project) drain(d *device) {
	doc := p.state(d)
	level, ok := stateAt(doc, []string{"battery"}).(json.Number)
	if !ok {
		return
	}
	n, err := strconv.Atoi(level.String())
	if err != nil {
		return // a console user wrote something else there
	}
	if n--; n < 0 {
		n = 100
	}
	p.setState(d, stateWith(doc, []string{"battery"}, whole(n), true))
}
