package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"tandem"
	"tandem/registry"
	"tandem/secret"
)

// NewPassword is how a new password comes in.
type NewPassword struct {
	PasswordFile string `placeholder:"FILE" help:"The file that holds the password; - reads standard input. At a terminal it is asked for; elsewhere one is made and shown once."`
	Generate     bool   `help:"Make a password and show it once, at a terminal too."`
}

// read gives a new password, and whether it was made here and so has to be shown.
func (p *NewPassword) read(a *app, about ...string) (password string, made bool, err error) {
	switch {
	case p.PasswordFile != "" && p.Generate:
		return "", false, &usageError{"--password-file and --generate exclude each other", ""}
	case p.PasswordFile != "":
		text, err := a.readSecret(p.PasswordFile)
		return text.Reveal(), false, err
	case p.Generate || !a.out.ask:
		return newPassword(), true, nil
	}
	return a.askPassword(about...)
}

// readSecret reads a secret from a file, or from standard input for "-".
func (a *app) readSecret(file string) (secret.Text, error) {
	var stdin io.Reader
	if file == "-" {
		stdin = a.Stdin
	}
	return secret.Read(secret.Source{File: file, Stdin: stdin})
}

// askPassword asks a person twice, without showing what is typed; nothing means that one is to be made.
func (a *app) askPassword(about ...string) (password string, made bool, err error) {
	for {
		first, err := a.typed("New password (nothing: make one): ")
		if err != nil {
			return "", false, err
		}
		if first == "" {
			return newPassword(), true, nil
		}
		if err := registry.CheckPassword(first, about...); err != nil {
			a.out.note("%s\n", failureOf(err).Message)
			continue
		}
		again, err := a.typed("Once more: ")
		if err != nil {
			return "", false, err
		}
		if first == again {
			return first, false, nil
		}
		a.out.note("the two are not the same\n")
	}
}

// typed reads a line that is not shown while it is typed.
func (a *app) typed(question string) (string, error) {
	file, ok := a.Stdin.(*os.File)
	if !ok {
		return "", &usageError{"nobody can be asked for a password here", "give it with --password-file FILE"}
	}
	a.out.note("%s", question)
	line, err := term.ReadPassword(int(file.Fd()))
	a.out.note("\n")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(line), nil
}

// newPassword makes one of 100 random bits, in groups to be read.
func newPassword() string {
	raw := make([]byte, 15)
	_, _ = rand.Read(raw) // never fails: the program ends where there is no randomness
	text := strings.ToLower(base32.StdEncoding.EncodeToString(raw))[:20]
	return text[:5] + "-" + text[5:10] + "-" + text[10:15] + "-" + text[15:]
}

// UserResetPasswordCmd is `tandem user reset-password`.
type UserResetPasswordCmd struct {
	NewPassword
	Links
	Email  string `arg:"" help:"The person's email."`
	Factor bool   `help:"Switch their second factor off too."`
	Link   bool   `help:"Give them a link to choose a password themselves, instead of a new password."`
}

// Help says for whom this is.
func (c *UserResetPasswordCmd) Help() string {
	return `For whoever is locked out, the last owner too: it needs the database and nothing else. All their sessions end, a lock
after wrong tries or by an administrator is lifted, and with --factor the second factor and its recovery codes are gone.`
}

// Run lets the person in again.
func (c *UserResetPasswordCmd) Run(ctx context.Context, a *app) error {
	if c.Link && (c.PasswordFile != "" || c.Generate) {
		return &usageError{"--link leaves the password to the person", "leave --password-file and --generate out"}
	}
	return a.at(ctx, func(s *desk) error {
		password, made := "", false
		if !c.Link {
			var err error
			if password, made, err = c.read(a, c.Email); err != nil {
				return err
			}
			if err := registry.CheckPassword(password, c.Email); err != nil { // before anything changes
				return err
			}
		}
		u, link, err := s.UnlockUser(ctx, c.Email, c.Factor)
		if err != nil {
			return noUser(err, c.Email)
		}
		if !c.Link {
			if u, err = s.ResetPassword(ctx, link, password); err != nil {
				return err
			}
		}
		return c.show(a, &u, link, password, made)
	})
}

func (c *UserResetPasswordCmd) show(a *app, u *tandem.User, link, password string, made bool) error {
	if a.out.json {
		reply := shownUser{User: *u}
		if made {
			reply.Password = password
		}
		if c.Link {
			reply.Secret, reply.Link = link, c.link("reset-password", link)
		}
		return a.out.value(reply)
	}
	switch {
	case c.Link:
		a.out.printf("%s can sign in again after choosing a password, within the hour, once:\n\n    %s\n\n", clean(u.Email), c.text("reset-password", link))
	case made:
		a.out.printf("%s has the new password below, which is shown this once:\n\n    %s\n\n", clean(u.Email), password)
	default:
		a.out.printf("%s has the new password\n", clean(u.Email))
	}
	if c.Factor {
		a.out.printf("the second factor is off; set up another one after signing in\n")
	}
	return nil
}

// noUser says where to look for a person that there is not.
func noUser(err error, email string) error {
	if !tandem.Is(err, tandem.NotFound) {
		return err
	}
	return tandem.Errorf(tandem.NotFound, "find user", email, "there is no such person").WithHint("`tandem user list` shows those there are")
}
