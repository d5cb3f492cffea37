-- +goose Up
-- What is not linked is counted and searched in its indexes alone: ignored was read from each row.
DROP INDEX remote_devices_name;
CREATE INDEX remote_devices_name ON remote_devices (organization_id, service_id, name_folded, external_device_id, ignored);
DROP INDEX remote_devices_reason;
CREATE INDEX remote_devices_reason ON remote_devices (organization_id, service_id, reason, name_folded, external_device_id, ignored);
