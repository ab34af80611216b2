-- +goose NO TRANSACTION
-- +goose Up
SET statement_timeout = 0;

-- A run that was interrupted leaves an index that is not valid.
DROP INDEX CONCURRENTLY IF EXISTS order_details_order_id;

CREATE INDEX CONCURRENTLY order_details_order_id ON order_details (order_id);
