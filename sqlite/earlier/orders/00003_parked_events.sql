-- +goose Up
-- Events that could not be delivered, until somebody puts them back.
CREATE TABLE parked_events (
    id        INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: what was put back is not meant again
    type      TEXT    NOT NULL,
    payload   TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    parked_at INTEGER NOT NULL -- microseconds since 1970, UTC
) STRICT;
