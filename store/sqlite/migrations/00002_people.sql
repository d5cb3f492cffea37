-- +goose Up
-- People, what they hold in their hands (sessions, links, tokens), the audit, and replies that are kept.

-- A person belongs to no organization: memberships say where they may do what.
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    email_folded TEXT NOT NULL, -- without regard to case
    name TEXT NOT NULL,
    search_text TEXT NOT NULL, -- email and name, folded
    password_hash TEXT,
    totp_secret BLOB,
    totp_enabled INTEGER NOT NULL,
    totp_step INTEGER NOT NULL,
    recovery_hashes TEXT NOT NULL,
    issuer TEXT,
    subject TEXT,
    epoch INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    locked_until TEXT,
    disabled_at TEXT,
    last_login_at TEXT,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX users_email ON users (email_folded);
CREATE UNIQUE INDEX users_subject ON users (issuer, subject) WHERE subject IS NOT NULL;

CREATE TABLE memberships (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_user ON memberships (user_id, organization_id);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT,
    data BLOB,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE one_time_links (
    id TEXT NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL,
    hash TEXT NOT NULL,
    user_id TEXT NOT NULL, -- '' where there is none yet
    invitation_organization TEXT NOT NULL,
    invitation_id TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    used_at TEXT,
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_time_links_hash ON one_time_links (hash);
CREATE INDEX one_time_links_holder ON one_time_links (purpose, user_id, invitation_organization, invitation_id);
CREATE INDEX one_time_links_expires_at ON one_time_links (expires_at);

CREATE TABLE invitations (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    email TEXT NOT NULL,
    email_folded TEXT NOT NULL,
    role TEXT NOT NULL,
    invited_by TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    accepted_at TEXT,
    revoked_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_created_at ON invitations (organization_id, created_at, id);
CREATE INDEX invitations_email ON invitations (email_folded, created_at, id);

CREATE TABLE api_tokens (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    user_id TEXT REFERENCES users (id),
    role TEXT NOT NULL,
    scopes TEXT NOT NULL,
    hash TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    last_used_at TEXT,
    created_by TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX api_tokens_hash ON api_tokens (hash);
CREATE INDEX api_tokens_created_at ON api_tokens (organization_id, created_at, id);
CREATE INDEX api_tokens_user ON api_tokens (organization_id, user_id) WHERE user_id IS NOT NULL;

CREATE TABLE idempotency_keys (
    organization_id TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL, -- 0 while the first request is under way
    header TEXT,
    body BLOB,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, key)
) STRICT;
CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);

-- The audit (S37) and what seals it. All three are append-only, as the triggers below have it. They outlive their
-- organization: no foreign key holds them to it, and a trigger takes entries of one that there is only.
CREATE TABLE audit_log (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    at TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    actor TEXT NOT NULL,
    actor_folded TEXT NOT NULL,
    action TEXT NOT NULL,
    thing_type TEXT NOT NULL,
    thing_id TEXT,
    thing TEXT,
    before TEXT,
    after TEXT,
    run_id TEXT,
    request_id TEXT,
    address TEXT,
    search_text TEXT NOT NULL, -- thing and actor, folded
    PRIMARY KEY (organization_id, id)
) STRICT;
CREATE INDEX audit_log_at ON audit_log (organization_id, at, id);
CREATE INDEX audit_log_thing ON audit_log (organization_id, thing_id, at, id) WHERE thing_id IS NOT NULL;
CREATE INDEX audit_log_run ON audit_log (organization_id, run_id, at, id) WHERE run_id IS NOT NULL;
CREATE INDEX audit_log_action ON audit_log (organization_id, action, at, id);

CREATE TABLE audit_seals (
    organization_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    entry_id TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL,
    sealed_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX audit_seals_entry ON audit_seals (organization_id, entry_id);

CREATE TABLE audit_checkpoints (
    organization_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    entries INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, seq)
) STRICT, WITHOUT ROWID;

-- The entries that wait for their seal, kept by the triggers: to look for them in the log would be to read all of it.
CREATE TABLE audit_unsealed (
    organization_id TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    PRIMARY KEY (organization_id, entry_id)
) STRICT, WITHOUT ROWID;

-- Organizations that were deleted: their audit is still here, until retention has removed it.
CREATE TABLE deleted_organizations (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    deleted_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Which entries were written together, by the id of the first: what a "run.batch" of the audit has the digest of.
ALTER TABLE golioth_sync_log_entries ADD COLUMN batch TEXT;

-- +goose StatementBegin
CREATE TRIGGER golioth_sync_log_entries_update BEFORE UPDATE ON golioth_sync_log_entries
BEGIN
    SELECT RAISE(ABORT, 'golioth_sync_log_entries is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_seals_update BEFORE UPDATE ON audit_seals
BEGIN
    SELECT RAISE(ABORT, 'audit_seals is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_checkpoints_update BEFORE UPDATE ON audit_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'audit_checkpoints is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_unsealed_update BEFORE UPDATE ON audit_unsealed
BEGIN
    SELECT RAISE(ABORT, 'audit_unsealed is not rewritten');
END;
-- +goose StatementEnd

-- INSERT OR REPLACE would remove a row without asking the triggers on DELETE.
-- +goose StatementBegin
CREATE TRIGGER audit_log_replace BEFORE INSERT ON audit_log
WHEN EXISTS (SELECT 1 FROM audit_log AS l WHERE l.organization_id = NEW.organization_id AND l.id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_seals_replace BEFORE INSERT ON audit_seals
WHEN EXISTS (SELECT 1 FROM audit_seals AS s WHERE s.organization_id = NEW.organization_id AND (s.seq = NEW.seq OR s.entry_id = NEW.entry_id))
BEGIN
    SELECT RAISE(ABORT, 'audit_seals is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_checkpoints_replace BEFORE INSERT ON audit_checkpoints
WHEN EXISTS (SELECT 1 FROM audit_checkpoints AS c WHERE c.organization_id = NEW.organization_id AND c.seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'audit_checkpoints is append-only');
END;
-- +goose StatementEnd

-- An entry goes when a checkpoint stands for its seal; a seal when a checkpoint stands for it; a checkpoint never.
-- +goose StatementBegin
CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log
WHEN NOT EXISTS (SELECT 1 FROM audit_seals AS s WHERE s.organization_id = OLD.organization_id AND s.entry_id = OLD.id
        AND s.seq <= (SELECT MAX(c.seq) FROM audit_checkpoints AS c WHERE c.organization_id = OLD.organization_id))
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_seals_delete BEFORE DELETE ON audit_seals
WHEN NOT EXISTS (SELECT 1 FROM audit_checkpoints AS c WHERE c.organization_id = OLD.organization_id AND c.seq >= OLD.seq)
BEGIN
    SELECT RAISE(ABORT, 'audit_seals is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_checkpoints_delete BEFORE DELETE ON audit_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'audit_checkpoints is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_log_organization BEFORE INSERT ON audit_log
WHEN NOT EXISTS (SELECT 1 FROM organizations AS o WHERE o.id = NEW.organization_id)
BEGIN
    SELECT RAISE(ABORT, 'audit_log: no such organization');
END;
-- +goose StatementEnd

-- What is added waits for its seal, and stops waiting with it.
-- +goose StatementBegin
CREATE TRIGGER audit_log_added AFTER INSERT ON audit_log
BEGIN
    INSERT INTO audit_unsealed (organization_id, entry_id) VALUES (NEW.organization_id, NEW.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_seals_added AFTER INSERT ON audit_seals
BEGIN
    DELETE FROM audit_unsealed WHERE organization_id = NEW.organization_id AND entry_id = NEW.entry_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_unsealed_delete BEFORE DELETE ON audit_unsealed
WHEN NOT EXISTS (SELECT 1 FROM audit_seals AS s WHERE s.organization_id = OLD.organization_id AND s.entry_id = OLD.entry_id)
BEGIN
    SELECT RAISE(ABORT, 'an entry of the audit waits for its seal');
END;
-- +goose StatementEnd
