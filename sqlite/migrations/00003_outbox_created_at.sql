-- +goose Up
-- Microseconds since 1970, UTC. Of what waits already, nobody knows since when.
ALTER TABLE outbox ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;

UPDATE outbox SET created_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER);
