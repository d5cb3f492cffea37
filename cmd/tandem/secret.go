package main

import (
	"context"
	"errors"
	"strings"

	"tandem"
	"tandem/secret"
)

// SecretCmd is `tandem secret`.
type SecretCmd struct {
	Rotate SecretRotateCmd `cmd:"" help:"Make a new key and encrypt every API key with it."`
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
	Lost     []string `json:"lost"` // services whose API key could not be read
}

// Run rotates. Old keys leave the file only when no service needs them.
func (c *SecretRotateCmd) Run(ctx context.Context, a *app) error {
	return a.with(ctx, func(s *session) error {
		id, err := s.keys.Rotate()
		if err != nil {
			return err
		}
		done := rotation{Key: id, Dropped: []string{}, Lost: []string{}}
		var inUse []string
		err = s.eachService(ctx, func(org tandem.Organization, v tandem.Service) error {
			err := s.reseal(ctx, org, v.ID)
			if tandem.Is(err, tandem.KeyLost, tandem.Corrupt) {
				done.Lost = append(done.Lost, org.Slug+"/"+v.Name)
				if key, err := secret.KeyID(v.Credentials); err == nil {
					inUse = append(inUse, key)
				}
				return nil
			}
			done.Resealed++
			return err
		})
		if err != nil {
			return err
		}
		if !c.KeepOld {
			if done.Dropped, err = s.keys.Retire(inUse...); err != nil {
				return err
			}
		}
		if a.out.json {
			if err := a.out.value(done); err != nil {
				return err
			}
		} else {
			a.out.printf("made the key %s and encrypted %s with it; %s dropped\n", done.Key, count(done.Resealed, "API key", "API keys"), count(len(done.Dropped), "old key", "old keys"))
			for _, name := range done.Lost {
				org, service, _ := strings.Cut(name, "/")
				a.out.printf("the API key of %s cannot be read; give it again: tandem service update %s --org %s --api-key-file FILE\n", clean(name), word(service), word(org))
			}
		}
		if len(done.Lost) > 0 {
			return exitCode(exitPartial)
		}
		return nil
	})
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

// reseal encrypts one service's API key with the newest key.
func (s *session) reseal(ctx context.Context, org tandem.Organization, id string) error {
	for range 3 {
		v, err := s.store.Service(ctx, org.ID, id)
		if err != nil || len(v.Credentials) == 0 {
			return err
		}
		key, err := s.keys.Unseal(v.Credentials, where(org.ID, v.ID))
		if err != nil {
			return err
		}
		if v.Credentials, err = s.keys.Seal(key, where(org.ID, v.ID)); err != nil {
			return err
		}
		v.UpdatedAt = s.Clock()
		if err := s.store.UpdateService(ctx, org.ID, v); !tandem.Is(err, tandem.Stale) {
			return err
		}
	}
	return errors.New("the service " + id + " kept changing while its key was encrypted anew")
}
