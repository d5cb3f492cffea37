package main

import (
	"context"
	"encoding/json"
	"time"

	"tandem"
	"tandem/registry"
)

// DeviceCommandCmd is `tandem device command`.
type DeviceCommandCmd struct {
	Send   DeviceCommandSendCmd   `cmd:"" help:"Tell a device to do something."`
	List   DeviceCommandListCmd   `cmd:"" help:"List what a device was told."`
	Show   DeviceCommandShowCmd   `cmd:"" help:"Show one, with the device's answer."`
	Cancel DeviceCommandCancelCmd `cmd:"" help:"Withdraw one that was not sent yet."`
}

// DeviceCommandSendCmd is `tandem device command send`.
type DeviceCommandSendCmd struct {
	In
	Device  string        `arg:"" help:"The device: its id, device_id or name."`
	Name    string        `arg:"" help:"The method, one word."`
	Payload string        `arg:"" optional:"" help:"JSON for it, at most 4 KB."`
	Expires time.Duration `default:"1h" help:"How long the device has for its answer."`
	Service string        `placeholder:"NAME" help:"Send it as a remote call through this service."`
}

// Run sends it.
func (c *DeviceCommandSendCmd) Run(ctx context.Context, a *app) error {
	if c.Payload != "" && !json.Valid([]byte(c.Payload)) {
		return &usageError{"the payload is not JSON", `write it as '{"on":true}'`}
	}
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		sent, err := s.SendCommand(ctx, org.ID, c.Device, registry.NewCommand{Name: c.Name, Payload: json.RawMessage(c.Payload), Life: c.Expires, Service: c.Service})
		if err != nil {
			return err
		}
		return a.showCommand(&sent)
	})
}

// showCommand shows one.
func (a *app) showCommand(c *tandem.Command) error {
	if a.out.json {
		return a.out.value(c)
	}
	a.out.printf("%s is %s, id %s\n", a.out.bold(clean(c.Name)), c.Status, c.ID)
	if len(c.Reply) > 0 {
		a.out.printf("reply: %s\n", clean(string(c.Reply)))
	}
	if c.Error != "" {
		a.out.printf("error: %s\n", clean(c.Error))
	}
	return nil
}

// DeviceCommandListCmd is `tandem device command list`.
type DeviceCommandListCmd struct {
	In
	Device string `arg:"" help:"The device."`
	Status string `enum:",queued,sent,acknowledged,failed,expired,canceled" default:"" help:"queued, sent, acknowledged, failed, expired or canceled."`
	Limit  int    `default:"50" help:"How many, newest first."`
}

// Run lists them.
func (c *DeviceCommandListCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		found, total, err := s.Commands(ctx, org.ID, c.Device, tandem.CommandFilter{Status: tandem.CommandStatus(c.Status), Page: tandem.Page{Number: 1, Limit: c.Limit}})
		if err != nil {
			return err
		}
		if found == nil {
			found = []tandem.Command{}
		}
		if a.out.json {
			return a.out.value(map[string]any{"commands": found, "total": total})
		}
		rows := make([][]string, len(found))
		for i := range found {
			one := &found[i]
			rows[i] = []string{one.ID, clean(one.Name), string(one.Status), string(one.Via), a.out.ago(&one.CreatedAt), clean(one.Error)}
		}
		a.out.table([]string{"ID", "NAME", "STATUS", "VIA", "CREATED", "ERROR"}, rows)
		return nil
	})
}

// DeviceCommandShowCmd is `tandem device command show`.
type DeviceCommandShowCmd struct {
	In
	Device string `arg:"" help:"The device."`
	ID     string `arg:"" help:"The command's id."`
}

// Run shows it.
func (c *DeviceCommandShowCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		is, err := s.Command(ctx, org.ID, c.Device, c.ID)
		if err != nil {
			return err
		}
		return a.showCommand(&is)
	})
}

// DeviceCommandCancelCmd is `tandem device command cancel`.
type DeviceCommandCancelCmd struct {
	In
	Device string `arg:"" help:"The device."`
	ID     string `arg:"" help:"The command's id."`
}

// Run cancels it.
func (c *DeviceCommandCancelCmd) Run(ctx context.Context, a *app) error {
	return a.inOrganization(ctx, c.In, func(s *desk, org tandem.Organization) error {
		is, err := s.CancelCommand(ctx, org.ID, c.Device, c.ID)
		if err != nil {
			return err
		}
		return a.showCommand(&is)
	})
}
