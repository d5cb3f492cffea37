package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"time"

	"tandem"
)

// The bounds of commands.
const (
	CommandLife    = time.Hour           // that a device has for its answer, where nothing is said
	maxCommandLife = 30 * 24 * time.Hour // and at most
	maxOpen        = 100                 // commands that wait for one device
	callTime       = 10 * time.Second    // that a device on a service has for its answer
	callMargin     = 15 * time.Second    // beside that, for the service
)

// NewCommand is what a device is told to do.
type NewCommand struct {
	Name    string          // the method, one word
	Payload json.RawMessage // JSON, at most tandem.MaxCommand bytes; nil for null
	Life    time.Duration   // until it expires; 0 for CommandLife
	Service string          // id or name: send it as a remote call through this service; "" for the way that there is
}

// ErrNoWay is why a command for a device that nothing reaches is refused.
var ErrNoWay = errors.New("the device has no way to get it: it has no credential here, and is on no active service")

var commandName = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

func commandThing(c *tandem.Command) thing { return thing{"command", c.ID, c.Name} }

// SendCommand tells a device to do something. One that has a credential here gets it through the gateway when it is
// connected; one that is on Golioth alone gets it as a remote call, whose answer is waited for.
func (r *Registry) SendCommand(ctx context.Context, actor Actor, org, ref string, add NewCommand) (tandem.Command, error) {
	if err := actor.may(org, CommandDevices); err != nil {
		return tandem.Command{}, err
	}
	d, err := r.device(ctx, org, ref)
	if err != nil {
		return tandem.Command{}, err
	}
	now := r.Clock().UTC().Truncate(time.Microsecond)
	c, err := r.newCommand(actor, &d, &add, now)
	if err != nil {
		return c, err
	}
	open, err := r.Server.OpenCommands(ctx, org, d.ID)
	if err != nil {
		return c, err
	}
	if open >= maxOpen {
		return c, tandem.Errorf(tandem.Busy, "send command", d.DeviceID, "%d commands wait for the device already", open).WithHint("cancel those that are not wanted any more")
	}
	service, external, err := r.way(ctx, &d, add.Service, now)
	if err != nil {
		return c, err
	}
	along := r.note(actor, org, "command.send", commandThing(&c), nil, map[string]any{"device_id": c.DeviceID, "name": c.Name, "payload": c.Payload})
	if service == nil {
		return c, r.Store.Apply(ctx, org, &tandem.Changes{PutCommands: []tandem.Command{c}, Along: along})
	}
	c.Status, c.Via, c.ServiceID, c.SentAt, c.ExpiresAt = tandem.CommandSent, tandem.ViaGolioth, service.ID, &now, now.Add(callTime+callMargin)
	if err := r.Store.Apply(ctx, org, &tandem.Changes{PutCommands: []tandem.Command{c}, Along: along}); err != nil {
		return c, err
	}
	r.call(ctx, service, external, &c)
	return c, r.Store.Apply(context.WithoutCancel(ctx), org, &tandem.Changes{PutCommands: []tandem.Command{c}})
}

func (r *Registry) newCommand(actor Actor, d *tandem.Device, add *NewCommand, now time.Time) (tandem.Command, error) {
	c := tandem.Command{ID: r.NewID(), OrganizationID: d.OrganizationID, DeviceID: d.ID, Name: add.Name, Payload: json.RawMessage("null"), Status: tandem.CommandQueued,
		CreatedBy: actor.By(), CreatedAt: now, UpdatedAt: now}
	var p problems
	if !commandName.MatchString(add.Name) {
		p.add(invalid("name", "must be one word of letters, digits and _ . : -, at most 64 of them"))
	}
	if len(add.Payload) > 0 {
		var compact bytes.Buffer
		if err := json.Compact(&compact, add.Payload); err != nil {
			p.add(invalid("payload", "is not JSON"))
		}
		if compact.Len() > tandem.MaxCommand {
			p.add(invalid("payload", "has %d bytes, it may have %d", compact.Len(), tandem.MaxCommand))
		}
		c.Payload = compact.Bytes()
	}
	life := add.Life
	if life == 0 {
		life = CommandLife
	}
	if life < time.Second || life > maxCommandLife {
		p.add(invalid("expires_in", "is %s, it must be between a second and %d days", life, maxCommandLife/(24*time.Hour)))
	}
	c.ExpiresAt = now.Add(life)
	return c, p.err("send command", d.DeviceID)
}

// way finds how a device is reached: through a service and its id there, or (nil) through the gateway. Who has no credential
// here and is on no service may still be known to a broker.
func (r *Registry) way(ctx context.Context, d *tandem.Device, ref string, now time.Time) (*tandem.Service, string, error) {
	if ref == "" {
		own, err := r.Server.Credentials(ctx, d.OrganizationID, d.ID)
		if err != nil {
			return nil, "", err
		}
		for i := range own {
			if own[i].ValidAt(now) {
				return nil, "", nil
			}
		}
	}
	if ref != "" {
		s, err := r.Store.Service(ctx, d.OrganizationID, ref)
		if err != nil {
			return nil, "", err
		}
		external, err := r.linkedTo(ctx, d, s.ID)
		return &s, external, err
	}
	assignments, err := r.Store.Assignments(ctx, d.OrganizationID, []string{d.ID})
	if err != nil {
		return nil, "", err
	}
	for i := range assignments {
		a := &assignments[i]
		if a.Status == tandem.SyncUnlinked {
			continue
		}
		s, err := r.Store.Service(ctx, d.OrganizationID, a.ServiceID)
		if err != nil {
			return nil, "", err
		}
		if s.IsActive && s.ServiceType == "golioth" {
			return &s, a.ExternalDeviceID, nil
		}
	}
	if r.Brokered {
		return nil, "", nil
	}
	return nil, "", tandem.Errorf(tandem.Invalid, "send command", d.DeviceID, "%w", ErrNoWay).
		WithHint("make it one: tandem device credential create %s", quoteWord(d.DeviceID))
}

// call sends a command as a remote call, and puts into it what came of that.
func (r *Registry) call(ctx context.Context, s *tandem.Service, external string, c *tandem.Command) {
	reply, failed, err := r.ask(ctx, s, external, c)
	now := r.Clock().UTC().Truncate(time.Microsecond)
	c.UpdatedAt = now
	switch {
	case tandem.Is(err, tandem.Timeout):
		c.Status, c.Error = tandem.CommandExpired, "the device did not answer in time"
	case err != nil:
		c.Status, c.Error = tandem.CommandFailed, err.Error()
	default:
		c.AnsweredAt, c.Status = &now, tandem.CommandAcknowledged
		if failed {
			c.Status, c.Error = tandem.CommandFailed, "the device refused it"
		}
		if text, err := json.Marshal(reply); err == nil && len(text) <= tandem.MaxCommand && reply != nil {
			c.Reply = text
		}
	}
}

func (r *Registry) ask(ctx context.Context, s *tandem.Service, external string, c *tandem.Command) (reply any, failed bool, err error) {
	if r.Reach == nil {
		return nil, false, tandem.Errorf(tandem.Unavailable, "send command", s.Name, "the service cannot be asked from here")
	}
	reach, err := r.Reach(ctx, *s)
	if err != nil {
		return nil, false, err
	}
	return reach.Call(ctx, external, c.Name, c.Payload, callTime)
}

// Commands lists a device's commands, newest first, and counts all matches.
func (r *Registry) Commands(ctx context.Context, actor Actor, org, ref string, filter tandem.CommandFilter) ([]tandem.Command, int, error) {
	if err := actor.may(org, ReadDevices); err != nil {
		return nil, 0, err
	}
	d, err := r.device(ctx, org, ref)
	if err != nil {
		return nil, 0, err
	}
	filter.DeviceID = d.ID
	return r.Server.Commands(ctx, org, filter)
}

// Command finds one of a device's commands.
func (r *Registry) Command(ctx context.Context, actor Actor, org, ref, id string) (tandem.Command, error) {
	if err := actor.may(org, ReadDevices); err != nil {
		return tandem.Command{}, err
	}
	return r.command(ctx, org, ref, id)
}

func (r *Registry) command(ctx context.Context, org, ref, id string) (tandem.Command, error) {
	d, err := r.device(ctx, org, ref)
	if err != nil {
		return tandem.Command{}, err
	}
	c, err := r.Server.Command(ctx, org, id)
	if err == nil && c.DeviceID != d.ID {
		err = tandem.Errorf(tandem.NotFound, "find command", id, "the device has no such command")
	}
	if err != nil {
		return tandem.Command{}, err
	}
	return c, nil
}

// CancelCommand withdraws a command that was not sent yet: Stale when it was.
func (r *Registry) CancelCommand(ctx context.Context, actor Actor, org, ref, id string) (tandem.Command, error) {
	if err := actor.may(org, CommandDevices); err != nil {
		return tandem.Command{}, err
	}
	c, err := r.command(ctx, org, ref, id)
	if err != nil {
		return c, err
	}
	return r.Server.CancelCommand(ctx, org, id, r.Clock(), r.note(actor, org, "command.cancel", commandThing(&c), nil, nil))
}

// CommandPayload writes a decoded payload as JSON, nothing for nil.
func CommandPayload(value any) (json.RawMessage, error) {
	if value == nil {
		return nil, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, invalid("payload", "is not JSON")
	}
	return text, nil
}
