-- +goose Up
-- People, what they hold in their hands (sessions, links, tokens), the audit, and replies that are kept.

-- A person belongs to no organization: memberships say where they may do what.
CREATE TABLE users (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    email text NOT NULL,
    email_folded text COLLATE "C" NOT NULL, -- without regard to case
    name text NOT NULL,
    search_text text COLLATE "C" NOT NULL, -- email and name, folded
    password_hash text COLLATE "C",
    totp_secret bytea,
    totp_enabled boolean NOT NULL,
    totp_step bigint NOT NULL,
    recovery_hashes json NOT NULL,
    issuer text COLLATE "C",
    subject text COLLATE "C",
    epoch bigint NOT NULL,
    failures bigint NOT NULL,
    locked_until timestamptz,
    disabled_at timestamptz,
    last_login_at timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (email_folded);
CREATE UNIQUE INDEX users_subject ON users (issuer, subject) WHERE subject IS NOT NULL;

CREATE TABLE memberships (
    organization_id text COLLATE "C" NOT NULL REFERENCES organizations (id),
    user_id text COLLATE "C" NOT NULL REFERENCES users (id),
    role text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id, organization_id);

CREATE TABLE sessions (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    user_id text COLLATE "C",
    data bytea,
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE one_time_links (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    purpose text COLLATE "C" NOT NULL,
    hash text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL, -- '' where there is none yet
    invitation_organization text COLLATE "C" NOT NULL,
    invitation_id text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX one_time_links_hash ON one_time_links (hash);
CREATE INDEX one_time_links_holder ON one_time_links (purpose, user_id, invitation_organization, invitation_id);
CREATE INDEX one_time_links_expires_at ON one_time_links (expires_at);

CREATE TABLE invitations (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    email text NOT NULL,
    email_folded text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    invited_by text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX invitations_created_at ON invitations (organization_id, created_at, id);
CREATE INDEX invitations_email ON invitations (email_folded, created_at, id);

CREATE TABLE api_tokens (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    user_id text COLLATE "C" REFERENCES users (id),
    role text COLLATE "C" NOT NULL,
    scopes json NOT NULL,
    hash text COLLATE "C" NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    created_by text COLLATE "C",
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX api_tokens_hash ON api_tokens (hash);
CREATE INDEX api_tokens_created_at ON api_tokens (organization_id, created_at, id);
CREATE INDEX api_tokens_user ON api_tokens (organization_id, user_id) WHERE user_id IS NOT NULL;

CREATE TABLE idempotency_keys (
    organization_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    status bigint NOT NULL, -- 0 while the first request is under way
    header json,
    body bytea,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, key)
);
CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);

-- The audit (S37) and what seals it. All three are append-only, as the triggers below have it. They outlive their
-- organization: no foreign key holds them to it, and a trigger takes entries of one that there is only.
CREATE TABLE audit_log (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    actor_kind text COLLATE "C" NOT NULL,
    actor_id text COLLATE "C",
    actor text NOT NULL,
    actor_folded text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    thing_type text COLLATE "C" NOT NULL,
    thing_id text COLLATE "C",
    thing text,
    before json,
    after json,
    run_id text COLLATE "C",
    request_id text COLLATE "C",
    address text,
    search_text text COLLATE "C" NOT NULL, -- thing and actor, folded
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX audit_log_at ON audit_log (organization_id, at, id);
CREATE INDEX audit_log_thing ON audit_log (organization_id, thing_id, at, id) WHERE thing_id IS NOT NULL;
CREATE INDEX audit_log_run ON audit_log (organization_id, run_id, at, id) WHERE run_id IS NOT NULL;
CREATE INDEX audit_log_action ON audit_log (organization_id, action, at, id);

CREATE TABLE audit_seals (
    organization_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    entry_id text COLLATE "C" NOT NULL,
    previous text COLLATE "C" NOT NULL,
    hash text COLLATE "C" NOT NULL,
    sealed_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, seq)
);
CREATE UNIQUE INDEX audit_seals_entry ON audit_seals (organization_id, entry_id);

CREATE TABLE audit_checkpoints (
    organization_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    hash text COLLATE "C" NOT NULL,
    entries bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, seq)
);

-- The entries that wait for their seal, kept by the triggers: to look for them in the log would be to read all of it.
CREATE TABLE audit_unsealed (
    organization_id text COLLATE "C" NOT NULL,
    entry_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, entry_id)
);

-- Organizations that were deleted: their audit is still here, until retention has removed it.
CREATE TABLE deleted_organizations (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    name text NOT NULL,
    slug text COLLATE "C" NOT NULL,
    deleted_at timestamptz NOT NULL
);

-- Which entries were written together, by the id of the first: what a "run.batch" of the audit has the digest of.
ALTER TABLE golioth_sync_log_entries ADD COLUMN batch text COLLATE "C";

-- +goose StatementBegin
CREATE FUNCTION tandem_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;
-- +goose StatementEnd

-- An entry goes when a checkpoint stands for its seal; a seal when a checkpoint stands for it; a checkpoint never.
-- +goose StatementBegin
CREATE FUNCTION tandem_audit_delete() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_TABLE_NAME = 'audit_log' THEN
        IF EXISTS (SELECT FROM audit_seals AS s WHERE s.organization_id = OLD.organization_id AND s.entry_id = OLD.id
            AND s.seq <= (SELECT MAX(c.seq) FROM audit_checkpoints AS c WHERE c.organization_id = OLD.organization_id)) THEN
            RETURN OLD;
        END IF;
    ELSIF TG_TABLE_NAME = 'audit_seals' THEN
        IF EXISTS (SELECT FROM audit_checkpoints AS c WHERE c.organization_id = OLD.organization_id AND c.seq >= OLD.seq) THEN
            RETURN OLD;
        END IF;
    ELSIF TG_TABLE_NAME = 'audit_unsealed' THEN
        IF EXISTS (SELECT FROM audit_seals AS s WHERE s.organization_id = OLD.organization_id AND s.entry_id = OLD.entry_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;
-- +goose StatementEnd

-- What is added is of an organization that there is, waits for its seal, and stops waiting with it.
-- +goose StatementBegin
CREATE FUNCTION tandem_audit_added() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_TABLE_NAME = 'audit_log' THEN
        PERFORM FROM organizations AS o WHERE o.id IN (SELECT a.organization_id FROM added AS a) FOR KEY SHARE;
        IF EXISTS (SELECT FROM added AS a WHERE NOT EXISTS (SELECT FROM organizations AS o WHERE o.id = a.organization_id)) THEN
            RAISE EXCEPTION 'audit_log: no such organization' USING ERRCODE = 'foreign_key_violation';
        END IF;
        INSERT INTO audit_unsealed (organization_id, entry_id) SELECT organization_id, id FROM added;
    ELSE
        DELETE FROM audit_unsealed AS u USING added AS a WHERE u.organization_id = a.organization_id AND u.entry_id = a.entry_id;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON golioth_sync_log_entries FOR EACH STATEMENT EXECUTE FUNCTION tandem_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION tandem_append_only();
CREATE TRIGGER kept BEFORE DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION tandem_audit_delete();
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit_seals FOR EACH STATEMENT EXECUTE FUNCTION tandem_append_only();
CREATE TRIGGER kept BEFORE DELETE ON audit_seals FOR EACH ROW EXECUTE FUNCTION tandem_audit_delete();
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit_checkpoints FOR EACH STATEMENT EXECUTE FUNCTION tandem_append_only();
CREATE TRIGGER kept BEFORE DELETE ON audit_checkpoints FOR EACH ROW EXECUTE FUNCTION tandem_audit_delete();
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON audit_unsealed FOR EACH STATEMENT EXECUTE FUNCTION tandem_append_only();
CREATE TRIGGER kept BEFORE DELETE ON audit_unsealed FOR EACH ROW EXECUTE FUNCTION tandem_audit_delete();
CREATE TRIGGER added AFTER INSERT ON audit_log REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION tandem_audit_added();
CREATE TRIGGER added AFTER INSERT ON audit_seals REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION tandem_audit_added();

-- The second wall (00002). '*' stands for the calls about people, who belong to no organization; an organization sees its members.
REVOKE UPDATE ON golioth_sync_log_entries FROM tandem_app;

GRANT SELECT, INSERT, UPDATE ON users TO tandem_app;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone ON users
    USING ((SELECT current_setting('tandem.organization_id', true)) = '*');
CREATE POLICY members ON users FOR SELECT
    USING (id IN (SELECT m.user_id FROM memberships AS m WHERE m.organization_id = (SELECT current_setting('tandem.organization_id', true))));

GRANT SELECT, INSERT, UPDATE, DELETE ON memberships TO tandem_app;
ALTER TABLE memberships ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON memberships
    USING ((SELECT current_setting('tandem.organization_id', true)) IN ('*', organization_id));

GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO tandem_app;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone ON sessions
    USING ((SELECT current_setting('tandem.organization_id', true)) = '*');

GRANT SELECT, INSERT, UPDATE, DELETE ON one_time_links TO tandem_app;
ALTER TABLE one_time_links ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone ON one_time_links
    USING ((SELECT current_setting('tandem.organization_id', true)) = '*');

-- Who signs in through an identity provider is looked for among the invitations of all organizations.
GRANT SELECT, INSERT, UPDATE, DELETE ON invitations TO tandem_app;
ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON invitations
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));
CREATE POLICY everyone ON invitations FOR SELECT
    USING ((SELECT current_setting('tandem.organization_id', true)) = '*');

-- A token is looked up by its hash before the organization is known.
GRANT SELECT, INSERT, UPDATE, DELETE ON api_tokens TO tandem_app;
ALTER TABLE api_tokens ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON api_tokens
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));
CREATE POLICY everyone ON api_tokens FOR SELECT
    USING ((SELECT current_setting('tandem.organization_id', true)) = '*');

-- '*' removes the expired ones.
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO tandem_app;
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON idempotency_keys
    USING ((SELECT current_setting('tandem.organization_id', true)) IN ('*', organization_id));

GRANT SELECT, INSERT, DELETE ON audit_log TO tandem_app;
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON audit_log
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, DELETE ON audit_seals TO tandem_app;
ALTER TABLE audit_seals ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON audit_seals
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, DELETE ON audit_checkpoints TO tandem_app;
ALTER TABLE audit_checkpoints ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON audit_checkpoints
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

-- '*' asks which organizations have something to seal.
GRANT SELECT, INSERT, DELETE ON audit_unsealed TO tandem_app;
ALTER TABLE audit_unsealed ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON audit_unsealed
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));
CREATE POLICY everyone ON audit_unsealed FOR SELECT
    USING ((SELECT current_setting('tandem.organization_id', true)) = '*');

GRANT SELECT, INSERT ON deleted_organizations TO tandem_app;
ALTER TABLE deleted_organizations ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON deleted_organizations
    USING ((SELECT current_setting('tandem.organization_id', true)) IN ('*', id));
