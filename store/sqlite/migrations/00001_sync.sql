-- +goose Up
-- Times are text in UTC with six decimals ("2026-01-02 03:04:05.000006+00:00"), which sorts as time does.
-- The organization is the first column of every key and index.

CREATE TABLE organizations (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    settings TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX organizations_slug ON organizations (slug);

CREATE TABLE devices (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL, -- without regard to case
    device_id TEXT NOT NULL,
    device_id_folded TEXT NOT NULL,
    search_text TEXT NOT NULL, -- name, device_id and hardware ids, folded
    device_type TEXT,
    lifecycle TEXT NOT NULL,
    hardware_ids TEXT NOT NULL,
    tags TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    blueprint TEXT,
    cohort TEXT,
    metadata TEXT,
    notes TEXT,
    last_seen TEXT,
    battery_level REAL,
    battery_at TEXT,
    location TEXT,
    location_at TEXT,
    firmware TEXT,
    firmware_at TEXT,
    version INTEGER NOT NULL,
    field_edited_at TEXT,
    deleted_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT;
CREATE UNIQUE INDEX devices_device_id ON devices (organization_id, device_id_folded, device_id) WHERE deleted_at IS NULL;
CREATE INDEX devices_device_id_deleted ON devices (organization_id, device_id_folded) WHERE deleted_at IS NOT NULL;
CREATE INDEX devices_name_folded ON devices (organization_id, name_folded, id);
-- No index on last_seen, battery_level, created_at and updated_at: one on last_seen alone makes each report twice as dear.
-- Sorting by them reads the organization's devices (docs/decisions).
CREATE INDEX devices_device_type ON devices (organization_id, device_type) WHERE device_type IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX devices_blueprint ON devices (organization_id, blueprint) WHERE blueprint IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX devices_cohort ON devices (organization_id, cohort) WHERE cohort IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX devices_lifecycle ON devices (organization_id, lifecycle) WHERE lifecycle <> 'active';
CREATE INDEX devices_disabled ON devices (organization_id, id) WHERE enabled = FALSE;

-- The matching of S12, without regard to case; hardware_id is the exact spelling.
CREATE TABLE device_hardware_ids (
    organization_id TEXT NOT NULL,
    folded_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    hardware_id TEXT NOT NULL,
    PRIMARY KEY (organization_id, folded_id, device_id, hardware_id)
) STRICT, WITHOUT ROWID;

-- devices.tags once more, one row a tag, to filter by.
CREATE TABLE device_tags (
    organization_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    device_id TEXT NOT NULL,
    PRIMARY KEY (organization_id, tag, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE device_services (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    service_type TEXT NOT NULL,
    config TEXT NOT NULL,
    credentials BLOB,
    project_identity TEXT,
    is_active INTEGER NOT NULL,
    sync_enabled INTEGER NOT NULL,
    sync_interval_seconds INTEGER NOT NULL,
    sync_direction TEXT NOT NULL,      -- as in config, to filter by
    conflict_resolution TEXT NOT NULL, -- as in config, to filter by
    online_window INTEGER NOT NULL,      -- seconds, as in config
    state TEXT NOT NULL,
    state_reason TEXT,
    retry_at TEXT,
    approved_config TEXT,
    last_listed_at TEXT,
    last_run_id TEXT,
    last_run_at TEXT,
    version INTEGER NOT NULL,
    deleted_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT;
CREATE UNIQUE INDEX device_services_name ON device_services (organization_id, name) WHERE deleted_at IS NULL;

-- No foreign keys: Apply makes sure of both in one look (checkParents), where a check of every row would cost as much as its writing.
CREATE TABLE device_service_assignments (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    external_device_id TEXT NOT NULL,
    sync_enabled INTEGER NOT NULL,
    sync_status TEXT NOT NULL,
    last_sync TEXT,
    base TEXT NOT NULL,
    drift TEXT,
    error TEXT,
    retries INTEGER NOT NULL,
    state_read_at TEXT,
    remote_updated_at TEXT,
    written_at TEXT,
    written_over TEXT,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT;
CREATE UNIQUE INDEX device_service_assignments_device ON device_service_assignments (organization_id, device_id, service_id);
CREATE UNIQUE INDEX device_service_assignments_external ON device_service_assignments (organization_id, service_id, external_device_id);
CREATE INDEX device_service_assignments_status ON device_service_assignments (organization_id, sync_status, service_id) WHERE sync_status <> 'synced';
CREATE INDEX device_service_assignments_state_read ON device_service_assignments
    (organization_id, service_id, state_read_at, external_device_id)
    WHERE sync_enabled = TRUE AND sync_status <> 'unlinked';

CREATE TABLE remote_devices (
    organization_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    external_device_id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    device TEXT NOT NULL,
    reason TEXT NOT NULL,
    candidates TEXT,
    ignored INTEGER NOT NULL,
    first_seen_at TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, service_id, external_device_id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
) STRICT;
CREATE INDEX remote_devices_name ON remote_devices (organization_id, service_id, name_folded, external_device_id);
CREATE INDEX remote_devices_reason ON remote_devices (organization_id, service_id, reason, name_folded);

CREATE TABLE remote_intents (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    external_device_id TEXT,
    kind TEXT NOT NULL,
    changes TEXT NOT NULL,
    create_request TEXT,
    temporary TEXT,
    conflict_id TEXT,
    fence INTEGER NOT NULL,
    until TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
) STRICT;
CREATE UNIQUE INDEX remote_intents_device ON remote_intents (organization_id, service_id, device_id);
CREATE INDEX remote_intents_created_at ON remote_intents (organization_id, service_id, created_at, id);

CREATE TABLE remote_entities (
    organization_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    was TEXT,
    PRIMARY KEY (organization_id, service_id, kind, id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
) STRICT;

CREATE TABLE sync_plans (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    run_id TEXT,
    operation TEXT NOT NULL,
    reason TEXT NOT NULL,
    status TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    config_fingerprint TEXT NOT NULL,
    created_by TEXT,
    created_at TEXT NOT NULL,
    used_at TEXT,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
) STRICT;
CREATE INDEX sync_plans_created_at ON sync_plans (organization_id, created_at, id);
CREATE INDEX sync_plans_service ON sync_plans (organization_id, service_id, created_at, id);

CREATE TABLE sync_plan_changes (
    organization_id TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    position INTEGER NOT NULL, -- from 0
    side TEXT NOT NULL,
    action TEXT NOT NULL,
    device_id TEXT,
    external_device_id TEXT,
    device_name TEXT,
    field TEXT,
    before TEXT,
    after TEXT,
    note TEXT,
    PRIMARY KEY (organization_id, plan_id, position),
    FOREIGN KEY (organization_id, plan_id) REFERENCES sync_plans (organization_id, id)
) STRICT;
CREATE INDEX sync_plan_changes_device ON sync_plan_changes (organization_id, plan_id, device_id) WHERE device_id IS NOT NULL;
CREATE INDEX sync_plan_changes_external ON sync_plan_changes (organization_id, plan_id, external_device_id) WHERE external_device_id IS NOT NULL;

-- One row a run; id is the operation_id.
CREATE TABLE golioth_sync_log (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    trigger TEXT NOT NULL,
    device_id TEXT,
    status TEXT NOT NULL,
    forced INTEGER NOT NULL,
    processed INTEGER NOT NULL,
    successful INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    conflicts INTEGER NOT NULL,
    local_created INTEGER NOT NULL,
    local_updated INTEGER NOT NULL,
    local_deleted INTEGER NOT NULL,
    remote_created INTEGER NOT NULL,
    remote_updated INTEGER NOT NULL,
    remote_deleted INTEGER NOT NULL,
    details TEXT,
    plan_id TEXT,
    reverts TEXT,
    error TEXT,
    error_folded TEXT, -- without regard to case
    progress TEXT, -- where it stands while it runs
    cancel_requested INTEGER NOT NULL DEFAULT FALSE,
    started_at TEXT,
    completed_at TEXT,
    duration_ms INTEGER NOT NULL,
    created_by TEXT,
    created_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
) STRICT;
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
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    side TEXT NOT NULL,
    action TEXT NOT NULL,
    device_id TEXT,
    external_device_id TEXT,
    device_name TEXT,
    field TEXT,
    before TEXT,
    after TEXT,
    note TEXT,
    outcome TEXT NOT NULL,
    code TEXT,
    error TEXT,
    search_text TEXT, -- device name and error, folded
    created_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, run_id, created_at, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX golioth_sync_log_entries_device ON golioth_sync_log_entries (organization_id, device_id, created_at, id);
CREATE INDEX golioth_sync_log_entries_undone ON golioth_sync_log_entries (organization_id, run_id, outcome, created_at, id) WHERE outcome <> 'done';
CREATE INDEX golioth_sync_log_entries_removals ON golioth_sync_log_entries (organization_id, service_id, created_at)
    WHERE outcome = 'done' AND action IN ('delete', 'unlink', 'recreate');
CREATE INDEX golioth_sync_log_entries_rollouts ON golioth_sync_log_entries (organization_id, service_id, created_at)
    WHERE outcome = 'done' AND side = 'remote' AND action = 'update' AND field IN ('enabled', 'cohort');

CREATE TABLE device_conflicts (
    organization_id TEXT NOT NULL,
    id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    run_id TEXT,
    device_id TEXT,
    device_name TEXT,
    device_name_folded TEXT,
    external_device_id TEXT,
    subject TEXT NOT NULL, -- the device, or the remote one where there is none: what at most one open conflict a field is about (S9)
    conflict_type TEXT NOT NULL,
    field_name TEXT NOT NULL,
    base_value TEXT,
    local_value TEXT,
    remote_value TEXT,
    local_updated_at TEXT,
    remote_updated_at TEXT,
    explanation TEXT,
    by_hand INTEGER NOT NULL,
    resolution_status TEXT NOT NULL,
    resolution_strategy TEXT,
    resolved_value TEXT,
    resolved_by TEXT,
    resolved_at TEXT,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
) STRICT;
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
    organization_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    holder TEXT NOT NULL, -- '' when it was given back
    run_id TEXT NOT NULL,
    fence INTEGER NOT NULL,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, service_id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
) STRICT, WITHOUT ROWID;

-- A virtual scheduling clock (GCRA): arrival is when the next request is due, in microseconds since 1970.
CREATE TABLE service_budgets (
    organization_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    arrival INTEGER NOT NULL,
    granted INTEGER NOT NULL, -- what the last take was given
    PRIMARY KEY (organization_id, service_id),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE service_slots (
    organization_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    holder TEXT NOT NULL,
    slots INTEGER NOT NULL,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (organization_id, service_id, holder),
    FOREIGN KEY (organization_id, service_id) REFERENCES device_services (organization_id, id)
) STRICT, WITHOUT ROWID;
