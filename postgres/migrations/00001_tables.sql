-- +goose Up
-- As the Python services' own migration makes them: whichever comes first, the
-- other finds what it knows.
CREATE TABLE IF NOT EXISTS orders (
    id         serial    PRIMARY KEY,
    created_at timestamp NOT NULL, -- UTC
    updated_at timestamp NOT NULL
);

CREATE TABLE IF NOT EXISTS order_details (
    id         serial         PRIMARY KEY,
    order_id   integer        NOT NULL CONSTRAINT fk_order_details_orders REFERENCES orders (id),
    product_id varchar        NOT NULL,
    price      numeric(18, 2) NOT NULL,
    quantity   integer        NOT NULL,
    created_at timestamp      NOT NULL,
    updated_at timestamp      NOT NULL
);
