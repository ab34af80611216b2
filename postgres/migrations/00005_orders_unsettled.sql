-- +goose NO TRANSACTION
-- +goose Up
SET statement_timeout = 0;

-- A run that was interrupted leaves an index that is not valid.
DROP INDEX CONCURRENTLY IF EXISTS orders_unsettled;

CREATE INDEX CONCURRENTLY orders_unsettled ON orders (id) WHERE change IS NOT NULL;
