-- +goose Up
PRAGMA application_id = 0x686e6772; -- "hngr"

CREATE TABLE orders (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice, not even after a deletion
    status     TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    hold       TEXT    NOT NULL,
    change     TEXT,              -- the change under way, as JSON
    created_at INTEGER NOT NULL,  -- microseconds since 1970, UTC
    changed_at INTEGER NOT NULL
) STRICT;

CREATE INDEX orders_unsettled ON orders (id) WHERE change IS NOT NULL;

-- The lines of an order lie side by side.
CREATE TABLE order_details (
    order_id   INTEGER NOT NULL REFERENCES orders (id),
    id         INTEGER NOT NULL, -- rises from order to order
    product_id TEXT    NOT NULL,
    price      INTEGER NOT NULL, -- hundredths
    quantity   INTEGER NOT NULL,
    PRIMARY KEY (order_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY, -- above all that are there
    type    TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;

CREATE TABLE idempotency_keys (
    key        TEXT PRIMARY KEY,
    body_hash  BLOB    NOT NULL,
    order_id   INTEGER NOT NULL, -- stays when the order is deleted
    refusal    TEXT,             -- the error that the order was rejected with, as JSON
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_order_id ON idempotency_keys (order_id);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- Events that could not be delivered, until somebody puts them back.
CREATE TABLE parked_events (
    id        INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: what was put back is not meant again
    type      TEXT    NOT NULL,
    payload   TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    parked_at INTEGER NOT NULL -- microseconds since 1970, UTC
) STRICT;

CREATE TABLE products (
    id                 TEXT PRIMARY KEY,
    title              TEXT    NOT NULL,
    passenger_capacity INTEGER NOT NULL,
    maximum_speed      INTEGER NOT NULL,
    in_stock           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE holds (
    id         TEXT PRIMARY KEY,
    version    INTEGER NOT NULL,
    held       TEXT    NOT NULL, -- product id to units, as JSON
    refusal    TEXT,             -- the error that the version was refused with, as JSON
    changed_at INTEGER NOT NULL  -- microseconds since 1970, UTC
) STRICT, WITHOUT ROWID;

CREATE INDEX holds_changed_at ON holds (changed_at);

