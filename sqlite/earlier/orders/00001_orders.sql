-- +goose Up
PRAGMA application_id = 0x686e676f; -- "hngo"

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
