-- +goose Up
PRAGMA application_id = 0x686e6770; -- "hngp"

CREATE TABLE products (
    id                 TEXT PRIMARY KEY,
    title              TEXT    NOT NULL,
    passenger_capacity INTEGER NOT NULL,
    maximum_speed      INTEGER NOT NULL,
    in_stock           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
