package main

import (
	"context"
	"errors"
	"fmt"

	"tandem"
	"tandem/registry"
)

// eachSealedPSK walks the pre-shared keys of devices.
func (s *session) eachSealedPSK(ctx context.Context, fn func(*sealed) error) error {
	keys, err := s.sealedPSKs(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		c, err := s.store.Credential(ctx, key.OrganizationID, key.ID)
		if tandem.Is(err, tandem.NotFound) { // removed meanwhile
			continue
		}
		if err != nil {
			return err
		}
		one := &sealed{name: c.Identity + " (PSK)", place: in(registry.CredentialPlace(&c)), bytes: c.Sealed,
			hint: "make another one: tandem device credential create " + word(c.DeviceID) + " --kind psk"}
		one.put = func(ctx context.Context, fresh []byte) error {
			c.Sealed, c.UpdatedAt = fresh, s.Clock()
			return s.store.Apply(ctx, c.OrganizationID, &tandem.Changes{PutCredentials: []tandem.Credential{c}})
		}
		one.again = func(ctx context.Context) (err error) {
			c, err = s.store.Credential(ctx, c.OrganizationID, c.ID)
			one.bytes = c.Sealed
			return err
		}
		if err := fn(one); err != nil {
			return err
		}
	}
	return nil
}

// sealedPSKs names the credentials with a sealed key, of all organizations.
func (s *session) sealedPSKs(ctx context.Context) (found []tandem.CredentialUse, err error) {
	rows, err := s.store.DB().DB.QueryContext(ctx, "SELECT organization_id, id FROM device_credentials WHERE sealed IS NOT NULL ORDER BY organization_id, id")
	if err != nil {
		return nil, fmt.Errorf("list pre-shared keys: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	for rows.Next() {
		one := tandem.CredentialUse{}
		if err := rows.Scan(&one.OrganizationID, &one.ID); err != nil {
			return nil, fmt.Errorf("list pre-shared keys: %w", err)
		}
		found = append(found, one)
	}
	return found, nil
}
