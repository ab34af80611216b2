-- +goose Up
-- Everybody else waits behind a lock that waits: rather fail soon, and be tried
-- again.
SET LOCAL lock_timeout = '300ms';

-- Of which request an event is, for the log and traces; what it says is up to
-- its publisher. Null is not known. Processes of an earlier version go on beside it.
ALTER TABLE outbox ADD COLUMN origin text;
ALTER TABLE parked_events ADD COLUMN origin text;
