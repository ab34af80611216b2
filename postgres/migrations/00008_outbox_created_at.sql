-- +goose Up
-- Everybody else waits behind a lock that waits: rather fail soon, and be tried
-- again.
SET LOCAL lock_timeout = '300ms';

-- A default that is the same for all rows that are there: none is written. What
-- an older hangar beside this one inserts, gets its time too.
ALTER TABLE outbox ADD COLUMN created_at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc');
