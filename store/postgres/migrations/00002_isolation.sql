-- +goose Up
-- The second wall between organizations: policies that hold for the role tandem_app, under which every
-- transaction of the store runs. The tables' owner (who migrates, and who may be a superuser) is not bound by them.

-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tandem_app') THEN
        BEGIN
            CREATE ROLE tandem_app NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of this cluster was migrated at the same moment
        END;
    END IF;
    IF NOT pg_has_role(current_user, 'tandem_app', 'MEMBER') THEN
        EXECUTE format('GRANT tandem_app TO %I', current_user);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO tandem_app', current_schema());
END
$$;
-- +goose StatementEnd

GRANT SELECT ON goose_db_version TO tandem_app;

-- '*' stands for the few calls that are about organizations themselves.
GRANT SELECT, INSERT, UPDATE, DELETE ON organizations TO tandem_app;
ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON organizations
    USING ((SELECT current_setting('tandem.organization_id', true)) IN ('*', id));

GRANT SELECT, INSERT, UPDATE, DELETE ON devices TO tandem_app;
ALTER TABLE devices ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON devices
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON device_hardware_ids TO tandem_app;
ALTER TABLE device_hardware_ids ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON device_hardware_ids
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON device_tags TO tandem_app;
ALTER TABLE device_tags ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON device_tags
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON device_services TO tandem_app;
ALTER TABLE device_services ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON device_services
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON device_service_assignments TO tandem_app;
ALTER TABLE device_service_assignments ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON device_service_assignments
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON remote_devices TO tandem_app;
ALTER TABLE remote_devices ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON remote_devices
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON remote_intents TO tandem_app;
ALTER TABLE remote_intents ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON remote_intents
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON remote_entities TO tandem_app;
ALTER TABLE remote_entities ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON remote_entities
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON sync_plans TO tandem_app;
ALTER TABLE sync_plans ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON sync_plans
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON sync_plan_changes TO tandem_app;
ALTER TABLE sync_plan_changes ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON sync_plan_changes
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON golioth_sync_log TO tandem_app;
ALTER TABLE golioth_sync_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON golioth_sync_log
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON golioth_sync_log_entries TO tandem_app;
ALTER TABLE golioth_sync_log_entries ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON golioth_sync_log_entries
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON device_conflicts TO tandem_app;
ALTER TABLE device_conflicts ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON device_conflicts
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON service_leases TO tandem_app;
ALTER TABLE service_leases ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON service_leases
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON service_budgets TO tandem_app;
ALTER TABLE service_budgets ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON service_budgets
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));

GRANT SELECT, INSERT, UPDATE, DELETE ON service_slots TO tandem_app;
ALTER TABLE service_slots ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON service_slots
    USING (organization_id = (SELECT current_setting('tandem.organization_id', true)));
