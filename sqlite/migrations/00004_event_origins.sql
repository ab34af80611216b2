-- +goose Up
-- Of which request an event is, for the log and traces; what it says is up to
-- its publisher. Null is not known.
ALTER TABLE outbox ADD COLUMN origin TEXT;
ALTER TABLE parked_events ADD COLUMN origin TEXT;
