-- +goose Up
-- Names and ids sort by bytes (COLLATE "C"), as they do in SQLite. JSON is kept as it was written (json, not jsonb):
-- entries and plans are evidence. The organization is the first column of every key and index.

CREATE TABLE organizations (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    name text NOT NULL,
    slug text COLLATE "C" NOT NULL,
    settings json,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX organizations_slug ON organizations (slug);

CREATE TABLE devices (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    name_folded text COLLATE "C" NOT NULL, -- without regard to case
    device_id text NOT NULL,
    device_id_folded text COLLATE "C" NOT NULL,
    search_text text COLLATE "C" NOT NULL, -- name, device_id and hardware ids, folded
    device_type text COLLATE "C",
    lifecycle text COLLATE "C" NOT NULL,
    hardware_ids json NOT NULL,
    tags json NOT NULL,
    enabled boolean NOT NULL,
    blueprint text COLLATE "C",
    cohort text COLLATE "C",
    metadata json,
    notes text,
    last_seen timestamptz,
    battery_level double precision,
    battery_at timestamptz,
    location json,
    location_at timestamptz,
    firmware json,
    firmware_at timestamptz,
    version bigint NOT NULL,
    field_edited_at json,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX devices_device_id ON devices (organization_id, device_id_folded, device_id) WHERE deleted_at IS NULL;
CREATE INDEX devices_device_id_deleted ON devices (organization_id, device_id_folded) WHERE deleted_at IS NOT NULL;
CREATE INDEX devices_name_folded ON devices (organization_id, name_folded, id);
-- No index on last_seen, battery_level, created_at and updated_at: with one on what a report changes, each report would
-- rewrite every index of its device; without, it is a heap-only update in the space that fillfactor leaves. Sorting by
-- them reads the organization's devices (docs/decisions).
CREATE INDEX devices_device_type ON devices (organization_id, device_type) WHERE device_type IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX devices_blueprint ON devices (organization_id, blueprint) WHERE blueprint IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX devices_cohort ON devices (organization_id, cohort) WHERE cohort IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX devices_lifecycle ON devices (organization_id, lifecycle) WHERE lifecycle <> 'active';
CREATE INDEX devices_disabled ON devices (organization_id, id) WHERE enabled = FALSE;

-- The matching of S12, without regard to case; hardware_id is the exact spelling.
CREATE TABLE device_hardware_ids (
    organization_id text COLLATE "C" NOT NULL,
    folded_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    hardware_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, folded_id, device_id, hardware_id)
);

-- devices.tags once more, one row a tag, to filter by.
CREATE TABLE device_tags (
    organization_id text COLLATE "C" NOT NULL,
    tag text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, tag, device_id)
);

CREATE TABLE device_services (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    service_type text COLLATE "C" NOT NULL,
    config json NOT NULL,
    credentials bytea,
    project_identity json,
    is_active boolean NOT NULL,
    sync_enabled boolean NOT NULL,
    sync_interval_seconds bigint NOT NULL,
    sync_direction text COLLATE "C" NOT NULL,      -- as in config, to filter by
    conflict_resolution text COLLATE "C" NOT NULL, -- as in config, to filter by
    online_window bigint NOT NULL,      -- seconds, as in config
    state text COLLATE "C" NOT NULL,
    state_reason text,
    retry_at timestamptz,
    approved_config text,
    last_listed_at timestamptz,
    last_run_id text COLLATE "C",
    last_run_at timestamptz,
    version bigint NOT NULL,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX device_services_name ON device_services (organization_id, name) WHERE deleted_at IS NULL;

-- No foreign keys: Apply makes sure of both in one look (checkParents), where a check of every row would cost as much as its writing.
CREATE TABLE device_service_assignments (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    external_device_id text COLLATE "C" NOT NULL,
    sync_enabled boolean NOT NULL,
    sync_status text COLLATE "C" NOT NULL,
    last_sync timestamptz,
    base json NOT NULL,
    drift json,
    error text,
    retries bigint NOT NULL,
    state_read_at timestamptz,
    remote_updated_at timestamptz,
    written_at timestamptz,
    written_over json,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX device_service_assignments_device ON device_service_assignments (organization_id, device_id, service_id);
CREATE UNIQUE INDEX device_service_assignments_external ON device_service_assignments (organization_id, service_id, external_device_id);
CREATE INDEX device_service_assignments_status ON device_service_assignments (organization_id, sync_status, service_id) WHERE sync_status <> 'synced';
CREATE INDEX device_service_assignments_state_read ON device_service_assignments
    (organization_id, service_id, state_read_at NULLS FIRST, external_device_id)
    WHERE sync_enabled = TRUE AND sync_status <> 'unlinked';

CREATE TABLE remote_devices (
    organization_id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    external_device_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    name_folded text COLLATE "C" NOT NULL,
    device json NOT NULL,
    reason text COLLATE "C" NOT NULL,
    candidates json,
    ignored boolean NOT NULL,
    first_seen_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, service_id, external_device_id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
);
CREATE INDEX remote_devices_name ON remote_devices (organization_id, service_id, name_folded, external_device_id);
CREATE INDEX remote_devices_reason ON remote_devices (organization_id, service_id, reason, name_folded);

CREATE TABLE remote_intents (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    external_device_id text COLLATE "C",
    kind text COLLATE "C" NOT NULL,
    changes json NOT NULL,
    create_request json,
    temporary text,
    conflict_id text COLLATE "C",
    fence bigint NOT NULL,
    until timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
);
CREATE UNIQUE INDEX remote_intents_device ON remote_intents (organization_id, service_id, device_id);
CREATE INDEX remote_intents_created_at ON remote_intents (organization_id, service_id, created_at, id);

CREATE TABLE remote_entities (
    organization_id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    was text,
    PRIMARY KEY (organization_id, service_id, kind, id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
);

CREATE TABLE sync_plans (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C",
    operation text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    row_count bigint NOT NULL,
    checksum text NOT NULL,
    config_fingerprint text NOT NULL,
    created_by text,
    created_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
);
CREATE INDEX sync_plans_created_at ON sync_plans (organization_id, created_at, id);
CREATE INDEX sync_plans_service ON sync_plans (organization_id, service_id, created_at, id);

CREATE TABLE sync_plan_changes (
    organization_id text COLLATE "C" NOT NULL,
    plan_id text COLLATE "C" NOT NULL,
    position bigint NOT NULL, -- from 0
    side text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    device_id text COLLATE "C",
    external_device_id text COLLATE "C",
    device_name text,
    field text COLLATE "C",
    before json,
    after json,
    note text,
    PRIMARY KEY (organization_id, plan_id, position),
    FOREIGN KEY (organization_id, plan_id) REFERENCES sync_plans (organization_id, id)
);
CREATE INDEX sync_plan_changes_device ON sync_plan_changes (organization_id, plan_id, device_id) WHERE device_id IS NOT NULL;
CREATE INDEX sync_plan_changes_external ON sync_plan_changes (organization_id, plan_id, external_device_id) WHERE external_device_id IS NOT NULL;

-- One row a run; id is the operation_id.
CREATE TABLE golioth_sync_log (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    trigger text COLLATE "C" NOT NULL,
    device_id text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    forced boolean NOT NULL,
    processed bigint NOT NULL,
    successful bigint NOT NULL,
    failed bigint NOT NULL,
    conflicts bigint NOT NULL,
    local_created bigint NOT NULL,
    local_updated bigint NOT NULL,
    local_deleted bigint NOT NULL,
    remote_created bigint NOT NULL,
    remote_updated bigint NOT NULL,
    remote_deleted bigint NOT NULL,
    details json,
    plan_id text COLLATE "C",
    reverts text COLLATE "C",
    error text,
    error_folded text, -- without regard to case
    progress json, -- where it stands while it runs
    cancel_requested boolean NOT NULL DEFAULT FALSE,
    started_at timestamptz,
    completed_at timestamptz,
    duration_ms bigint NOT NULL,
    created_by text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
);
CREATE INDEX golioth_sync_log_created_at ON golioth_sync_log (organization_id, created_at, id);
CREATE INDEX golioth_sync_log_service ON golioth_sync_log (organization_id, service_id, created_at, id);
CREATE INDEX golioth_sync_log_status ON golioth_sync_log (organization_id, status, created_at, id);
CREATE INDEX golioth_sync_log_operation ON golioth_sync_log (organization_id, operation, created_at, id);
CREATE INDEX golioth_sync_log_trigger ON golioth_sync_log (organization_id, trigger, created_at, id);
CREATE INDEX golioth_sync_log_device ON golioth_sync_log (organization_id, device_id, created_at, id) WHERE device_id IS NOT NULL;
CREATE INDEX golioth_sync_log_created_by ON golioth_sync_log (organization_id, created_by, created_at, id) WHERE created_by IS NOT NULL;
CREATE INDEX golioth_sync_log_error ON golioth_sync_log (organization_id, created_at, id) WHERE error_folded IS NOT NULL;

-- Append-only, kept in the order in which a run is read. No foreign keys: it is the hottest table, and what it tells outlives what it is about.
CREATE TABLE golioth_sync_log_entries (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    side text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    device_id text COLLATE "C",
    external_device_id text COLLATE "C",
    device_name text,
    field text COLLATE "C",
    before json,
    after json,
    note text,
    outcome text COLLATE "C" NOT NULL,
    code text COLLATE "C",
    error text,
    search_text text COLLATE "C", -- device name and error, folded
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, run_id, created_at, id)
);
CREATE INDEX golioth_sync_log_entries_device ON golioth_sync_log_entries (organization_id, device_id, created_at, id);
CREATE INDEX golioth_sync_log_entries_undone ON golioth_sync_log_entries (organization_id, run_id, outcome, created_at, id) WHERE outcome <> 'done';
CREATE INDEX golioth_sync_log_entries_removals ON golioth_sync_log_entries (organization_id, service_id, created_at)
    WHERE outcome = 'done' AND action IN ('delete', 'unlink', 'recreate');
CREATE INDEX golioth_sync_log_entries_rollouts ON golioth_sync_log_entries (organization_id, service_id, created_at)
    WHERE outcome = 'done' AND side = 'remote' AND action = 'update' AND field IN ('enabled', 'cohort');

CREATE TABLE device_conflicts (
    organization_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C",
    device_id text COLLATE "C",
    device_name text,
    device_name_folded text COLLATE "C",
    external_device_id text COLLATE "C",
    subject text COLLATE "C" NOT NULL, -- the device, or the remote one where there is none: what at most one open conflict a field is about (S9)
    conflict_type text COLLATE "C" NOT NULL,
    field_name text COLLATE "C" NOT NULL,
    base_value json,
    local_value json,
    remote_value json,
    local_updated_at timestamptz,
    remote_updated_at timestamptz,
    explanation text,
    by_hand boolean NOT NULL,
    resolution_status text COLLATE "C" NOT NULL,
    resolution_strategy text,
    resolved_value json,
    resolved_by text,
    resolved_at timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
);
CREATE UNIQUE INDEX device_conflicts_open ON device_conflicts (organization_id, service_id, subject, field_name)
    WHERE resolution_status IN ('pending', 'resolving');
CREATE INDEX device_conflicts_groups ON device_conflicts (organization_id, service_id, field_name, conflict_type, created_at)
    WHERE resolution_status IN ('pending', 'resolving');
CREATE INDEX device_conflicts_created_at ON device_conflicts (organization_id, created_at, id);
CREATE INDEX device_conflicts_status ON device_conflicts (organization_id, resolution_status, created_at, id);
CREATE INDEX device_conflicts_service ON device_conflicts (organization_id, service_id, created_at, id);
CREATE INDEX device_conflicts_device ON device_conflicts (organization_id, device_id, created_at, id) WHERE device_id IS NOT NULL;
CREATE INDEX device_conflicts_external ON device_conflicts (organization_id, external_device_id, created_at, id) WHERE external_device_id IS NOT NULL;
CREATE INDEX device_conflicts_type ON device_conflicts (organization_id, conflict_type, created_at, id);
CREATE INDEX device_conflicts_field ON device_conflicts (organization_id, field_name, created_at, id);

CREATE TABLE service_leases (
    organization_id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL, -- '' when it was given back
    run_id text COLLATE "C" NOT NULL,
    fence bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, service_id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
);

-- A virtual scheduling clock (GCRA): arrival is when the next request is due, in microseconds since 1970.
CREATE TABLE service_budgets (
    organization_id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    arrival bigint NOT NULL,
    granted bigint NOT NULL, -- what the last take was given
    PRIMARY KEY (organization_id, service_id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
);

CREATE TABLE service_slots (
    organization_id text COLLATE "C" NOT NULL,
    service_id text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL,
    slots bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, service_id, holder),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
);
