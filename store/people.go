package store

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/uptrace/bun"

	"tandem"
)

const userWritten = `id, email, email_folded, name, search_text, password_hash, totp_secret, totp_enabled, totp_step, recovery_hashes,
	issuer, subject, epoch, failures, locked_until, disabled_at, last_login_at, version, created_at, updated_at`

const userRead = `u.id, u.email, u.name, u.password_hash, u.totp_secret, u.totp_enabled, u.totp_step, u.recovery_hashes,
	u.issuer, u.subject, u.epoch, u.failures, u.locked_until, u.disabled_at, u.last_login_at, u.version, u.created_at, u.updated_at`

// writeUser writes userWritten.
func writeUser(b *bulk, u *tandem.User) {
	b.text(u.ID)
	b.text(u.Email)
	b.text(fold(u.Email))
	b.text(u.Name)
	b.text(fold(u.Email + "\n" + u.Name))
	b.opt(u.PasswordHash)
	b.bytes(u.TOTPSecret)
	b.bool(u.TOTPEnabled)
	b.int(u.TOTPStep)
	b.list(u.RecoveryHashes)
	b.opt(u.Issuer)
	b.opt(u.Subject)
	b.int(u.Epoch)
	b.int(int64(u.Failures))
	b.optTime(u.LockedUntil)
	b.optTime(u.DisabledAt)
	b.optTime(u.LastLoginAt)
	b.int(max(u.Version, 1))
	b.instant(u.CreatedAt)
	b.instant(u.UpdatedAt)
}

// userScan is where userRead is scanned to.
type userScan struct {
	id, email, name, password, recovery, issuer, subject word
	secret                                               []byte
	enabled                                              bool
	step, epoch, version                                 int64
	failures                                             int
	locked, disabled, login, created, updated            stamp
}

func (u *userScan) targets() []any {
	return []any{&u.id, &u.email, &u.name, &u.password, &u.secret, &u.enabled, &u.step, &u.recovery, &u.issuer, &u.subject, &u.epoch,
		&u.failures, &u.locked, &u.disabled, &u.login, &u.version, &u.created, &u.updated}
}

func (u *userScan) user() (tandem.User, error) {
	recovery, err := decodeStrings(u.recovery)
	return tandem.User{ID: string(u.id), Email: string(u.email), Name: string(u.name), PasswordHash: string(u.password),
		TOTPSecret: u.secret, TOTPEnabled: u.enabled, TOTPStep: u.step, RecoveryHashes: recovery, Issuer: string(u.issuer), Subject: string(u.subject),
		Epoch: u.epoch, Failures: u.failures, LockedUntil: u.locked.ptr(), DisabledAt: u.disabled.ptr(), LastLoginAt: u.login.ptr(),
		Version: u.version, CreatedAt: u.created.Time, UpdatedAt: u.updated.Time}, err
}

// takenEmail turns a unique violation into Exists.
func (s *Store) takenEmail(err error, op string, u *tandem.User) error {
	if err != nil && s.dialect.Taken(err) {
		return &tandem.Error{Code: tandem.Exists, Op: op, Thing: u.Email, Message: "another person has this email address or identity",
			Hint: "use another address, or invite that person", Err: err}
	}
	return err
}

// CreateUser adds a person, and the memberships; Exists when the email is taken.
func (s *Store) CreateUser(ctx context.Context, u tandem.User, memberships []tandem.Membership, audit ...tandem.AuditEntry) error {
	return s.admit(ctx, "create a person", &tandem.Admission{User: &u, Memberships: memberships, Audit: audit})
}

// UpdateUser rewrites a person; Stale when the version moved. LastLoginAt is NoteLogin's, and TOTPStep never goes back.
func (s *Store) UpdateUser(ctx context.Context, u tandem.User, audit ...tandem.AuditEntry) error {
	const op = "update a person"
	return s.write(ctx, op, everyOrganization, func(tx bun.Conn) error {
		b := bulk{dialect: s.dialect}
		set := func(column string, write func()) string { return column + " = " + string(b.literal(write)) + ", " }
		text := "UPDATE users SET " + set("email", func() { b.text(u.Email) }) + set("email_folded", func() { b.text(fold(u.Email)) }) +
			set("name", func() { b.text(u.Name) }) + set("search_text", func() { b.text(fold(u.Email + "\n" + u.Name)) }) +
			set("password_hash", func() { b.opt(u.PasswordHash) }) + set("totp_secret", func() { b.bytes(u.TOTPSecret) }) +
			set("totp_enabled", func() { b.bool(u.TOTPEnabled) }) + set("recovery_hashes", func() { b.list(u.RecoveryHashes) }) +
			set("issuer", func() { b.opt(u.Issuer) }) + set("subject", func() { b.opt(u.Subject) }) + set("epoch", func() { b.int(u.Epoch) }) +
			set("failures", func() { b.int(int64(u.Failures)) }) + set("locked_until", func() { b.optTime(u.LockedUntil) }) +
			set("disabled_at", func() { b.optTime(u.DisabledAt) }) + set("updated_at", func() { b.instant(u.UpdatedAt) })
		id := b.literal(func() { b.text(u.ID) })
		if b.err != nil {
			return b.err
		}
		n, err := count(tx.ExecContext(ctx, "? totp_step = "+s.dialect.Greatest()+"(totp_step, ?), version = version + 1 WHERE id = ? AND version = ?",
			bun.Safe(text), u.TOTPStep, id, u.Version))
		if err != nil {
			return s.takenEmail(err, op, &u)
		}
		if n == 0 {
			return s.movedUser(ctx, tx, u.ID, "the person was changed by someone else meanwhile", "read it again and repeat")
		}
		return s.audit(ctx, tx, everyOrganization, audit)
	})
}

// movedUser is NotFound where there is no such person, else Stale with a message.
func (s *Store) movedUser(ctx context.Context, tx bun.Conn, id, message, hint string) error {
	var found word
	if err := tx.QueryRowContext(ctx, "SELECT id FROM users WHERE id = ?", id).Scan(&found); err != nil {
		return noRow(err, missing("person", id))
	}
	return &tandem.Error{Code: tandem.Stale, Thing: id, Message: message, Hint: hint}
}

// NoteLogin writes Failures, LockedUntil, TOTPStep and LastLoginAt alone, without a version. A TOTPStep that is not
// above the stored one, and not equal to readStep, is Stale: the code was used meanwhile.
func (s *Store) NoteLogin(ctx context.Context, u tandem.User, readStep int64, audit ...tandem.AuditEntry) error {
	return s.write(ctx, "note a sign-in", everyOrganization, func(tx bun.Conn) error {
		b := bulk{dialect: s.dialect}
		locked := b.literal(func() { b.optTime(u.LockedUntil) })
		login := b.literal(func() { b.optTime(u.LastLoginAt) })
		if err := checkText(u.ID); err != nil {
			return err
		}
		unused := "" // no code to look at
		if u.TOTPStep != readStep {
			unused = " AND totp_step < " + strconv.FormatInt(u.TOTPStep, 10)
		}
		n, err := count(tx.ExecContext(ctx, "UPDATE users SET failures = ?, locked_until = ?, last_login_at = ?, totp_step = "+s.dialect.Greatest()+
			"(totp_step, ?) WHERE id = ?"+unused, u.Failures, locked, login, u.TOTPStep, u.ID))
		if err != nil {
			return err
		}
		if n > 0 {
			return s.audit(ctx, tx, everyOrganization, audit)
		}
		return s.movedUser(ctx, tx, u.ID, "this code was used already", "wait for the next one")
	})
}

// User finds a person by id, else by email.
func (s *Store) User(ctx context.Context, idOrEmail string) (tandem.User, error) {
	return s.oneUser(ctx, idOrEmail, "WHERE u.id = ? OR u.email_folded = ? ORDER BY u.id <> ? LIMIT 1", idOrEmail, fold(idOrEmail), idOrEmail)
}

// UserBySubject finds a person by what the identity provider calls them.
func (s *Store) UserBySubject(ctx context.Context, issuer, subject string) (tandem.User, error) {
	return s.oneUser(ctx, subject, "WHERE u.issuer = ? AND u.subject = ?", issuer, subject)
}

func (s *Store) oneUser(ctx context.Context, ref, tail string, args ...string) (u tandem.User, err error) {
	const op = "find a person"
	values, err := checked(args)
	if err != nil {
		return u, s.fail(op, err)
	}
	err = s.read(ctx, op, everyOrganization, func(tx bun.Conn) error {
		r := userScan{}
		if err := tx.QueryRowContext(ctx, "SELECT "+userRead+" FROM users AS u "+tail, values...).Scan(r.targets()...); err != nil {
			return noRow(err, missing("person", ref))
		}
		u, err = r.user()
		return err
	})
	return u, err
}

// checked gives texts as arguments of a statement, when each can be one.
func checked(texts []string) ([]any, error) {
	args := make([]any, len(texts))
	for i, text := range texts {
		if err := checkText(text); err != nil {
			return nil, err
		}
		args[i] = text
	}
	return args, nil
}

// CountUsers counts the people of all organizations.
func (s *Store) CountUsers(ctx context.Context) (n int, err error) {
	err = s.read(ctx, "count the people", everyOrganization, func(tx bun.Conn) error {
		return tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM users").Scan(&n)
	})
	return n, err
}

// Belongings lists a person's organizations, by slug.
func (s *Store) Belongings(ctx context.Context, user string) (found []tandem.Belonging, err error) {
	const op = "list a person's organizations"
	if err := checkText(user); err != nil {
		return nil, s.fail(op, err)
	}
	err = s.read(ctx, op, everyOrganization, func(tx bun.Conn) error {
		found = nil
		return query(ctx, tx, func(rows *sql.Rows) error {
			var role, settings word
			var created, updated stamp
			o := tandem.Organization{}
			if err := rows.Scan(&role, &o.ID, &o.Name, &o.Slug, &settings, &o.Version, &created, &updated); err != nil {
				return err
			}
			o.CreatedAt, o.UpdatedAt = created.Time, updated.Time
			if err := settings.decode(&o.Settings); err != nil {
				return err
			}
			found = append(found, tandem.Belonging{Organization: o, Role: tandem.Role(role)})
			return nil
		}, `SELECT m.role, o.id, o.name, o.slug, o.settings, o.version, o.created_at, o.updated_at
			FROM memberships AS m JOIN organizations AS o ON o.id = m.organization_id WHERE m.user_id = ? ORDER BY o.slug`, user)
	})
	return found, err
}
