-- +goose Up
CREATE INDEX orders_status ON orders (status); -- and by id, as each index is
