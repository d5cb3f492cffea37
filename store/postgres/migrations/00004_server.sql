-- +goose Up
-- What a server keeps beside the sync itself: webhook deliveries, histories, alerts and who is told of them, what the
-- background work has to do, and what live pages are told.

ALTER TABLE device_services ADD COLUMN webhook_secrets bytea;
ALTER TABLE device_services ADD COLUMN next_sync_at timestamptz;
ALTER TABLE device_services ADD COLUMN sync_failures bigint NOT NULL DEFAULT 0;
-- The schedule asks for all organizations at once.
CREATE INDEX device_services_next_sync ON device_services (next_sync_at)
    WHERE deleted_at IS NULL AND is_active = TRUE AND sync_enabled = TRUE;
CREATE INDEX device_services_active ON device_services (id) WHERE deleted_at IS NULL AND is_active = TRUE;
CREATE INDEX golioth_sync_log_unended ON golioth_sync_log (created_at) WHERE status IN ('queued', 'running');
-- Set when retention begins to remove a run: its entries go in steps, and it is not shown any more.
ALTER TABLE golioth_sync_log ADD COLUMN pruned_at timestamptz;
CREATE INDEX golioth_sync_log_pruned ON golioth_sync_log (organization_id, id) WHERE pruned_at IS NOT NULL;

-- What an edit is held against, so that none is lost.
ALTER TABLE organizations ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE memberships ADD COLUMN version bigint NOT NULL DEFAULT 1;

-- What webhooks received, as it was received: never rewritten. An id is newer than those before it.
CREATE TABLE deliveries (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    event_id text,
    digest text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    external_device_id text COLLATE "C",
    project_id text,
    path text,
    content_type text NOT NULL,
    headers json,
    body bytea,
    sent_at timestamptz,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX deliveries_service ON deliveries (organization_id, service_id, id);
CREATE INDEX deliveries_type ON deliveries (organization_id, type, id);
CREATE INDEX deliveries_device ON deliveries (organization_id, external_device_id, id) WHERE external_device_id IS NOT NULL;

-- What a delivery is told apart by (S35); it goes with the delivery. Of a digest the key begins with the sender's time, which
-- the digest covers: what comes together is kept together.
CREATE TABLE delivery_keys (
    organization_id text COLLATE "C" NOT NULL,
    key bytea NOT NULL, -- d, the time and a hash of the service and the digest, or e and one of the service and the sender's id
    until bigint, -- of a digest, in microseconds since 1970: from then on, the same content counts again
    PRIMARY KEY (organization_id, key)
);

-- What became of each delivery. Narrow, since it is rewritten twice: a claim changes no column of an index, so that on
-- PostgreSQL it is a heap-only update. due_at is not for one organization: whoever claims takes the oldest of all.
CREATE TABLE delivery_states (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    external_device_id text COLLATE "C" NOT NULL, -- '' where there is none
    status text COLLATE "C" NOT NULL,
    attempts bigint NOT NULL,
    due_at timestamptz, -- stored and retrying: when it is tried (again)
    error text,
    processed_at timestamptz,
    run_id text COLLATE "C",
    claimed_by text COLLATE "C",
    claimed_until timestamptz,
    PRIMARY KEY (organization_id, id)
) WITH (fillfactor = 50);
CREATE INDEX delivery_states_due ON delivery_states (due_at, id) WHERE due_at IS NOT NULL;
-- Nearly all are processed: those are found among all.
CREATE INDEX delivery_states_status ON delivery_states (organization_id, status, id) WHERE status <> 'processed';
CREATE INDEX delivery_states_waiting ON delivery_states (organization_id, service_id, external_device_id) WHERE status = 'waiting';
-- Which deliveries led to a run; most lead to none.
CREATE INDEX delivery_states_run ON delivery_states (organization_id, run_id, id) WHERE run_id IS NOT NULL;

-- How many deliveries came to a status in a minute: what is stored and processed is counted by the process that does it.
CREATE TABLE delivery_counts (
    organization_id text COLLATE "C" NOT NULL,
    minute bigint NOT NULL, -- since 1970
    service_id text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (organization_id, minute, service_id, status)
);
CREATE INDEX delivery_counts_minute ON delivery_counts (minute);

-- The history of what devices report. The same value of the same instant is the same observation.
CREATE TABLE device_observations (
    organization_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    observed_at timestamptz NOT NULL,
    path text COLLATE "C" NOT NULL,
    service_id text COLLATE "C",
    value json NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, device_id, observed_at, path)
);
-- Of each part of the table its oldest and newest: rows come in the order of this time, nearly, and it is only for what is old.
CREATE INDEX device_observations_created_at ON device_observations USING brin (created_at) WITH (autosummarize = on);

CREATE TABLE alerts (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    service_id text COLLATE "C",
    run_id text COLLATE "C",
    severity text COLLATE "C" NOT NULL,
    message text NOT NULL,
    hint text,
    count bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    raised_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    escalated_at timestamptz,
    acknowledged_by text,
    acknowledged_at timestamptz,
    resolved_by text,
    resolved_at timestamptz,
    version bigint NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX alerts_open ON alerts (organization_id, kind, subject) WHERE status <> 'resolved';
CREATE INDEX alerts_raised_at ON alerts (organization_id, raised_at, id);
CREATE INDEX alerts_status ON alerts (organization_id, status, raised_at, id);
CREATE INDEX alerts_kind ON alerts (organization_id, kind, raised_at, id);
CREATE INDEX alerts_service ON alerts (organization_id, service_id, raised_at, id) WHERE service_id IS NOT NULL;
CREATE INDEX alerts_unseen ON alerts (raised_at) WHERE status = 'raised' AND escalated_at IS NULL;

CREATE TABLE notification_channels (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    config json NOT NULL,
    credentials bytea,
    kinds json NOT NULL,
    min_severity text COLLATE "C",
    escalation_only boolean NOT NULL,
    throttle_seconds bigint NOT NULL,
    is_active boolean NOT NULL,
    last_sent_at timestamptz,
    last_error text,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX notification_channels_name ON notification_channels (organization_id, name);

CREATE TABLE notifications (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    channel_id text COLLATE "C" NOT NULL,
    alert_id text COLLATE "C",
    reason text COLLATE "C" NOT NULL,
    attempts bigint NOT NULL,
    next_at timestamptz NOT NULL,
    sent_at timestamptz,
    error text,
    dead_at timestamptz,
    claimed_by text COLLATE "C",
    claimed_until timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX notifications_due ON notifications (next_at, id) WHERE sent_at IS NULL AND dead_at IS NULL;
CREATE INDEX notifications_channel ON notifications (organization_id, channel_id, created_at, id);
CREATE INDEX notifications_alert ON notifications (organization_id, alert_id) WHERE alert_id IS NOT NULL;

-- Devices that are to go through a run of their own soon (S36, S38).
CREATE TABLE device_pushes (
    organization_id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL, -- '' when only the remote id is known
    external_device_id text COLLATE "C" NOT NULL, -- '' when the device is known here
    trigger text COLLATE "C" NOT NULL,
    created_by text,
    first_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    until timestamptz NOT NULL, -- how far it may be put off
    PRIMARY KEY (organization_id, service_id, device_id, external_device_id)
);
CREATE INDEX device_pushes_due ON device_pushes (due_at, organization_id, service_id);
-- Jobs on their way to the job engine.
CREATE TABLE pending_jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    args json,
    due_at timestamptz,
    claimed_by text COLLATE "C",
    claimed_until timestamptz,
    created_at timestamptz NOT NULL
);
CREATE INDEX pending_jobs_organization ON pending_jobs (organization_id, id);

-- What changed, for live pages; kept for some minutes. Transactions end in another order than they take a seq, hence xid:
-- a reader asks for the rows of the transactions that its last snapshot did not show.
CREATE TABLE events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    kind text COLLATE "C" NOT NULL,
    ids json,
    many boolean NOT NULL,
    data json
);
CREATE INDEX events_xid ON events (xid, seq);
CREATE INDEX events_organization ON events (organization_id, seq);
CREATE INDEX events_at ON events (at);

-- The second wall (00002_isolation.sql). '*' is the background work, which looks after all organizations at once: it
-- stores and claims deliveries, claims notifications and jobs, reads what is due, and removes what is old. The conditions
-- are a CASE where many rows are found by key: of an OR, a planner without statistics expects that it leaves no row over.
GRANT SELECT, INSERT, UPDATE, DELETE ON deliveries TO tandem_app;
ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON deliveries
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

GRANT SELECT, INSERT, UPDATE, DELETE ON delivery_keys TO tandem_app;
ALTER TABLE delivery_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON delivery_keys
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

GRANT SELECT, INSERT, UPDATE, DELETE ON delivery_states TO tandem_app;
ALTER TABLE delivery_states ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON delivery_states
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

GRANT SELECT, INSERT, UPDATE, DELETE ON delivery_counts TO tandem_app;
ALTER TABLE delivery_counts ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON delivery_counts
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

GRANT SELECT, INSERT, UPDATE, DELETE ON device_observations TO tandem_app;
ALTER TABLE device_observations ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON device_observations
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

GRANT SELECT, INSERT, UPDATE, DELETE ON alerts TO tandem_app;
ALTER TABLE alerts ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON alerts
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));
CREATE POLICY everyone ON alerts FOR SELECT
    USING ((SELECT current_setting('tandem.organization_id', true)) = '*');

GRANT SELECT, INSERT, UPDATE, DELETE ON notification_channels TO tandem_app;
ALTER TABLE notification_channels ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON notification_channels
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON notifications TO tandem_app;
ALTER TABLE notifications ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON notifications
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

GRANT SELECT, INSERT, UPDATE, DELETE ON device_pushes TO tandem_app;
ALTER TABLE device_pushes ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON device_pushes
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));
CREATE POLICY everyone ON device_pushes FOR SELECT
    USING ((SELECT current_setting('tandem.organization_id', true)) = '*');

GRANT SELECT, INSERT, UPDATE, DELETE ON pending_jobs TO tandem_app;
ALTER TABLE pending_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON pending_jobs
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

GRANT SELECT, INSERT, UPDATE, DELETE ON events TO tandem_app;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON events
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

CREATE POLICY everyone ON device_services FOR SELECT
    USING ((SELECT current_setting('tandem.organization_id', true)) = '*');
CREATE POLICY everyone ON golioth_sync_log FOR SELECT
    USING ((SELECT current_setting('tandem.organization_id', true)) = '*');
