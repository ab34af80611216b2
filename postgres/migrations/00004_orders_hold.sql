-- +goose NO TRANSACTION
-- +goose Up
SET statement_timeout = 0;

-- A run that was interrupted leaves an index that is not valid.
DROP INDEX CONCURRENTLY IF EXISTS orders_hold;

CREATE UNIQUE INDEX CONCURRENTLY orders_hold ON orders (hold) WHERE hold IS NOT NULL;
