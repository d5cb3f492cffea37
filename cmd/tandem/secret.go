package main

import (
	"context"
	"fmt"

	"tandem"
	"tandem/secret"
)

// SecretCmd is `tandem secret`.
type SecretCmd struct {
	Rotate SecretRotateCmd `cmd:"" help:"Make a new key and encrypt every stored secret with it."`
}

// SecretRotateCmd is `tandem secret rotate`.
type SecretRotateCmd struct {
	KeepOld bool `help:"Keep the old keys in the file, for backups made before."`
}

// rotation says what a rotation did.
type rotation struct {
	Key      string   `json:"key"`
	Resealed int      `json:"resealed"`
	Dropped  []string `json:"dropped"`
	Lost     []string `json:"lost"` // what could not be read: services by their API key, and the rest by what it is

	hints []string // for each that is lost
	inUse []string // keys that what is lost is sealed with
}

// Run rotates. Old keys leave the file only when nothing needs them.
func (c *SecretRotateCmd) Run(ctx context.Context, a *app) error {
	return a.with(ctx, func(s *session) error {
		id, err := s.keys.Rotate()
		if err != nil {
			return err
		}
		done := rotation{Key: id, Dropped: []string{}, Lost: []string{}}
		err = s.eachSealed(ctx, func(one *sealed) error { return s.turn(ctx, one, &done) })
		if err != nil {
			return err
		}
		if !c.KeepOld {
			if done.Dropped, err = s.keys.Retire(done.inUse...); err != nil {
				return err
			}
		}
		return done.show(a)
	})
}

// turn encrypts one secret anew, or notes that it cannot be read.
func (s *session) turn(ctx context.Context, one *sealed, done *rotation) error {
	err := s.reseal(ctx, one)
	if !tandem.Is(err, tandem.KeyLost, tandem.Corrupt) {
		if err == nil {
			done.Resealed++
		}
		return err
	}
	done.Lost, done.hints = append(done.Lost, one.name), append(done.hints, one.hint)
	if key, err := secret.KeyID(one.bytes); err == nil {
		done.inUse = append(done.inUse, key)
	}
	return nil
}

func (r *rotation) show(a *app) error {
	if a.out.json {
		if err := a.out.value(r); err != nil {
			return err
		}
	} else {
		a.out.printf("made the key %s and encrypted %s with it; %s dropped\n", r.Key, count(r.Resealed, "secret", "secrets"), count(len(r.Dropped), "old key", "old keys"))
		for i, name := range r.Lost {
			a.out.printf("%s cannot be read; %s\n", clean(name), clean(r.hints[i]))
		}
	}
	if len(r.Lost) > 0 {
		return exitCode(exitPartial)
	}
	return nil
}

// eachService walks all services of all organizations.
func (s *session) eachService(ctx context.Context, fn func(tandem.Organization, tandem.Service) error) error {
	orgs, err := s.registry.Organizations(ctx, s.actor)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		services, err := s.registry.Services(ctx, s.actor, org.ID)
		if err != nil {
			return err
		}
		for _, v := range services {
			if err := fn(org, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// reseal encrypts one secret with the newest key, again when its row moves meanwhile.
func (s *session) reseal(ctx context.Context, one *sealed) error {
	for range 3 {
		plain, err := s.keys.Unseal(one.bytes, one.place)
		if err != nil {
			return err
		}
		fresh, err := s.keys.Seal(plain, one.place)
		if err != nil {
			return err
		}
		if err := one.put(ctx, fresh); !tandem.Is(err, tandem.Stale) {
			return err
		}
		if err := one.again(ctx); err != nil {
			return err
		}
		if len(one.bytes) == 0 {
			return nil // it was taken away meanwhile
		}
	}
	return fmt.Errorf("%s kept changing while it was encrypted anew", one.name)
}
