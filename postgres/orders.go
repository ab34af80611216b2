package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"hangar"
	"hangar/orders"
)

// Insert implements orders.Store. The order's hold must be its own. Where a
// product id is an integer, there is one more error: ValidationError.
func (s *OrderStore) Insert(ctx context.Context, o hangar.Order, key *orders.Key) (orders.Stored, error) {
	if err := s.tables.checkProductIDs(o.Details); err != nil {
		return orders.Stored{}, err
	}
	change := &orders.Change{Kind: orders.Create}
	changeJSON, err := json.Marshal(change)
	if err != nil {
		return orders.Stored{}, err
	}
	o.CreatedAt = timestamp(o.CreatedAt)
	products, prices, quantities := columns(o.Details)
	args := []any{string(o.Status), o.Version, o.Hold, string(changeJSON), o.CreatedAt, products, prices, quantities}
	query, keyed := s.tables.insert, ""
	if key != nil {
		query, keyed = s.tables.insertWithKey, key.Key
		args = append(args, key.Key, key.BodyHash)
	}
	var r row
	err = s.try(ctx, func(ctx context.Context, again bool) error {
		if !again {
			r = s.writeTogether(ctx, keyed, query, args)
			return r.err
		}
		r = s.writeAlone(ctx, query, args)
		if errors.Is(r.err, pgx.ErrNoRows) { // maybe it was stored the first time
			r = s.writeAlone(ctx, selectInserted, []any{o.Hold})
		}
		return r.err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows) && key != nil:
		return orders.Stored{}, hangar.Errorf(hangar.Conflict, "The idempotency key is known.")
	case errors.Is(err, pgx.ErrNoRows):
		return orders.Stored{}, fmt.Errorf("hold %s is that of another order", o.Hold)
	case err != nil:
		return orders.Stored{}, err
	}
	o.ID = r.id
	o.Details, err = numbered(o.Details, r.lines)
	// As it was inserted, whatever others may have made of it since.
	return orders.Stored{Order: o, Change: change, ChangedAt: o.CreatedAt}, err
}

const selectInserted = `SELECT o.id, (SELECT array_agg(d.id) FROM order_details d WHERE d.order_id = o.id)
	FROM orders o WHERE o.hold = $1`

func columns(details []hangar.OrderDetail) (products []string, prices, quantities []int64) {
	for _, d := range details {
		products = append(products, d.ProductID)
		prices = append(prices, int64(d.Price))
		quantities = append(quantities, d.Quantity)
	}
	return products, prices, quantities
}

// Key implements orders.Store.
func (s *OrderStore) Key(ctx context.Context, key string) (*orders.Key, error) {
	var stored storedKey
	err := s.try(ctx, func(ctx context.Context, _ bool) (err error) {
		stored, err = alone(ctx, s, func(ctx context.Context) (k storedKey, err error) {
			err = s.pool.QueryRow(ctx, "SELECT body_hash, order_id, refusal FROM idempotency_keys WHERE key = $1", key).
				Scan(&k.bodyHash, &k.orderID, &k.refusal)
			return k, err
		})
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k := orders.Key{Key: key, BodyHash: stored.bodyHash, OrderID: stored.orderID}
	if stored.refusal != nil {
		if err := json.Unmarshal([]byte(*stored.refusal), &k.Refusal); err != nil {
			return nil, fmt.Errorf("refusal of order %d: %w", k.OrderID, err)
		}
	}
	return &k, nil
}

// storedKey is a row of idempotency_keys.
type storedKey struct {
	bodyHash []byte
	orderID  int64
	refusal  *string
}

// Begin implements orders.Store.
func (s *OrderStore) Begin(ctx context.Context, id, version int64, c orders.Change) error {
	change, err := json.Marshal(c)
	if err != nil {
		return err
	}
	now := timestamp(time.Now())
	return s.try(ctx, func(ctx context.Context, again bool) error {
		tag, err := alone(ctx, s, func(ctx context.Context) (pgconn.CommandTag, error) {
			return s.pool.Exec(ctx, `UPDATE orders SET change = $3, version = version + 1, changed_at = $4, updated_at = $4
				WHERE id = $1::bigint AND version = $2 AND change IS NULL`, id, version, string(change), now)
		})
		switch {
		case err != nil || tag.RowsAffected() > 0:
			return err
		case again:
			return s.begun(ctx, id, version, string(change), now)
		default:
			return newNotAtVersion(id, version)
		}
	})
}

// begun returns nil if the change that is under way is the one that began at
// that time, and else who was faster, as far as that can be told.
func (s *OrderStore) begun(ctx context.Context, id, version int64, change string, at time.Time) error {
	var ours, settled bool
	err := s.pool.QueryRow(ctx, `SELECT version = $2 + 1 AND change = $3 AND changed_at = $4, version > $2 + 1 OR version = $2 + 1 AND change IS NULL
		FROM orders WHERE id = $1::bigint`, id, version, change, at).Scan(&ours, &settled)
	switch {
	case errors.Is(err, pgx.ErrNoRows) || settled:
		return unavailable(fmt.Errorf("the answer to a change of order %d was lost, and others went on", id))
	case err != nil || ours:
		return err
	default:
		return newNotAtVersion(id, version)
	}
}

func newNotAtVersion(id, version int64) error {
	return hangar.Errorf(hangar.Conflict, "Order %d is not at version %d any more.", id, version)
}

// Settle implements orders.Store.
func (s *OrderStore) Settle(ctx context.Context, id, version int64, c orders.Settlement) (bool, error) {
	query, args, err := settlement(id, version, c)
	if err != nil {
		return false, err
	}
	confirms := c.Event != nil && c.Details == nil // an order that nobody else has locked
	settled := false
	err = s.try(ctx, func(ctx context.Context, again bool) error {
		var r row
		if confirms && !again {
			r = s.writeTogether(ctx, "", query, args)
		} else {
			r = s.writeAlone(ctx, query, args)
		}
		settled = r.err == nil
		if errors.Is(r.err, pgx.ErrNoRows) {
			r.err = nil
		}
		if r.err == nil && c.Event != nil && (settled || again) {
			s.hint()
		}
		return r.err
	})
	return settled && err == nil, err
}

// settlement returns the statement that settles a change. It returns a row if
// there is one at that version, and otherwise changes nothing.
func settlement(id, version int64, c orders.Settlement) (query string, args []any, err error) {
	args = []any{id, version}
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	const underWay = ` WHERE id = $1::bigint AND version = $2 AND change IS NOT NULL RETURNING id`
	if c.Delete {
		return `WITH o AS (DELETE FROM orders` + underWay + `),
			d AS (DELETE FROM order_details USING o WHERE order_id = o.id)
			SELECT id, NULL::integer[] FROM o`, args, nil
	}
	now := arg(timestamp(time.Now()))
	query = `WITH o AS (UPDATE orders SET change = NULL, status = ` + arg(string(c.Status)) +
		`, changed_at = ` + now + `, updated_at = ` + now + underWay + `)`
	if c.Details != nil {
		_, prices, quantities := columns(c.Details)
		ids := make([]int64, len(c.Details))
		for i, d := range c.Details {
			ids[i] = d.ID
		}
		query += `, d AS (UPDATE order_details d SET price = line.price * 0.01, quantity = line.quantity, updated_at = ` + now + `
			FROM o, unnest(` + arg(ids) + `::bigint[], ` + arg(prices) + `::bigint[], ` + arg(quantities) + `::bigint[]) AS line (id, price, quantity)
			WHERE d.order_id = o.id AND d.id = line.id)`
	}
	if c.Refusal != nil {
		refusal, err := json.Marshal(c.Refusal)
		if err != nil {
			return "", nil, err
		}
		query += `, k AS (UPDATE idempotency_keys SET refusal = ` + arg(string(refusal)) + ` FROM o WHERE order_id = o.id)`
	}
	if c.Event != nil {
		query += `, e AS (INSERT INTO outbox (type, payload, origin) SELECT ` + arg(c.Event.Type) + `, ` + arg(string(c.Event.Payload)) +
			`, nullif(` + arg(c.Event.Origin) + `, '') FROM o)`
	}
	return query + ` SELECT id, NULL::integer[] FROM o`, args, nil
}

const sweepKeys = `DELETE FROM idempotency_keys WHERE key = ANY(ARRAY(
	SELECT key FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2))`

// SweepKeys implements orders.Store. Each batch is a transaction of its own.
func (s *OrderStore) SweepKeys(ctx context.Context, before time.Time) error {
	const batch = 1000 // rows that are locked at the same time
	for {
		var n int64
		err := s.try(ctx, func(ctx context.Context, _ bool) error {
			tag, err := s.pool.Exec(ctx, sweepKeys, timestamp(before), batch)
			n = tag.RowsAffected()
			return err
		})
		if err != nil || n < batch {
			return err
		}
	}
}
