-- +goose Up
-- Devices that speak to Tandem themselves: what they authenticate with, what they are told, and when they were said to have gone.

-- When a device was last said to have gone: offline until it is seen later.
ALTER TABLE devices ADD COLUMN offline_at TEXT;

CREATE TABLE device_credentials (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    identity TEXT NOT NULL, -- what the device names itself by
    name TEXT NOT NULL,
    hash TEXT, -- SHA-256 of a random secret, hex
    previous_hash TEXT, -- of the one before, until previous_until
    previous_until TEXT,
    sealed BLOB, -- a PSK, which has to be known to be used
    service_id TEXT, -- where the PSK was taken over from
    expires_at TEXT,
    revoked_at TEXT,
    last_used_at TEXT,
    created_by TEXT,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT;
CREATE INDEX device_credentials_device ON device_credentials (organization_id, device_id, id);
-- Over all organizations: whoever comes names no other thing.
CREATE UNIQUE INDEX device_credentials_identity ON device_credentials (kind, identity) WHERE revoked_at IS NULL;
CREATE INDEX device_credentials_hash ON device_credentials (hash) WHERE kind = 'token' AND revoked_at IS NULL;
CREATE INDEX device_credentials_previous_hash ON device_credentials (previous_hash) WHERE kind = 'token' AND revoked_at IS NULL AND previous_hash IS NOT NULL;
CREATE INDEX device_credentials_revoked_at ON device_credentials (organization_id, revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE device_commands (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    status TEXT NOT NULL,
    via TEXT,
    service_id TEXT, -- where it goes as a remote call
    expires_at TEXT NOT NULL,
    sent_at TEXT,
    answered_at TEXT,
    reply TEXT,
    error TEXT,
    created_by TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT;
CREATE INDEX device_commands_device ON device_commands (organization_id, device_id, id);
CREATE INDEX device_commands_open ON device_commands (organization_id, device_id, id) WHERE status IN ('queued', 'sent');
CREATE INDEX device_commands_expires_at ON device_commands (expires_at) WHERE status IN ('queued', 'sent');
CREATE INDEX device_commands_created_at ON device_commands (organization_id, created_at);
