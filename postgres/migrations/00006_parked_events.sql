-- +goose Up
-- Events that could not be delivered, until somebody puts them back. A table of
-- its own: nothing that others use is locked.
CREATE TABLE parked_events (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type      text      NOT NULL,
    payload   text      NOT NULL,
    reason    text      NOT NULL,
    parked_at timestamp NOT NULL -- UTC
);
