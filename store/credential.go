package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"tandem"
)

const credentialWritten = `organization_id, id, device_id, kind, identity, name, hash, previous_hash, previous_until, sealed, service_id,
	expires_at, revoked_at, last_used_at, created_by, version, created_at, updated_at`

var rewriteCredential = " ON CONFLICT (organization_id, id) DO UPDATE SET " + assign("identity", "name", "hash", "previous_hash", "previous_until", "sealed", "service_id",
	"expires_at", "revoked_at", "version", "updated_at")

// credentials rewrites before it adds, so that revoking one and adding another of its identity is one transaction. When one
// was last used is TouchCredentials'.
func (a *apply) credentials(ctx context.Context) error {
	added, rewritten, err := versioned(ctx, a, "device_credentials", "credential", a.PutCredentials,
		func(c *tandem.Credential) (string, int64) { return c.ID, c.Version })
	if err != nil {
		return err
	}
	var devices []string
	for _, c := range added {
		devices = append(devices, c.DeviceID)
	}
	if err := a.exist(ctx, a.tx, a.org, "devices", "device", devices); err != nil {
		return err
	}
	write := func(rows []*tandem.Credential) func(b *bulk, i int) {
		return func(b *bulk, i int) { writeCredential(b, a.org, rows[i]) }
	}
	if err := a.insert(ctx, a.tx, "device_credentials", credentialWritten, rewriteCredential, len(rewritten), write(rewritten)); err != nil {
		return err
	}
	return a.insert(ctx, a.tx, "device_credentials", credentialWritten, "", len(added), write(added))
}

// writeCredential writes a row as the next version.
func writeCredential(b *bulk, org string, c *tandem.Credential) {
	b.text(org)
	b.text(c.ID)
	b.text(c.DeviceID)
	b.text(string(c.Kind))
	b.text(c.Identity)
	b.text(c.Name)
	b.opt(c.Hash)
	b.opt(c.PreviousHash)
	b.optTime(c.PreviousUntil)
	b.bytes(c.Sealed)
	b.opt(c.ServiceID)
	b.optTime(c.ExpiresAt)
	b.optTime(c.RevokedAt)
	b.optTime(c.LastUsedAt)
	b.opt(c.CreatedBy)
	b.int(c.Version + 1)
	b.instant(c.CreatedAt)
	b.instant(c.UpdatedAt)
}

// Credentials gives a device's credentials, newest first.
func (s *Store) Credentials(ctx context.Context, org, device string) (found []tandem.Credential, err error) {
	const op = "list a device's credentials"
	values, err := checked([]string{org, device})
	if err != nil {
		return nil, s.fail(op, err)
	}
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		found, err = scanCredentials(ctx, tx, "organization_id = ? AND device_id = ? ORDER BY id DESC", values...)
		return err
	})
	return found, err
}

// Credential reads one of an organization's.
func (s *Store) Credential(ctx context.Context, org, id string) (found tandem.Credential, err error) {
	const op = "find a credential"
	values, err := checked([]string{org, id})
	if err != nil {
		return found, s.fail(op, err)
	}
	err = s.read(ctx, op, org, func(tx bun.Conn) error {
		found, err = oneCredential(ctx, tx, id, "organization_id = ? AND id = ?", values...)
		return err
	})
	return found, err
}

// FindCredential finds an unrevoked one of any organization with its device. It never names the key in an error.
func (s *Store) FindCredential(ctx context.Context, kind tandem.CredentialKind, key string) (found tandem.Credentialed, err error) {
	const op = "find a device's credential"
	values, err := checked([]string{string(kind), key})
	if err != nil {
		return found, s.fail(op, missing("credential", ""))
	}
	condition := "kind = ? AND identity = ? AND revoked_at IS NULL"
	if kind == tandem.TokenCredential {
		condition, values = "kind = 'token' AND revoked_at IS NULL AND (hash = ? OR previous_hash = ?)", []any{key, key}
	}
	err = s.read(ctx, op, everyOrganization, func(tx bun.Conn) error {
		if found.Credential, err = oneCredential(ctx, tx, "", condition, values...); err != nil {
			return err
		}
		org := found.Credential.OrganizationID
		var slug word
		if err := tx.QueryRowContext(ctx, "SELECT slug FROM organizations WHERE id = ?", org).Scan(&slug); err != nil {
			return err
		}
		found.Slug = string(slug)
		if err := s.as(ctx, tx, org); err != nil {
			return err
		}
		devices, err := s.reporters(ctx, tx, org, []string{found.Credential.DeviceID})
		if err == nil && len(devices) == 0 {
			err = missing("device", found.Credential.DeviceID)
		}
		if err == nil {
			found.Device = devices[0]
		}
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = s.fail(op, missing("credential", ""))
	}
	return found, err
}

func oneCredential(ctx context.Context, tx bun.Conn, id, condition string, args ...any) (tandem.Credential, error) {
	found, err := scanCredentials(ctx, tx, condition, args...)
	if err == nil && len(found) == 0 {
		err = missing("credential", id)
	}
	if err != nil {
		return tandem.Credential{}, err
	}
	return found[0], nil
}

func scanCredentials(ctx context.Context, tx bun.Conn, condition string, args ...any) (found []tandem.Credential, err error) {
	err = query(ctx, tx, func(rows *sql.Rows) error {
		c := tandem.Credential{}
		var hash, previous, service, by word
		var until, expires, revoked, used, created, updated stamp
		if err := rows.Scan(&c.OrganizationID, &c.ID, &c.DeviceID, &c.Kind, &c.Identity, &c.Name, &hash, &previous, &until, &c.Sealed, &service,
			&expires, &revoked, &used, &by, &c.Version, &created, &updated); err != nil {
			return err
		}
		c.Hash, c.PreviousHash, c.ServiceID, c.CreatedBy = string(hash), string(previous), string(service), string(by)
		c.PreviousUntil, c.ExpiresAt, c.RevokedAt, c.LastUsedAt = until.ptr(), expires.ptr(), revoked.ptr(), used.ptr()
		c.CreatedAt, c.UpdatedAt = created.Time, updated.Time
		found = append(found, c)
		return nil
	}, "SELECT "+credentialWritten+" FROM device_credentials WHERE "+condition, args...)
	return found, err
}

// TouchCredentials notes when some were last used; those that are gone are left out.
func (s *Store) TouchCredentials(ctx context.Context, uses []tandem.CredentialUse) error {
	rows := slices.Clone(uses)
	slices.SortFunc(rows, func(a, b tandem.CredentialUse) int { // all writers lock them in this order
		return strings.Compare(a.OrganizationID+"\x00"+a.ID, b.OrganizationID+"\x00"+b.ID)
	})
	return s.write(ctx, "note the use of credentials", everyOrganization, func(tx bun.Conn) error {
		_, err := s.bulkly(ctx, tx, "WITH v (organization_id, id, used) AS (", `) UPDATE device_credentials AS c SET last_used_at = v.used
			FROM v WHERE c.organization_id = v.organization_id AND c.id = v.id AND (c.last_used_at IS NULL OR c.last_used_at < v.used)`,
			len(rows), func(b *bulk, i int) {
				b.text(rows[i].OrganizationID)
				b.text(rows[i].ID)
				b.instant(rows[i].At)
			})
		return err
	})
}
