package syncer

import (
	"context"
	"slices"
	"time"

	"tandem"
	"tandem/merge"
)

// flapping explains a paused field to a person (S25).
const flapping = "both sides keep changing this value back: it went to and fro twice within a day, so it is paused until you settle it; look for a program or another service that writes it"

// flapWindow is within what time a value going to and fro counts as the same quarrel.
const flapWindow = 24 * time.Hour

// pauseFlapping finds the edits that would undo an undoing for the second time, over any of the
// device's services, and pauses their fields alone (S25).
func (r *run) pauseFlapping(ctx context.Context, decided []decision) error {
	if r.req.Force {
		return nil
	}
	var ids []string
	for i := range decided {
		if len(decided[i].local)+len(decided[i].send) > 0 {
			ids = append(ids, decided[i].linked.Device.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	recent, err := r.e.Store.RecentChanges(ctx, r.org, ids, 4)
	if err != nil || len(recent) == 0 {
		return err
	}
	history := map[string][]tandem.Entry{}
	for _, e := range recent {
		if r.now().Sub(e.CreatedAt) < flapWindow && e.Path != "" {
			key := e.DeviceID + "\x00" + string(e.Path)
			history[key] = append(history[key], e)
		}
	}
	for i := range decided {
		d := &decided[i]
		hold := map[tandem.Path]merge.Hold{}
		var paused []merge.Conflict
		for k, e := range slices.Concat(d.local, d.send) {
			side := tandem.LocalSide
			if k >= len(d.local) {
				side = tandem.RemoteSide
			}
			past := history[d.linked.Device.ID+"\x00"+string(e.Path)]
			if hold[e.Path] != 0 || !flaps(r.service.ID, side, e, past) {
				continue
			}
			if settled, err := r.settledSince(ctx, d, e.Path, past); err != nil || settled {
				if err != nil {
					return err
				}
				continue
			}
			local, _ := merge.Value(d.linked.Device.Shared(), e.Path)
			remote, _ := merge.Value(d.remote.shared, e.Path)
			base, _ := merge.Value(d.linked.Assignment.Base.Local, e.Path)
			hold[e.Path] = merge.Frozen
			paused = append(paused, merge.Conflict{Path: e.Path, Type: tandem.ConcurrentModification, Base: base, Local: local, Remote: remote})
		}
		if len(hold) == 0 {
			continue
		}
		*d = r.decide(d.linked, d.remote, d.open, hold)
		d.pause = paused
	}
	return nil
}

// flaps reports whether the edit makes it two rounds: some service says one value twice, and twice is
// overwritten with another. Somebody who merely changes their mind is on one side only.
func flaps(service string, side tandem.Side, e merge.Edit, past []tandem.Entry) bool {
	type saying struct {
		service string
		value   any
		times   int
	}
	var said, written []saying
	note := func(list *[]saying, service string, v any) {
		for i := range *list {
			if s := &(*list)[i]; s.service == service && same(e.Path, s.value, v) {
				s.times++
				return
			}
		}
		*list = append(*list, saying{service, v, 1})
	}
	add := func(side tandem.Side, service string, v any) {
		if side == tandem.LocalSide {
			note(&said, service, v)
		} else {
			note(&written, service, v)
		}
	}
	add(side, service, e.After)
	for _, p := range past {
		add(p.Side, p.ServiceID, decode(p.After))
	}
	for _, a := range said {
		for _, b := range written {
			if a.service == b.service && a.times >= 2 && b.times >= 2 && !same(e.Path, a.value, b.value) {
				return true
			}
		}
	}
	return false
}

// settledSince reports whether a person settled the field after the quarrel's last round: it starts anew then.
func (r *run) settledSince(ctx context.Context, d *decision, p tandem.Path, past []tandem.Entry) (bool, error) {
	filter := tandem.ConflictFilter{ServiceID: r.service.ID, DeviceIDs: []string{d.linked.Device.ID}, Field: p, All: true}
	rows, _, err := r.e.Store.Conflicts(ctx, r.org, filter)
	if err != nil {
		return false, err
	}
	oldest := r.now()
	for _, e := range past {
		if e.CreatedAt.Before(oldest) {
			oldest = e.CreatedAt
		}
	}
	return slices.ContainsFunc(rows, func(c tandem.Conflict) bool {
		return c.ByHand && c.FieldName == p && !c.Open() && c.ResolvedAt != nil && c.ResolvedAt.After(oldest)
	}), nil
}
