package registry

import (
	"context"
	"encoding/json"

	"tandem"
)

// thing is what an audit entry is about.
type thing struct{ kind, id, name string }

func runThing(run *tandem.Run) thing         { return thing{"run", run.ID, ""} }
func serviceThing(s *tandem.Service) thing   { return thing{"service", s.ID, s.Name} }
func deviceThing(d *tandem.Device) thing     { return thing{"device", d.ID, d.Name} }
func channelThing(c *tandem.Channel) thing   { return thing{"channel", c.ID, c.Name} }
func userThing(u *tandem.User) thing         { return thing{"user", u.ID, u.Email} }
func tokenThing(t *tandem.Token) thing       { return thing{"token", t.ID, t.Name} }
func inviteThing(i *tandem.Invitation) thing { return thing{"invitation", i.ID, i.Email} }

// entry makes the audit entry of a change (S37). Before and after hold no secrets: of one it says "changed".
func (r *Registry) entry(actor Actor, org, action string, about thing, before, after any) tandem.AuditEntry {
	e := tandem.AuditEntry{ID: r.NewID(), OrganizationID: org, At: r.Clock().UTC(), ActorKind: actor.Kind, ActorID: actor.ID, Actor: actor.By(),
		Action: action, ThingType: about.kind, ThingID: about.id, Thing: about.name, Before: asJSON(before), After: asJSON(after),
		RequestID: actor.RequestID, Address: actor.Address}
	if about.kind == "run" {
		e.RunID = about.id
	}
	return e
}

// note is an audit entry as it goes along with a change.
func (r *Registry) note(actor Actor, org, action string, about thing, before, after any) tandem.Along {
	return tandem.Along{Audit: []tandem.AuditEntry{r.entry(actor, org, action, about, before, after)}}
}

// asJSON writes what our own types hold; nil stays absent.
func asJSON(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil { // numbers, texts and lists only
		return nil
	}
	return text
}

// Audit lists what was done by whom, newest first, and counts all matches.
func (r *Registry) Audit(ctx context.Context, actor Actor, org string, filter tandem.AuditFilter) ([]tandem.SealedEntry, int, error) {
	if err := actor.may(org, ReadAudit); err != nil {
		return nil, 0, err
	}
	return r.Server.Audit(ctx, org, filter)
}

// AuditChain walks the sealed entries in the order of the chain, after a place; package audit verifies them.
func (r *Registry) AuditChain(ctx context.Context, actor Actor, org string, after int64, limit int) ([]tandem.SealedEntry, error) {
	if err := actor.may(org, ReadAudit); err != nil {
		return nil, err
	}
	return r.Server.Sealed(ctx, org, after, limit)
}

// AuditEnd gives where the chain ends; the zero value where nothing is sealed.
func (r *Registry) AuditEnd(ctx context.Context, actor Actor, org string) (tandem.AuditSeal, error) {
	if err := actor.may(org, ReadAudit); err != nil {
		return tandem.AuditSeal{}, err
	}
	return r.Server.LastSeal(ctx, org)
}

// RunDigests gives what a run's entries are now, to be held against what the audit tells of them.
func (r *Registry) RunDigests(ctx context.Context, actor Actor, org, run string) (tandem.RunDigests, error) {
	if err := actor.may(org, ReadAudit); err != nil {
		return tandem.RunDigests{}, err
	}
	return r.Server.RunDigests(ctx, org, run)
}

// AuditTail gives the entries that are not sealed yet, oldest first, and counts them.
func (r *Registry) AuditTail(ctx context.Context, actor Actor, org string, limit int) ([]tandem.AuditEntry, int, error) {
	if err := actor.may(org, ReadAudit); err != nil {
		return nil, 0, err
	}
	return r.Server.Unsealed(ctx, org, limit)
}
