-- +goose Up
CREATE TABLE holds (
    id         TEXT PRIMARY KEY,
    version    INTEGER NOT NULL,
    held       TEXT    NOT NULL, -- product id to units, as JSON
    refusal    TEXT,             -- the error that the version was refused with, as JSON
    changed_at INTEGER NOT NULL  -- microseconds since 1970, UTC
) STRICT, WITHOUT ROWID;

CREATE INDEX holds_changed_at ON holds (changed_at);
