-- +goose Up
-- What devices reported often in an hour, summed up, for long plots.

-- An hour in which a device reported often, one row for each number that was in it.
CREATE TABLE observation_hours (
    organization_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    path TEXT NOT NULL,
    within TEXT NOT NULL, -- the way into the payload as a JSON array; '' stands for the hour itself
    hour INTEGER NOT NULL, -- since 1970
    observations INTEGER NOT NULL, -- all of the path in the hour
    count INTEGER NOT NULL, -- the numbers among them
    min REAL NOT NULL,
    max REAL NOT NULL,
    sum REAL NOT NULL,
    PRIMARY KEY (organization_id, device_id, path, within, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX observation_hours_hour ON observation_hours (hour);

-- How far background work has come.
CREATE TABLE chores (
    name TEXT PRIMARY KEY,
    until TEXT NOT NULL
) STRICT, WITHOUT ROWID;
