-- orders.db as version 1 of its schema leaves it: a confirmed order, a pending
-- one, and the traces of others that were deleted.
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO goose_db_version VALUES (1, 0, 1, '2026-03-01T11:59:59Z'), (2, 1, 1, '2026-03-01T11:59:59Z');

PRAGMA application_id = 0x686e676f;

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

CREATE TABLE order_details (
    order_id   INTEGER NOT NULL REFERENCES orders (id),
    id         INTEGER NOT NULL, -- rises from order to order
    product_id TEXT    NOT NULL,
    price      INTEGER NOT NULL, -- hundredths
    quantity   INTEGER NOT NULL,
    PRIMARY KEY (order_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY,
    type    TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;

INSERT INTO orders VALUES
    (1, 'confirmed', 3, '0199f5a0-0000-7000-8000-000000000001', NULL, 1772366400123456, 1772366500000000),
    (4, 'pending', 1, '0199f5a0-0000-7000-8000-000000000004', '{"kind":"create"}', 1772366401000000, 1772366401000000);
INSERT INTO order_details VALUES
    (1, 1, 'the_odyssey', 10000099, 1),
    (1, 2, 'ü ☃', 550, 2147483647),
    (4, 7, 'the_odyssey', 0, 5);
INSERT INTO outbox VALUES (3, 'order_created', '{"order":{"id":1}}');
UPDATE sqlite_sequence SET seq = 9 WHERE name = 'orders';
