package syncer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"maps"
	"slices"
	"strings"
	"sync"

	"tandem"
	"tandem/merge"
)

// Fingerprint identifies the settings that decide what a run does (S27, S28). Budget, interval and
// guards are not among them.
func Fingerprint(c *tandem.ServiceConfig) string {
	b, err := json.Marshal(map[string]any{"base_url": c.BaseURL, "project": c.Project, "fields": c.Fields, "direction": c.Direction,
		"strategy": c.Strategy, "field_strategies": c.FieldStrategies, "create_local": c.CreateLocal, "create_remote": c.CreateRemote,
		"on_remote_delete": c.OnRemoteDelete, "delete_remote": c.DeleteRemote, "filters": c.Filters, "paths": c.Paths})
	if err != nil { // strings, booleans and numbers only
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Approved reports whether the service's settings are those that a person has let run (S28).
func Approved(s *tandem.Service) bool { return s.ApprovedConfig == Fingerprint(&s.Config) }

// dryRun is where a plan's changes go instead of being made.
type dryRun struct {
	mu   sync.Mutex
	each func(tandem.Change) error
	late spool[tandem.Change] // names: judged once all of them are known (S27)
}

// show hands on what the pieces would do.
func (r *run) show(batch []*piece) error {
	r.dry.mu.Lock()
	defer r.dry.mu.Unlock()
	for _, p := range batch {
		for _, e := range p.changes.Entries {
			c := e.Change
			if e.Error != "" {
				c.Note = e.Error
			}
			if c.Side == tandem.RemoteSide && (c.Action == tandem.ActCreate || c.Path == "name") {
				if err := r.dry.late.add(c); err != nil {
					return err
				}
				continue
			}
			if err := r.dry.each(c); err != nil {
				return err
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	sum, met := r.count(batch)
	r.record.Summary = sum
	maps.Copy(r.met, met)
	return nil
}

// showLate hands on creates and renames, with what the remote would refuse of them.
func (r *run) showLate(w *work) error {
	err := r.dry.late.each(batchSize, func(chunk []tandem.Change) error {
		for _, c := range chunk {
			name, _ := decode(c.After).(string)
			if c.Action == tandem.ActCreate {
				name = c.DeviceName
			}
			if w.names.clash(name) {
				c.Note = tandem.RefusedNote + ": the service has, or would have, another device named " + name
			}
			if err := r.dry.each(c); err != nil {
				return err
			}
		}
		return nil
	})
	if closeErr := r.dry.late.close(); err == nil {
		err = closeErr
	}
	return err
}

// plannedCreate shows a create, and what would follow it: fields that a create cannot carry, and those
// that the service cannot hold.
func (r *run) plannedCreate(w *work, d tandem.Device, change tandem.Change) (*piece, error) {
	w.names.created(d.Name)
	if len(d.HardwareIDs) == 0 {
		change.Note = "with a hardware id of our own, since it has none"
	}
	create := r.asRemote(&d)
	made := r.read(tandem.RemoteDevice{Name: create.Name, HardwareIDs: create.HardwareIDs, TagIDs: create.TagIDs, BlueprintID: create.BlueprintID,
		CohortID: create.CohortID, Enabled: true}, r.now())
	made.shared.Tags = nil // a tag that is missing is made first
	for _, tag := range d.Tags {
		if unlikelyTag(tag) {
			change.Note = joinNotes(change.Note, tagNote(tag))
		}
		if r.fields.Has(tandem.FieldTags) {
			made.shared.Tags = append(made.shared.Tags, tag)
		}
	}
	if r.state.metadata != "" {
		made.shared.Known = made.shared.Known.With(tandem.FieldMetadata)
	}
	a := r.assignment(&d, "", r.now())
	a.Base = tandem.Base{Local: restrict(made.shared, r.policy.Fields), Remote: restrict(made.shared, r.policy.Fields)}
	a.Status = tandem.SyncSynced
	next := r.decide(tandem.Linked{Assignment: a, Device: d}, made, nil, nil)
	p, err := r.piece(&next)
	if err != nil {
		return nil, err
	}
	p = r.planned(&next, p)
	p.changes.Entries = append([]tandem.Entry{r.entry(change, tandem.OutcomeDone)}, p.changes.Entries...)
	p.counts.Processed, p.counts.Successful, p.counts.Remote.Created = 1, 1, 1
	return p, nil
}

// unlikelyTag reports whether the service may refuse a new tag: which names it takes is not written
// down, but lower-case letters, digits, "-" and "_" it does.
func unlikelyTag(tag string) bool {
	return tag == "" || strings.ContainsFunc(tag, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	})
}

func tagNote(tag string) string {
	return "the service may refuse the tag " + tag + ": it is only known to take lower-case letters, digits, - and _"
}

func joinNotes(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(s string) bool { return s == "" }), "; ")
}

// planned adds to p what a decision would send.
func (r *run) planned(d *decision, p *piece) *piece {
	if p == nil {
		p = &piece{deviceID: d.linked.Device.ID}
	}
	for _, e := range d.send {
		entry := r.edited(&d.linked, tandem.RemoteSide, e)
		if e.Path == "tags" {
			for _, tag := range toStrings(e.After) {
				if _, known := r.words.id(tandem.TagEntity, tag); !known && unlikelyTag(tag) {
					entry.Note = joinNotes(entry.Note, tagNote(tag))
				}
			}
		}
		p.changes.Entries = append(p.changes.Entries, entry)
	}
	if len(d.send) > 0 {
		p.counts.Remote.Updated++
	}
	if d.needs {
		c := about(&d.linked)
		c.Side, c.Action, c.Path = tandem.RemoteSide, tandem.ActUpdate, "metadata"
		c.Before, c.After = value(d.linked.Assignment.Base.Local.Metadata), value(d.linked.Device.Metadata)
		c.Note = "its state on the service is read before it is written"
		if len(d.send) == 0 {
			p.counts.Remote.Updated++
		}
		p.changes.Entries = append(p.changes.Entries, r.entry(c, tandem.OutcomeDone))
	}
	return p
}

// Preview plans the run without a write and hands each change to each; nil is allowed.
// With save the plan is stored, to be applied later by its id.
func (e *Engine) Preview(ctx context.Context, org string, req tandem.RunRequest, save bool, each func(tandem.Change) error, report tandem.Report) (tandem.Preview, error) {
	service, err := e.Store.Service(ctx, org, req.ServiceID)
	if err != nil {
		return tandem.Preview{}, err
	}
	return e.preview(ctx, org, service, req, save, tandem.Plan{Reason: tandem.PlanSaved}, each, report)
}

func (e *Engine) preview(ctx context.Context, org string, service tandem.Service, req tandem.RunRequest, save bool, as tandem.Plan, each func(tandem.Change) error, report tandem.Report) (tandem.Preview, error) {
	if err := check(&service, &req); err != nil {
		return tandem.Preview{}, err
	}
	r := e.prepare(org, service, req, report)
	defer r.letGo()
	r.record.Status = tandem.RunRunning
	var out *planWriter
	if save {
		out = &planWriter{store: e.Store, org: org, sum: sha256.New()}
		as.ID, as.OrganizationID, as.ServiceID, as.Operation, as.Status = e.NewID(), org, service.ID, r.req.Operation, tandem.PlanOpen
		as.ConfigPrint, as.CreatedBy, as.CreatedAt = Fingerprint(&service.Config), req.CreatedBy, r.now()
		if err := e.Store.CreatePlan(ctx, org, as); err != nil {
			return tandem.Preview{}, err
		}
		out.plan = as.ID
	}
	r.dry = &dryRun{each: func(c tandem.Change) error {
		if out != nil {
			if err := out.add(ctx, c); err != nil {
				return err
			}
		}
		if each != nil {
			return each(c)
		}
		return nil
	}}
	now := r.now()
	r.record.StartedAt = &now
	err := r.perform(ctx)
	r.record.Status = tandem.RunCompleted
	if r.details.BlockedBy != "" {
		r.record.Status, r.record.Error = tandem.RunBlocked, r.details.BlockedBy
	}
	end := r.now()
	r.record.CompletedAt, r.record.DurationMS = &end, max(0, end.Sub(now).Milliseconds())
	r.endPhase(end)
	if b, jsonErr := json.Marshal(r.details); jsonErr == nil {
		r.record.Details = b
	}
	p := tandem.Preview{Run: r.record}
	if out == nil {
		return p, err
	}
	if err == nil {
		p.PlanID, err = as.ID, out.seal(ctx)
	}
	if err != nil { // half a plan is none
		err = errors.Join(err, e.Store.ClosePlan(context.WithoutCancel(ctx), org, as.ID, tandem.PlanDiscarded, r.now()))
	}
	return p, err
}

// planWriter stores a plan's rows as they come, and their checksum in the end.
type planWriter struct {
	store tandem.PlanStore
	org   string
	plan  string
	rows  []tandem.Change
	count int
	sum   hash.Hash
}

func (w *planWriter) add(ctx context.Context, c tandem.Change) error {
	if err := hashRow(w.sum, &c); err != nil {
		return err
	}
	w.rows = append(w.rows, c)
	w.count++
	if len(w.rows) < batchSize {
		return nil
	}
	return w.flush(ctx)
}

func (w *planWriter) flush(ctx context.Context) error {
	if len(w.rows) == 0 {
		return nil
	}
	err := w.store.AppendPlan(ctx, w.org, w.plan, w.rows)
	w.rows = w.rows[:0]
	return err
}

func (w *planWriter) seal(ctx context.Context) error {
	if err := w.flush(ctx); err != nil {
		return err
	}
	return w.store.SealPlan(ctx, w.org, w.plan, w.count, hex.EncodeToString(w.sum.Sum(nil)))
}

// hashRow adds a row's canonical form to a plan's checksum: databases keep JSON's meaning, not its bytes.
func hashRow(sum hash.Hash, c *tandem.Change) error {
	b, err := json.Marshal([]any{c.Side, c.Action, c.DeviceID, c.ExternalDeviceID, c.DeviceName, c.Path, canonical(c.Before), canonical(c.After), c.Note})
	if err != nil {
		return err
	}
	_, err = sum.Write(append(b, '\n'))
	return err
}

func canonical(raw json.RawMessage) any { return merge.Fingerprint(decode(raw), nil) }
