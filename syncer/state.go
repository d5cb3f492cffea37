package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"tandem"
	"tandem/merge"
)

// stateReading is where a service's values outside the listing lie, and how this run gets at them.
type stateReading struct {
	metadata  string // LightDB State paths; "" is off
	battery   string
	location  string
	stream    map[tandem.Field]string // observations in LightDB Stream
	common    string                  // the deepest path that holds all state paths; may be the root
	reads     int                     // device-by-device reads a run may make for reading alone
	inListing bool                    // the listing carries them in a shape that was verified
	tried     bool
	shape     int
}

func newStateReading(cfg *tandem.ServiceConfig) stateReading {
	s := stateReading{reads: cfg.StateReads, stream: map[tandem.Field]string{}}
	if cfg.Fields.Has(tandem.FieldMetadata) {
		s.metadata = statePath(cfg.Paths.Metadata)
	}
	for _, f := range []struct {
		field tandem.Field
		path  string
		to    *string
	}{{tandem.FieldBattery, cfg.Paths.Battery, &s.battery}, {tandem.FieldLocation, cfg.Paths.Location, &s.location}} {
		switch {
		case f.path == "" || !cfg.Fields.Has(f.field):
		case strings.HasPrefix(f.path, "stream:"):
			s.stream[f.field] = strings.Trim(strings.TrimPrefix(f.path, "stream:"), "/")
		default:
			*f.to = statePath(f.path)
		}
	}
	first := true // what is common to some may be the root, which is "" too
	for _, p := range []string{s.metadata, s.battery, s.location} {
		switch {
		case p == "":
		case first:
			s.common, first = p, false
		default:
			s.common = commonPath(s.common, p)
		}
	}
	return s
}

func statePath(p string) string { return strings.Trim(strings.TrimPrefix(p, "state:"), "/") }

func commonPath(a, b string) string {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return strings.Join(x[:n], "/")
}

// any reports whether there is something to read from LightDB State.
func (s *stateReading) any() bool { return s.metadata != "" || s.battery != "" || s.location != "" }

// listingPath is what the listing is asked to carry; "" for nothing. The root cannot be asked for.
func (s *stateReading) listingPath() string { return s.common }

// stateShapes are the forms that a listing's data may take for a state path; none is documented.
var stateShapes = []func(data any, path string) any{
	func(data any, _ string) any { return data },
	func(data any, p string) any { return inside(data, p) },
	func(data any, p string) any { return member(data, p) },
	func(data any, p string) any { return inside(member(data, "state"), p) },
	func(data any, p string) any { return member(data, "state") },
	func(data any, p string) any { return member(data, path.Base(p)) },
}

func member(v any, key string) any {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	return m[key]
}

// inside walks down a slash-separated path.
func inside(v any, p string) any {
	if p == "" {
		return v
	}
	for _, key := range strings.Split(p, "/") {
		v = member(v, key)
	}
	return v
}

// readListedState takes the state out of a listing, once its shape has been verified against direct
// reads of a few devices; an unrecognized one leaves the reading to readState.
func (r *run) readListedState(ctx context.Context, batch []reading) error {
	asked := r.state.listingPath()
	if asked == "" || (r.state.tried && !r.state.inListing) {
		return nil
	}
	for i := range batch {
		rd := &batch[i]
		if len(rd.device.State) == 0 || string(rd.device.State) == "null" {
			continue
		}
		if !r.state.tried {
			if err := r.recognize(ctx, batch, asked); err != nil {
				return err
			}
			if !r.state.inListing {
				return nil
			}
		}
		rd.takeState(&r.state, stateShapes[r.state.shape](decode(rd.device.State), asked), asked)
		rd.device.State = nil
	}
	if !r.state.inListing {
		return nil
	}
	for i := range batch {
		if rd := &batch[i]; !rd.state && rd.device.Problem == nil {
			rd.takeState(&r.state, nil, asked)
		}
	}
	return nil
}

// recognize compares the listing's data of up to three devices with direct reads.
func (r *run) recognize(ctx context.Context, batch []reading, asked string) error {
	r.state.tried = true
	fits := make([]bool, len(stateShapes))
	for i := range fits {
		fits[i] = true
	}
	looked := 0
	for i := range batch {
		data := decode(batch[i].device.State)
		if data == nil || looked == 3 {
			continue
		}
		direct, err := r.remote.State(ctx, batch[i].device.ID, asked)
		if err != nil && (fatal(err) || ctx.Err() != nil) {
			return err
		}
		if err != nil || direct == nil {
			continue // this one tells nothing
		}
		looked++
		for k, shape := range stateShapes {
			fits[k] = fits[k] && merge.Equal(shape(data, asked), direct)
		}
	}
	if k := slices.Index(fits, true); looked > 0 && k >= 0 {
		r.state.shape, r.state.inListing = k, true
	}
	return nil
}

// observedState is what a state or stream value says of battery and location.
type observedState struct {
	battery  *float64
	location *tandem.Location
	at       time.Time
}

// takeState notes what was read at a path: metadata for merging, battery and location as observations.
func (rd *reading) takeState(s *stateReading, v any, at string) {
	rd.state = true
	below := func(p string) any { return inside(v, strings.Trim(strings.TrimPrefix(p, at), "/")) }
	if s.metadata != "" {
		rd.shared.Metadata = nil
		rd.shared.Known = rd.shared.Known.With(tandem.FieldMetadata)
		switch m := below(s.metadata).(type) {
		case map[string]any:
			rd.shared.Metadata = m
		case nil:
		default: // a value where a map is expected: not something that can be merged
			rd.shared.Known = rd.shared.Known.Without(tandem.FieldMetadata)
		}
	}
	rd.observedState.at = rd.at
	if s.battery != "" {
		rd.observedState.battery = asPercent(below(s.battery))
	}
	if s.location != "" {
		rd.observedState.location = asLocation(below(s.location))
	}
}

// observed gives the observations that came with a reading.
func (s *stateReading) observed(rd *reading) observedState { return rd.observedState }

// asPercent reads a battery level; values outside 0 to 100 are none.
func asPercent(v any) *float64 {
	f, ok := number(v)
	if !ok || f < 0 || f > 100 {
		return nil
	}
	return &f
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil && !math.IsInf(f, 0)
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return 0, false
}

// asLocation reads {"lat","lon"}, {"latitude","longitude"} or {"lat","lng"}, in degrees.
func asLocation(v any) *tandem.Location {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	pick := func(keys ...string) (float64, bool) {
		for _, k := range keys {
			if f, ok := number(m[k]); ok {
				return f, true
			}
		}
		return 0, false
	}
	lat, ok1 := pick("lat", "latitude")
	lon, ok2 := pick("lon", "lng", "longitude")
	if !ok1 || !ok2 || math.Abs(lat) > 90 || math.Abs(lon) > 180 {
		return nil
	}
	l := &tandem.Location{Latitude: lat, Longitude: lon}
	if acc, ok := pick("accuracy", "acc"); ok && acc >= 0 {
		l.Accuracy = acc
	}
	return l
}

// readDevice reads one device afresh, and its state where the merge may need it (S6, S23).
func (r *run) readDevice(ctx context.Context, l *tandem.Linked) (reading, error) {
	rd, err := r.remote.Device(ctx, l.Assignment.ExternalDeviceID)
	if err != nil {
		return reading{}, err
	}
	out := r.read(rd, r.now())
	if r.state.metadata == "" || !(r.state.inListing || r.req.Scoped() ||
		!merge.Equal(asAny(l.Device.Metadata), asAny(l.Assignment.Base.Local.Metadata))) {
		return out, nil
	}
	return out, r.readStateOf(ctx, &out)
}

// readStateOf reads a device's state, at the path that holds all that is wanted.
func (r *run) readStateOf(ctx context.Context, rd *reading) error {
	v, err := r.remote.State(ctx, rd.device.ID, r.state.common)
	if err != nil {
		return err
	}
	rd.takeState(&r.state, v, r.state.common)
	return nil
}

// readState reads the state of the devices that were least recently read, as many as a run may, and
// says how many it left for later (SYNC.md §2).
func (r *run) readState(ctx context.Context, w *work) error {
	if err := r.readStream(ctx); err != nil {
		return err
	}
	if !r.state.any() || r.state.inListing {
		return nil
	}
	total, err := r.e.Store.LinkedCount(ctx, r.org, r.service.ID)
	if err != nil {
		return err
	}
	ids, err := r.e.Store.StateUnread(ctx, r.org, r.service.ID, r.state.reads)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.details.StateRead, r.details.StateLeft = len(ids), max(0, total-len(ids))
	r.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	r.enter("reading state", len(ids))
	return r.inParallel(ctx, func(ctx context.Context, c *committer, give func(func() error) error) error {
		for chunk := range slices.Chunk(ids, batchSize) {
			if err := r.border(ctx); err != nil {
				return err
			}
			devices := make([]string, len(chunk))
			for i, id := range chunk {
				devices[i] = id.DeviceID
			}
			linked, err := r.e.Store.LinkedByDevice(ctx, r.org, r.service.ID, devices)
			if err != nil {
				return err
			}
			for _, l := range linked {
				if err := give(func() error {
					defer r.advance(1)
					return r.attendState(ctx, w, c, l)
				}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// attendState reads one device's state and merges that alone.
func (r *run) attendState(ctx context.Context, w *work, c *committer, l tandem.Linked) error {
	if l.Assignment.Status == tandem.SyncUnlinked || l.Device.DeletedAt != nil || r.frozenByIntent(l.Device.ID) {
		return nil
	}
	rd := reading{at: r.now(), device: tandem.RemoteDevice{ID: l.Assignment.ExternalDeviceID}, stateOnly: true}
	if err := r.readStateOf(ctx, &rd); err != nil {
		if tandem.Is(err, tandem.NotFound) {
			return nil // the listing and the device itself decide about absence
		}
		return r.perDevice(ctx, &l, err, true)
	}
	d, err := r.decideOne(ctx, &l, rd)
	if err != nil {
		return err
	}
	if len(d.send) > 0 {
		if r.dry == nil {
			return w.toAttend(task{DeviceID: l.Device.ID, Counted: true})
		}
		r.plan(w, d)
	}
	p, err := r.piece(d)
	if err != nil {
		return err
	}
	if r.dry != nil {
		p = r.planned(d, p)
	}
	if p == nil {
		p = &piece{deviceID: l.Device.ID, assignmentID: l.Assignment.ID}
	}
	if o := r.observations(&l.Device, &rd.device, rd.observedState); o != nil {
		p.changes.Observe = append(p.changes.Observe, *o)
	}
	r.stamp(p, &l, &rd)
	if err := c.put(p); err != nil && !errors.Is(err, errMoved) { // moved: read again at the next run
		return err
	}
	return nil
}

// readStream takes battery and location from one project-wide stream query since the last run.
func (r *run) readStream(ctx context.Context) error {
	if len(r.state.stream) == 0 || r.dry != nil {
		return nil
	}
	q := tandem.StreamQuery{Since: r.now().Add(-24 * time.Hour), Until: r.now().Add(r.skew)}
	if at := r.service.LastRunAt; at != nil && at.After(q.Since) {
		q.Since = at.Add(-r.skew - time.Minute)
	}
	for _, p := range r.state.stream {
		q.Paths = append(q.Paths, p)
	}
	newest := map[string]map[tandem.Field]observedState{}
	for row, err := range r.remote.Stream(ctx, q) {
		if err != nil && (fatal(err) || ctx.Err() != nil) {
			return err
		}
		if err != nil { // what was read before it counts (S26)
			r.warn("not all that devices reported in LightDB Stream could be read: " + err.Error())
			break
		}
		for field, p := range r.state.stream {
			o := observedState{at: row.Time}
			if field == tandem.FieldBattery {
				o.battery = asPercent(row.Values[p])
			} else {
				o.location = asLocation(row.Values[p])
			}
			if o.battery == nil && o.location == nil {
				continue
			}
			if newest[row.DeviceID] == nil {
				newest[row.DeviceID] = map[tandem.Field]observedState{}
			}
			if row.Time.After(newest[row.DeviceID][field].at) {
				newest[row.DeviceID][field] = o
			}
		}
	}
	ids := make([]string, 0, len(newest))
	for id := range newest {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for chunk := range slices.Chunk(ids, batchSize) {
		linked, err := r.e.Store.LinkedByExternal(ctx, r.org, r.service.ID, chunk)
		if err != nil {
			return err
		}
		p := &piece{}
		for i := range linked {
			l := &linked[i]
			if l.Assignment.Status == tandem.SyncUnlinked || l.Device.DeletedAt != nil {
				continue
			}
			for _, o := range newest[l.Assignment.ExternalDeviceID] {
				if at, ok := sourceTime(&o.at, l.Device.CreatedAt.AddDate(-20, 0, 0), r.now()); ok {
					o.at = at
				} else {
					o.at = r.now()
				}
				if obs := r.observations(&l.Device, &tandem.RemoteDevice{}, o); obs != nil {
					p.changes.Observe = append(p.changes.Observe, *obs)
				}
			}
		}
		if _, err := r.commit(ctx, []*piece{p}); err != nil {
			return err
		}
	}
	return nil
}
