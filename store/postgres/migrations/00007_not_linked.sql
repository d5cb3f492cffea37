-- +goose Up
-- What is not linked is counted and searched in its indexes alone: ignored was read from each row.
DROP INDEX remote_devices_name;
CREATE INDEX remote_devices_name ON remote_devices (organization_id, service_id, name_folded, external_device_id, ignored);
DROP INDEX remote_devices_reason;
CREATE INDEX remote_devices_reason ON remote_devices (organization_id, service_id, reason, name_folded, external_device_id, ignored);

-- Open conflicts are counted in their index alone.
DROP INDEX device_conflicts_groups;
CREATE INDEX device_conflicts_groups ON device_conflicts (organization_id, service_id, field_name, conflict_type, created_at, resolution_status)
    WHERE resolution_status IN ('pending', 'resolving');
