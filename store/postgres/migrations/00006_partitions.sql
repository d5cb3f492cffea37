-- +goose Up
-- The history of what devices report lies in partitions, a week each, so that what is old goes as a whole; and what devices
-- reported often in an hour is there summed up, for long plots.

ALTER TABLE device_observations RENAME TO device_observations_before;
ALTER TABLE device_observations_before RENAME CONSTRAINT device_observations_pkey TO device_observations_before_pkey;
ALTER INDEX device_observations_created_at RENAME TO device_observations_before_created_at_idx;
REVOKE ALL ON device_observations_before FROM tandem_app; -- a partition is reached through its table alone

-- As in 00004_server.sql. The key has the time of the value, so that the same value of the same instant is in one partition.
CREATE TABLE device_observations (
    organization_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    observed_at timestamptz NOT NULL,
    path text COLLATE "C" NOT NULL,
    service_id text COLLATE "C",
    value json NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, device_id, observed_at, path)
) PARTITION BY RANGE (observed_at);
CREATE INDEX device_observations_created_at ON device_observations USING brin (created_at) WITH (autosummarize = on);
GRANT SELECT, INSERT, UPDATE, DELETE ON device_observations TO tandem_app;
ALTER TABLE device_observations ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON device_observations
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

-- For whatever has no partition of its own yet, or never gets one since its time cannot be meant.
CREATE TABLE device_observations_rest PARTITION OF device_observations DEFAULT;
ALTER TABLE device_observations_rest ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON device_observations_rest
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

-- Which partitions there are, beside that one.
CREATE TABLE observation_partitions (
    name text COLLATE "C" PRIMARY KEY,
    begins timestamptz NOT NULL, -- -infinity: whatever is older
    ends timestamptz NOT NULL -- exclusive
);
ALTER TABLE observation_partitions ENABLE ROW LEVEL SECURITY;

-- The table as it was becomes the partition of all that is older than the next week, in place: nothing is copied, and it is
-- read once, to make sure.
-- +goose StatementBegin
DO $$
DECLARE
    following timestamptz := (date_trunc('week', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') + interval '168 hours';
BEGIN
    IF NOT EXISTS (SELECT FROM device_observations_before) THEN
        DROP TABLE device_observations_before;
        RETURN;
    END IF;
    WITH moved AS (DELETE FROM device_observations_before WHERE observed_at >= following RETURNING *) INSERT INTO device_observations SELECT * FROM moved;
    EXECUTE format('ALTER TABLE device_observations ATTACH PARTITION device_observations_before FOR VALUES FROM (MINVALUE) TO (%L)', following);
    INSERT INTO observation_partitions VALUES ('device_observations_before', '-infinity', following);
END
$$;
-- +goose StatementEnd

-- Both functions work as the tables' owner, since tandem_app makes and drops nothing.
-- +goose StatementBegin
DO $migration$
BEGIN
    -- Makes the partition of an instant's week, takes what the default one has of it along, and says whether there is one.
    -- The transaction that calls it should do nothing else.
    EXECUTE format($create$
CREATE FUNCTION make_observation_partition(instant timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = %I, pg_temp SET lock_timeout = '900ms' AS $body$
DECLARE
    week timestamptz := date_trunc('week', instant AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    after timestamptz := week + interval '168 hours';
    part text := 'device_observations_' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
    IF instant < clock_timestamp() - interval '10 years' OR instant > clock_timestamp() + interval '1 year' THEN
        RETURN FALSE;
    END IF;
    IF EXISTS (SELECT FROM observation_partitions WHERE begins <= instant AND ends > instant) THEN
        RETURN TRUE;
    END IF;
    IF NOT pg_has_role(session_user, 'tandem_app', 'MEMBER') THEN
        RAISE insufficient_privilege;
    END IF;
    LOCK TABLE observation_partitions IN EXCLUSIVE MODE; -- one at a time
    IF EXISTS (SELECT FROM observation_partitions WHERE begins <= instant AND ends > instant) THEN
        RETURN TRUE;
    END IF;
    LOCK TABLE device_observations_rest IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE %%I (LIKE device_observations INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
    EXECUTE format('ALTER TABLE %%I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('CREATE POLICY organization ON %%I USING (CASE (SELECT current_setting(''tandem.organization_id'', true)) WHEN ''*'' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END)', part);
    EXECUTE format('WITH moved AS (DELETE FROM device_observations_rest WHERE observed_at >= $1 AND observed_at < $2 RETURNING *) INSERT INTO %%I SELECT * FROM moved', part) USING week, after;
    EXECUTE format('ALTER TABLE device_observations ATTACH PARTITION %%I FOR VALUES FROM (%%L) TO (%%L)', part, week, after);
    INSERT INTO observation_partitions VALUES (part, week, after);
    RETURN TRUE;
END
$body$
$create$, current_schema());

    -- Drops the oldest partition of which nothing is kept: its time is over, and nothing in it was written since an instant.
    -- It says how many it dropped. What others hold is left for the next time.
    EXECUTE format($create$
CREATE FUNCTION drop_observation_partition(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = %I, pg_temp SET lock_timeout = '900ms' SET enable_seqscan = off AS $body$
DECLARE
    part text;
    young boolean;
BEGIN
    IF NOT pg_has_role(session_user, 'tandem_app', 'MEMBER') OR current_setting('tandem.organization_id', true) IS DISTINCT FROM '*' THEN
        RAISE insufficient_privilege;
    END IF;
    FOR part IN SELECT name FROM observation_partitions WHERE ends <= before ORDER BY ends LOOP
        BEGIN
            EXECUTE format('LOCK TABLE %%I IN SHARE MODE', part); -- what comes late waits
            EXECUTE format('SELECT EXISTS (SELECT FROM %%I WHERE created_at >= $1)', part) INTO young USING before;
            IF NOT young THEN
                EXECUTE format('DROP TABLE %%I', part);
                DELETE FROM observation_partitions WHERE name = part;
                RETURN 1;
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    RETURN 0;
END
$body$
$create$, current_schema());
END
$migration$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION make_observation_partition(timestamptz), drop_observation_partition(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_observation_partition(timestamptz), drop_observation_partition(timestamptz) TO tandem_app;
SELECT make_observation_partition(clock_timestamp() + w * interval '168 hours') FROM generate_series(0, 2) AS w;

-- An hour in which a device reported often, one row for each number that was in it.
CREATE TABLE observation_hours (
    organization_id text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    within text COLLATE "C" NOT NULL, -- the way into the payload as a JSON array; '' stands for the hour itself
    hour bigint NOT NULL, -- since 1970
    observations bigint NOT NULL, -- all of the path in the hour
    count bigint NOT NULL, -- the numbers among them
    min double precision NOT NULL,
    max double precision NOT NULL,
    sum double precision NOT NULL,
    PRIMARY KEY (organization_id, device_id, path, within, hour)
);
CREATE INDEX observation_hours_hour ON observation_hours USING brin (hour) WITH (autosummarize = on);
GRANT SELECT, INSERT, UPDATE, DELETE ON observation_hours TO tandem_app;
ALTER TABLE observation_hours ENABLE ROW LEVEL SECURITY;
CREATE POLICY organization ON observation_hours
    USING (CASE (SELECT current_setting('tandem.organization_id', true)) WHEN '*' THEN TRUE WHEN organization_id THEN TRUE ELSE FALSE END);

-- How far background work has come.
CREATE TABLE chores (
    name text COLLATE "C" PRIMARY KEY,
    until timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON chores TO tandem_app;
