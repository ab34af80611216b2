package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// alembic is what the Python services' migration makes, with that type of a
// product id.
func alembic(productIDs string) string {
	return `
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE orders (
    id SERIAL NOT NULL,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE order_details (
    id SERIAL NOT NULL,
    order_id INTEGER NOT NULL,
    product_id ` + productIDs + ` NOT NULL,
    price NUMERIC(18, 2) NOT NULL,
    quantity INTEGER NOT NULL,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT fk_order_details_orders FOREIGN KEY(order_id) REFERENCES orders (id)
);
INSERT INTO alembic_version (version_num) VALUES ('de23f0d0f3d7');`
}

// python is a Python orders service: it says what SQLAlchemy does.
type python struct {
	t    testing.TB
	conn *pgx.Conn
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t testing.TB, conn *pgx.Conn, statements string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// create stores an order of one line.
func (p python) create(productID, price string, quantity int) (order, line int64) {
	p.t.Helper()
	err := pgx.BeginFunc(p.t.Context(), p.conn, func(tx pgx.Tx) error {
		ctx := p.t.Context()
		err := tx.QueryRow(ctx, `INSERT INTO orders (created_at, updated_at)
			VALUES ('2026-03-01T12:00:00.123456'::timestamp, '2026-03-01T12:00:00.123460'::timestamp) RETURNING orders.id`).Scan(&order)
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, fmt.Sprintf(`INSERT INTO order_details (created_at, updated_at, order_id, product_id, price, quantity)
			VALUES ('2026-03-01T12:00:00.123456'::timestamp, '2026-03-01T12:00:00.123460'::timestamp, %d, %s, %s, %d)
			RETURNING order_details.id`, order, productID, price, quantity)).Scan(&line)
	})
	if err != nil {
		p.t.Fatalf("a Python service's INSERT: %v", err)
	}
	return order, line
}

// update changes a line.
func (p python) update(line int64, price string, quantity int) {
	p.t.Helper()
	execute(p.t, p.conn, fmt.Sprintf(`UPDATE order_details SET updated_at='2026-03-02T12:00:00.123456'::timestamp, price=%s, quantity=%d
		WHERE order_details.id = %d`, price, quantity, line))
}

// lines returns the lines of an order.
func (p python) lines(order int64) string {
	p.t.Helper()
	rows, err := p.conn.Query(p.t.Context(), `SELECT order_details.created_at AS order_details_created_at,
		order_details.updated_at AS order_details_updated_at, order_details.id AS order_details_id,
		order_details.order_id AS order_details_order_id, order_details.product_id AS order_details_product_id,
		order_details.price AS order_details_price, order_details.quantity AS order_details_quantity
		FROM order_details WHERE $1 = order_details.order_id`, order)
	if err != nil {
		p.t.Fatalf("a Python service's SELECT: %v", err)
	}
	found := ""
	for rows.Next() {
		var productID, price string
		var quantity int
		if err := rows.Scan(nil, nil, nil, nil, &productID, &price, &quantity); err != nil {
			p.t.Fatalf("a Python service's SELECT: %v", err)
		}
		found += fmt.Sprintf("%s %s %d\n", productID, price, quantity)
	}
	if err := rows.Err(); err != nil {
		p.t.Fatalf("a Python service's SELECT: %v", err)
	}
	return found
}
