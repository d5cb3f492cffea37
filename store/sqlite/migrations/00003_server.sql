-- +goose Up
-- What a server keeps beside the sync itself: webhook deliveries, histories, alerts and who is told of them, what the
-- background work has to do, and what live pages are told.

ALTER TABLE device_services ADD COLUMN webhook_secrets BLOB;
ALTER TABLE device_services ADD COLUMN next_sync_at TEXT;
ALTER TABLE device_services ADD COLUMN sync_failures INTEGER NOT NULL DEFAULT 0;
-- The schedule asks for all organizations at once.
CREATE INDEX device_services_next_sync ON device_services (next_sync_at)
    WHERE deleted_at IS NULL AND is_active = TRUE AND sync_enabled = TRUE;
CREATE INDEX device_services_active ON device_services (id) WHERE deleted_at IS NULL AND is_active = TRUE;
CREATE INDEX golioth_sync_log_unended ON golioth_sync_log (created_at) WHERE status IN ('queued', 'running');
-- Set when retention begins to remove a run: its entries go in steps, and it is not shown any more.
ALTER TABLE golioth_sync_log ADD COLUMN pruned_at TEXT;
CREATE INDEX golioth_sync_log_pruned ON golioth_sync_log (organization_id, id) WHERE pruned_at IS NOT NULL;

-- What an edit is held against, so that none is lost.
ALTER TABLE organizations ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE memberships ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

-- What webhooks received, as it was received: never rewritten. An id is newer than those before it.
CREATE TABLE deliveries (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    event_id TEXT,
    digest TEXT NOT NULL,
    type TEXT NOT NULL,
    external_device_id TEXT,
    project_id TEXT,
    path TEXT,
    content_type TEXT NOT NULL,
    headers TEXT,
    body BLOB,
    sent_at TEXT,
    received_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT;
CREATE INDEX deliveries_service ON deliveries (organization_id, service_id, id);
CREATE INDEX deliveries_type ON deliveries (organization_id, type, id);
CREATE INDEX deliveries_device ON deliveries (organization_id, external_device_id, id) WHERE external_device_id IS NOT NULL;

-- What a delivery is told apart by (S35); it goes with the delivery. Of a digest the key begins with the sender's time, which
-- the digest covers: what comes together is kept together.
CREATE TABLE delivery_keys (
    organization_id TEXT NOT NULL,
    key BLOB NOT NULL, -- d, the time and a hash of the service and the digest, or e and one of the service and the sender's id
    until INTEGER, -- of a digest, in microseconds since 1970: from then on, the same content counts again
    PRIMARY KEY (organization_id, key)
) STRICT, WITHOUT ROWID;

-- What became of each delivery. Narrow, since it is rewritten twice: a claim changes no column of an index, so that on
-- PostgreSQL it is a heap-only update. due_at is not for one organization: whoever claims takes the oldest of all.
CREATE TABLE delivery_states (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    external_device_id TEXT NOT NULL, -- '' where there is none
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at TEXT, -- stored and retrying: when it is tried (again)
    error TEXT,
    processed_at TEXT,
    run_id TEXT,
    claimed_by TEXT,
    claimed_until TEXT,
    PRIMARY KEY (organization_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_states_due ON delivery_states (due_at, id) WHERE due_at IS NOT NULL;
-- Nearly all are processed: those are found among all.
CREATE INDEX delivery_states_status ON delivery_states (organization_id, status, id) WHERE status <> 'processed';
CREATE INDEX delivery_states_waiting ON delivery_states (organization_id, service_id, external_device_id) WHERE status = 'waiting';
-- Which deliveries led to a run; most lead to none.
CREATE INDEX delivery_states_run ON delivery_states (organization_id, run_id, id) WHERE run_id IS NOT NULL;

-- How many deliveries came to a status in a minute: what is stored and processed is counted by the process that does it.
CREATE TABLE delivery_counts (
    organization_id TEXT NOT NULL,
    minute INTEGER NOT NULL, -- since 1970
    service_id TEXT NOT NULL,
    status TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (organization_id, minute, service_id, status)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_counts_minute ON delivery_counts (minute);

-- The history of what devices report. The same value of the same instant is the same observation.
CREATE TABLE device_observations (
    organization_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    observed_at TEXT NOT NULL,
    path TEXT NOT NULL,
    service_id TEXT,
    value TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, device_id, observed_at, path)
) STRICT;
CREATE INDEX device_observations_created_at ON device_observations (created_at);

CREATE TABLE alerts (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    service_id TEXT,
    run_id TEXT,
    severity TEXT NOT NULL,
    message TEXT NOT NULL,
    hint TEXT,
    count INTEGER NOT NULL,
    status TEXT NOT NULL,
    raised_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    escalated_at TEXT,
    acknowledged_by TEXT,
    acknowledged_at TEXT,
    resolved_by TEXT,
    resolved_at TEXT,
    version INTEGER NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT;
CREATE UNIQUE INDEX alerts_open ON alerts (organization_id, kind, subject) WHERE status <> 'resolved';
CREATE INDEX alerts_raised_at ON alerts (organization_id, raised_at, id);
CREATE INDEX alerts_status ON alerts (organization_id, status, raised_at, id);
CREATE INDEX alerts_kind ON alerts (organization_id, kind, raised_at, id);
CREATE INDEX alerts_service ON alerts (organization_id, service_id, raised_at, id) WHERE service_id IS NOT NULL;
CREATE INDEX alerts_unseen ON alerts (raised_at) WHERE status = 'raised' AND escalated_at IS NULL;

CREATE TABLE notification_channels (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    config TEXT NOT NULL,
    credentials BLOB,
    kinds TEXT NOT NULL,
    min_severity TEXT,
    escalation_only INTEGER NOT NULL,
    throttle_seconds INTEGER NOT NULL,
    is_active INTEGER NOT NULL,
    last_sent_at TEXT,
    last_error TEXT,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT;
CREATE UNIQUE INDEX notification_channels_name ON notification_channels (organization_id, name);

CREATE TABLE notifications (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    alert_id TEXT,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_at TEXT NOT NULL,
    sent_at TEXT,
    error TEXT,
    dead_at TEXT,
    claimed_by TEXT,
    claimed_until TEXT,
    created_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT;
CREATE INDEX notifications_due ON notifications (next_at, id) WHERE sent_at IS NULL AND dead_at IS NULL;
CREATE INDEX notifications_channel ON notifications (organization_id, channel_id, created_at, id);
CREATE INDEX notifications_alert ON notifications (organization_id, alert_id) WHERE alert_id IS NOT NULL;

-- Devices that are to go through a run of their own soon (S36, S38).
CREATE TABLE device_pushes (
    organization_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    device_id TEXT NOT NULL, -- '' when only the remote id is known
    external_device_id TEXT NOT NULL, -- '' when the device is known here
    trigger TEXT NOT NULL,
    created_by TEXT,
    first_at TEXT NOT NULL,
    due_at TEXT NOT NULL,
    until TEXT NOT NULL, -- how far it may be put off
    PRIMARY KEY (organization_id, service_id, device_id, external_device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_pushes_due ON device_pushes (due_at, organization_id, service_id);
-- Jobs on their way to the job engine.
CREATE TABLE pending_jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    args TEXT,
    due_at TEXT,
    claimed_by TEXT,
    claimed_until TEXT,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX pending_jobs_organization ON pending_jobs (organization_id, id);

-- What changed, for live pages; kept for some minutes. There is one writer, so that seq is the order of the commits.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    ids TEXT,
    many INTEGER NOT NULL,
    data TEXT
) STRICT;
CREATE INDEX events_organization ON events (organization_id, seq);
CREATE INDEX events_at ON events (at);
