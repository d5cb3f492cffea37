-- +goose Up
-- Devices that speak to Tandem themselves: what they authenticate with, what they are told, and when they were said to have gone.

-- When a device was last said to have gone: offline until it is seen later.
ALTER TABLE devices ADD COLUMN offline_at timestamptz;

CREATE TABLE device_credentials (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    identity text COLLATE "C" NOT NULL, -- what the device names itself by
    name text NOT NULL,
    hash text COLLATE "C", -- SHA-256 of a random secret, hex
    previous_hash text COLLATE "C", -- of the one before, until previous_until
    previous_until timestamptz,
    sealed bytea, -- a PSK, which has to be known to be used
    service_id text COLLATE "C", -- where the PSK was taken over from
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    created_by text,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX device_credentials_device ON device_credentials (organization_id, device_id, id);
-- Over all organizations: whoever comes names no other thing.
CREATE UNIQUE INDEX device_credentials_identity ON device_credentials (kind, identity) WHERE revoked_at IS NULL;
CREATE INDEX device_credentials_hash ON device_credentials (hash) WHERE kind = 'token' AND revoked_at IS NULL;
CREATE INDEX device_credentials_previous_hash ON device_credentials (previous_hash) WHERE kind = 'token' AND revoked_at IS NULL AND previous_hash IS NOT NULL;
CREATE INDEX device_credentials_revoked_at ON device_credentials (organization_id, revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE device_commands (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    payload json NOT NULL,
    status text COLLATE "C" NOT NULL,
    via text COLLATE "C",
    service_id text COLLATE "C", -- where it goes as a remote call
    expires_at timestamptz NOT NULL,
    sent_at timestamptz,
    answered_at timestamptz,
    reply json,
    error text,
    created_by text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX device_commands_device ON device_commands (organization_id, device_id, id);
CREATE INDEX device_commands_open ON device_commands (organization_id, device_id, id) WHERE status IN ('queued', 'sent');
CREATE INDEX device_commands_expires_at ON device_commands (expires_at) WHERE status IN ('queued', 'sent');
CREATE INDEX device_commands_created_at ON device_commands (organization_id, created_at);

-- The second wall (00002_isolation.sql). '*' is the gateway, to which devices of all organizations come, and the background work.
GRANT SELECT, INSERT, UPDATE, DELETE ON device_credentials TO tandem_app;
ALTER TABLE device_credentials ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON device_credentials
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

GRANT SELECT, INSERT, UPDATE, DELETE ON device_commands TO tandem_app;
ALTER TABLE device_commands ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON device_commands
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);
