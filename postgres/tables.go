package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"hangar"
)

// tables are what differs between the tables of the Python services and of those
// that descend from them, and the statements that depend on it.
type tables struct {
	nextOrder  string // the expression that makes the id of an order
	productIDs string // the type of a line's product id: varchar there, integer in some

	insert, insertWithKey string
}

// inspect returns how the tables are. It is an error if they cannot be used.
func inspect(ctx context.Context, conn *pgx.Conn) (t tables, err error) {
	err = conn.QueryRow(ctx, `SELECT
		(SELECT coalesce((SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum),
			format('nextval(%L)', pg_get_serial_sequence('orders', 'id')))
			FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'id'),
		(SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'order_details'::regclass AND attname = 'product_id')`).
		Scan(&t.nextOrder, &t.productIDs)
	if err != nil {
		return t, fmt.Errorf("look at the tables orders and order_details: %w", err)
	}
	t.insert, t.insertWithKey = t.insertOrder(false), t.insertOrder(true)
	for _, statement := range []string{t.insertWithKey, selectOrder} {
		if _, err := conn.PgConn().Prepare(ctx, "", statement, nil); err != nil {
			return t, fmt.Errorf("the tables orders and order_details are not as the Python services make them: %w", err)
		}
	}
	return t, checkRights(ctx, conn)
}

func checkRights(ctx context.Context, conn *pgx.Conn) error {
	var lacking *string
	err := conn.QueryRow(ctx, `SELECT string_agg(lacking, ', ' ORDER BY place, lacking) FROM (
			SELECT wanted || ' on ' || name AS lacking, place
			FROM unnest('{orders,order_details,outbox,parked_events,idempotency_keys}'::text[]) WITH ORDINALITY AS t (name, place),
			     unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS wanted
			WHERE NOT has_table_privilege(name, wanted)
			UNION ALL
			SELECT 'USAGE on ' || sequence, 100
			FROM unnest('{orders,order_details}'::text[]) AS name, pg_get_serial_sequence(name, 'id') AS sequence
			WHERE NOT has_sequence_privilege(sequence, 'USAGE')
		) AS rights`).Scan(&lacking)
	if err != nil {
		return fmt.Errorf("look at the rights on the tables: %w", err)
	}
	if lacking != nil {
		return fmt.Errorf("the database's user %q lacks %s: grant it", conn.Config().User, *lacking)
	}
	return nil
}

// insertOrder returns the statement that inserts an order with its lines, whose
// ids rise with their positions. It returns no row, and inserts nothing, if the
// key is known or there is an order with that hold. For a transaction that is
// about to insert such a one, it waits.
func (t tables) insertOrder(withKey bool) string {
	k := `SELECT ` + t.nextOrder + ` AS id`
	if withKey {
		k = `INSERT INTO idempotency_keys (key, body_hash, order_id, created_at) VALUES ($9, $10, ` + t.nextOrder + `, $5)
			ON CONFLICT (key) DO NOTHING RETURNING order_id AS id`
	}
	return `WITH k AS (` + k + `), o AS (
			INSERT INTO orders (id, status, version, hold, change, created_at, updated_at, changed_at) OVERRIDING SYSTEM VALUE
			SELECT id, $1::text, $2::bigint, $3::text, $4::text, $5::timestamp, $5, $5 FROM k
			ON CONFLICT (hold) WHERE hold IS NOT NULL DO NOTHING
			RETURNING id
		), d AS (
			INSERT INTO order_details (order_id, product_id, price, quantity, created_at, updated_at)
			SELECT o.id, line.product_id::` + t.productIDs + `, line.price * 0.01, line.quantity, $5, $5
			FROM o, unnest($6::text[], $7::bigint[], $8::bigint[]) WITH ORDINALITY AS line (product_id, price, quantity, position)
			ORDER BY line.position
			RETURNING id
		)
		SELECT o.id, (SELECT array_agg(d.id) FROM d) FROM o`
}

// checkProductIDs returns a ValidationError for ids that the column cannot hold,
// or would hold as other ids.
func (t tables) checkProductIDs(details []hangar.OrderDetail) error {
	bits, isInteger := map[string]int{"smallint": 16, "integer": 32, "bigint": 64}[t.productIDs]
	if !isInteger {
		return nil
	}
	lines := map[string]any{}
	for n, d := range details {
		id, err := strconv.ParseInt(d.ProductID, 10, bits)
		if err != nil || strconv.FormatInt(id, 10) != d.ProductID {
			lines[strconv.Itoa(n)] = map[string]any{"product_id": []string{"Not a valid integer."}}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return hangar.NewValidationError(map[string]any{"order_details": lines})
}
