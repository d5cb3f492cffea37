package main

import (
	"context"
	"errors"
	"fmt"

	"tandem"
	"tandem/registry"
	"tandem/secret"
)

// sealed is one encrypted value of the database.
type sealed struct {
	name  string // for people
	hint  string // what to do when it cannot be read
	place secret.Where
	bytes []byte
	put   func(ctx context.Context, fresh []byte) error // Stale when its row moved
	again func(ctx context.Context) error               // reads the row again
}

// eachSealed walks every sealed value: what is added to the schema is added here.
func (s *session) eachSealed(ctx context.Context, fn func(*sealed) error) error {
	err := s.eachService(ctx, func(org tandem.Organization, v tandem.Service) error {
		for _, one := range []*sealed{s.sealedKey(org, v), s.sealedWebhook(org, v)} {
			if len(one.bytes) == 0 {
				continue
			}
			if err := fn(one); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.eachSealedChannel(ctx, fn); err != nil {
		return err
	}
	if err := s.eachSealedFactor(ctx, fn); err != nil {
		return err
	}
	return s.eachSealedPSK(ctx, fn)
}

// sealedKey is a service's API key.
func (s *session) sealedKey(org tandem.Organization, v tandem.Service) *sealed {
	one := &sealed{name: org.Slug + "/" + v.Name, place: where(org.ID, v.ID), bytes: v.Credentials,
		hint: fmt.Sprintf("give the API key again: tandem service update %s --org %s --api-key-file FILE", word(v.Name), word(org.Slug))}
	s.inService(one, org.ID, v.ID, func(v *tandem.Service) *[]byte { return &v.Credentials })
	return one
}

// sealedWebhook is what a service's deliveries are authenticated with.
func (s *session) sealedWebhook(org tandem.Organization, v tandem.Service) *sealed {
	one := &sealed{name: org.Slug + "/" + v.Name + " (webhook)", place: in(registry.WebhookPlace(&v)), bytes: v.WebhookSecrets,
		hint: fmt.Sprintf("connect the webhook again: tandem service connect %s --org %s --public-url URL", word(v.Name), word(org.Slug))}
	s.inService(one, org.ID, v.ID, func(v *tandem.Service) *[]byte { return &v.WebhookSecrets })
	return one
}

// inService reads and writes a column of a service's row.
func (s *session) inService(one *sealed, org, id string, column func(*tandem.Service) *[]byte) {
	one.put = func(ctx context.Context, fresh []byte) error {
		v, err := s.store.Service(ctx, org, id)
		if err != nil {
			return err
		}
		at := column(&v)
		if string(*at) != string(one.bytes) {
			return tandem.Errorf(tandem.Stale, "encrypt anew", one.name, "it was changed meanwhile")
		}
		*at, v.UpdatedAt = fresh, s.Clock()
		return s.store.UpdateService(ctx, org, v)
	}
	one.again = func(ctx context.Context) error {
		v, err := s.store.Service(ctx, org, id)
		one.bytes = *column(&v)
		return err
	}
}

// eachSealedChannel walks what alerts are sent with.
func (s *session) eachSealedChannel(ctx context.Context, fn func(*sealed) error) error {
	orgs, err := s.registry.Organizations(ctx, s.actor)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		channels, err := s.registry.Channels(ctx, s.actor, org.ID)
		if err != nil {
			return err
		}
		for _, c := range channels {
			if len(c.Credentials) == 0 {
				continue
			}
			one := &sealed{name: org.Slug + "/" + c.Name + " (channel)", place: in(registry.ChannelPlace(&c)), bytes: c.Credentials,
				hint: fmt.Sprintf("give its secret again: tandem channels update %s --org %s --secret-file FILE", word(c.Name), word(org.Slug))}
			one.put = func(ctx context.Context, fresh []byte) error {
				c.Credentials, c.UpdatedAt = fresh, s.Clock()
				return s.store.Apply(ctx, org.ID, &tandem.Changes{PutChannels: []tandem.Channel{c}})
			}
			one.again = func(ctx context.Context) (err error) {
				c, err = s.store.Channel(ctx, org.ID, c.ID)
				one.bytes = c.Credentials
				return err
			}
			if err := fn(one); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachSealedFactor walks people's second factors.
func (s *session) eachSealedFactor(ctx context.Context, fn func(*sealed) error) error {
	ids, err := s.peopleWithFactor(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		u, err := s.store.User(ctx, id)
		if err != nil {
			return err
		}
		one := &sealed{name: u.Email + " (second factor)", place: in(registry.FactorPlace(u.ID)), bytes: u.TOTPSecret,
			hint: "switch it off: tandem user reset-password " + word(u.Email) + " --factor"}
		one.put = func(ctx context.Context, fresh []byte) error {
			u.TOTPSecret, u.UpdatedAt = fresh, s.Clock()
			return s.store.UpdateUser(ctx, u)
		}
		one.again = func(ctx context.Context) (err error) {
			u, err = s.store.User(ctx, id)
			one.bytes = u.TOTPSecret
			return err
		}
		if len(one.bytes) == 0 {
			continue
		}
		if err := fn(one); err != nil {
			return err
		}
	}
	return nil
}

// peopleWithFactor gives the ids of everybody with a second factor, also of those who belong to no organization now.
func (s *session) peopleWithFactor(ctx context.Context) (ids []string, err error) {
	rows, err := s.store.DB().DB.QueryContext(ctx, "SELECT id FROM users WHERE totp_secret IS NOT NULL ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("list second factors: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list second factors: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
