package main

import (
	"context"
	"errors"
	"time"

	"tandem"
	"tandem/alert"
	"tandem/registry"
)

// openChannel gives a channel's secret.
func (v *serving) openChannel(c *tandem.Channel) ([]byte, error) {
	if len(c.Credentials) == 0 {
		return nil, nil
	}
	return vault{v.keys}.Unseal(registry.ChannelPlace(c), c.Credentials)
}

// lettersWaiting bounds how many letters wait for the mail server.
const lettersWaiting = 100

// post sends letters with one-time links in the background; nil where no mail server is set.
func (v *serving) post() (func(registry.Letter), func(context.Context) error) {
	if v.cmd.MailHost == "" {
		return nil, nil
	}
	waiting := make(chan registry.Letter, lettersWaiting)
	put := func(l registry.Letter) {
		select {
		case waiting <- l:
		default:
			v.log.Error("a letter was dropped: too many wait for the mail server", "purpose", string(l.Purpose))
		}
	}
	return put, func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case l := <-waiting:
				if err := v.send(ctx, &l); err != nil && !errors.Is(err, context.Canceled) {
					v.log.Error("a letter could not be sent", "purpose", string(l.Purpose), "error", err)
				}
			}
		}
	}
}

// send writes one letter.
func (v *serving) send(ctx context.Context, l *registry.Letter) error {
	mail := alert.Mail{ID: newID(), At: v.Clock()}
	switch l.Purpose {
	case tandem.InviteLink:
		mail.Subject = "You are invited to " + l.Organization + " on Tandem"
		mail.Text = "You are invited to join " + l.Organization + ". Open this link to make your account; it works once:\n\n" + v.base() + "/invitation?token=" + l.Secret + "\n"
	default:
		mail.Subject = "A new password for Tandem"
		mail.Text = "Someone, hopefully you, asked for a new password. Open this link within an hour to choose one; it works once:\n\n" +
			v.base() + "/reset-password?token=" + l.Secret + "\n\nIf that was not you, nothing needs to be done.\n"
	}
	var err error
	for wait := time.Second; wait < 10*time.Second; wait *= 3 {
		if err = v.mailer.Send(ctx, mail, l.To); err == nil || tandem.Is(err, tandem.Invalid) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
	return err
}
