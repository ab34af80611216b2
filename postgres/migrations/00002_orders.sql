-- +goose Up
-- Everybody else waits behind a lock that waits: rather fail soon, and be tried
-- again.
SET LOCAL lock_timeout = '300ms';

-- Constant defaults: no row is written, and what the Python services insert is
-- right.
ALTER TABLE orders
    ADD COLUMN status     text   NOT NULL DEFAULT 'confirmed',
    ADD COLUMN version    bigint NOT NULL DEFAULT 1,
    ADD COLUMN hold       text,
    ADD COLUMN change     text,      -- the change under way, as JSON
    ADD COLUMN changed_at timestamp; -- when the last change began or ended; null is created_at

CREATE TABLE outbox (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type    text NOT NULL,
    payload text NOT NULL
);

CREATE TABLE idempotency_keys (
    key        text      PRIMARY KEY,
    body_hash  bytea     NOT NULL,
    order_id   bigint    NOT NULL, -- stays when the order is deleted
    refusal    text,               -- the error that the order was rejected with, as JSON
    created_at timestamp NOT NULL
);

CREATE INDEX idempotency_keys_order_id ON idempotency_keys (order_id);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
