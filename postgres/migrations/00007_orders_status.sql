-- +goose NO TRANSACTION
-- +goose Up
SET statement_timeout = 0;

-- A run that was interrupted leaves an index that is not valid.
DROP INDEX CONCURRENTLY IF EXISTS orders_status_id;

CREATE INDEX CONCURRENTLY orders_status_id ON orders (status, id);
