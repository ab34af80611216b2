-- +goose Up
CREATE TABLE idempotency_keys (
    key        TEXT PRIMARY KEY,
    body_hash  BLOB    NOT NULL,
    order_id   INTEGER NOT NULL, -- stays when the order is deleted
    refusal    TEXT,             -- the error that the order was rejected with, as JSON
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_order_id ON idempotency_keys (order_id);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
