-- products.db as version 1 of its schema leaves it.
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO goose_db_version VALUES (1, 0, 1, '2026-03-01T11:59:59Z'), (2, 1, 1, '2026-03-01T11:59:59Z');

PRAGMA application_id = 0x686e6770;

CREATE TABLE products (
    id                 TEXT PRIMARY KEY,
    title              TEXT    NOT NULL,
    passenger_capacity INTEGER NOT NULL,
    maximum_speed      INTEGER NOT NULL,
    in_stock           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO products VALUES
    ('the_odyssey', 'The Odyssey', 101, 5, 10),
    ('ü ☃', 'Zeppelin', 0, 9007199254740991, -3);
