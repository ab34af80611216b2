package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"hangar"
	"hangar/orders"
)

// OrderStore is an orders.Store in a SQLite file.
type OrderStore struct {
	file       *Store
	added      chan struct{}
	relaying   chan struct{} // holds one while a Relay is under way
	lastDetail int64         // the highest id of a line; only the writer touches it
}

var (
	_ orders.Store   = (*OrderStore)(nil)
	_ orders.Creator = (*OrderStore)(nil)
)

func newOrderStore(ctx context.Context, file *Store) (*OrderStore, error) {
	s := &OrderStore{file: file, added: make(chan struct{}, 1), relaying: make(chan struct{}, 1)}
	// The ids of lines rise with those of orders: the last order has the last.
	err := file.readers.query(ctx, `SELECT coalesce(max(id), 0) FROM order_details
		WHERE order_id = (SELECT max(order_id) FROM order_details)`, nil, func(r *row) error {
		s.lastDetail = r.ColumnInt64(0)
		return nil
	})
	return s, err
}

// Orders with their lines, one row a line. A plus before a parameter hides its
// value from the query planner, which would else look at each new value of an
// id or a limit, and prepare the query anew for it.
var (
	selectOrder     = selectOrders("= +?", "")
	selectPage      = selectOrders("IN (SELECT id FROM orders WHERE id > +? ORDER BY id LIMIT +?)", "")
	selectNewest    = selectOrders("IN (SELECT id FROM orders WHERE id < +? ORDER BY id DESC LIMIT +?)", "DESC")
	selectStatus    = selectOrders("IN (SELECT id FROM orders WHERE status = +? AND id > +? ORDER BY id LIMIT +?)", "")
	selectNewestOf  = selectOrders("IN (SELECT id FROM orders WHERE status = +? AND id < +? ORDER BY id DESC LIMIT +?)", "DESC")
	selectUnsettled = selectOrders("IN (SELECT id FROM orders WHERE change IS NOT NULL AND id > +? ORDER BY id LIMIT +?)", "")
)

func selectOrders(ids, direction string) string {
	return `SELECT o.id, o.status, o.version, o.hold, o.change, o.created_at, o.changed_at,
	               d.id, d.product_id, d.price, d.quantity
	        FROM orders o LEFT JOIN order_details d ON d.order_id = o.id
	        WHERE o.id ` + ids + `
	        ORDER BY o.id ` + direction + `, d.id`
}

// Insert implements orders.Store.
func (s *OrderStore) Insert(ctx context.Context, o hangar.Order, key *orders.Key) (orders.Stored, error) {
	change := &orders.Change{Kind: orders.Create}
	text, err := json.Marshal(change)
	if err != nil {
		return orders.Stored{}, err
	}
	o.Details = slices.Clone(o.Details)
	err = s.file.writer.do(ctx, func(t *tx) error { return s.insert(t, &o, key, string(text)) })
	return orders.Stored{Order: o, Change: change, ChangedAt: o.CreatedAt}, err
}

// Create implements orders.Creator.
func (s *OrderStore) Create(ctx context.Context, o hangar.Order, key *orders.Key, outcome orders.Outcome) (hangar.Order, error) {
	hold := hangar.Hold{ID: o.Hold, Version: o.Version, Quantities: hangar.Quantities(o.Details)}
	var (
		created hangar.Order
		added   bool
	)
	err := s.file.writer.do(ctx, func(t *tx) error {
		created, added = o, false
		created.Details = slices.Clone(o.Details)
		created.Status = hangar.Confirmed // nearly every order is
		if err := s.insert(t, &created, key, nil); err != nil {
			return err
		}
		err := t.hold(hold)
		refusal, refused := errors.AsType[*hangar.Error](err)
		if err != nil && !refused {
			return err
		}
		var settlement orders.Settlement
		if created, settlement, err = outcome(created, refusal); err != nil {
			return err
		}
		if settlement.Status != hangar.Confirmed {
			if err := t.exec("UPDATE orders SET status = ? WHERE id = ?", string(settlement.Status), created.ID); err != nil {
				return err
			}
		}
		added = settlement.Event != nil
		if err := settle(t, created.ID, settlement); err != nil || refusal == nil {
			return err
		}
		return refusal
	})
	if err == nil && added {
		s.hint()
	}
	return created, err
}

// insert inserts an order with its lines and its key, and sets their ids. The
// change is text, or nil for none.
func (s *OrderStore) insert(t *tx, o *hangar.Order, key *orders.Key, change any) error {
	if key != nil {
		err := t.query("SELECT 1 FROM idempotency_keys WHERE key = ?", []any{key.Key}, func(*row) error {
			return hangar.Errorf(hangar.Conflict, "The idempotency key is known.")
		})
		if err != nil {
			return err
		}
	}
	created := micros(o.CreatedAt)
	var err error
	o.ID, err = t.insert(`INSERT INTO orders (status, version, hold, change, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?, ?)`, string(o.Status), o.Version, o.Hold, change, created, created)
	if err != nil {
		return err
	}
	for i, d := range o.Details {
		s.lastDetail++
		o.Details[i].ID = s.lastDetail
		err := t.exec("INSERT INTO order_details (order_id, id, product_id, price, quantity) VALUES (?, ?, ?, ?, ?)",
			o.ID, s.lastDetail, d.ProductID, int64(d.Price), d.Quantity)
		if err != nil {
			return err
		}
	}
	if key == nil {
		return nil
	}
	return t.exec("INSERT INTO idempotency_keys (key, body_hash, order_id, created_at) VALUES (?, ?, ?, ?)",
		key.Key, key.BodyHash, o.ID, created)
}

// Key implements orders.Store.
func (s *OrderStore) Key(ctx context.Context, key string) (*orders.Key, error) {
	var k *orders.Key
	err := s.file.readers.query(ctx, "SELECT body_hash, order_id, refusal FROM idempotency_keys WHERE key = ?", []any{key}, func(r *row) error {
		k = &orders.Key{Key: key, BodyHash: make([]byte, r.ColumnLen(0)), OrderID: r.ColumnInt64(1)}
		r.ColumnBytes(0, k.BodyHash)
		if r.ColumnIsNull(2) {
			return nil
		}
		var err error
		k.Refusal, err = decodeRefusal(r.ColumnText(2))
		return err
	})
	return k, err
}

// Order implements orders.Store.
func (s *OrderStore) Order(ctx context.Context, id int64) (orders.Stored, error) {
	found, err := s.query(ctx, selectOrder, id)
	if err != nil {
		return orders.Stored{}, fmt.Errorf("select order %d: %w", id, err)
	}
	if len(found) == 0 {
		return orders.Stored{}, hangar.NewOrderNotFound(strconv.FormatInt(id, 10))
	}
	return found[0], nil
}

// List implements orders.Store.
func (s *OrderStore) List(ctx context.Context, q hangar.OrderQuery) ([]hangar.Order, error) {
	query, after := selectPage, q.After
	switch {
	case q.NewestFirst && q.Status != "":
		query = selectNewestOf
	case q.NewestFirst:
		query = selectNewest
	case q.Status != "":
		query = selectStatus
	}
	if q.NewestFirst && after == 0 {
		after = math.MaxInt64
	}
	args := []any{after, int64(q.Limit)}
	if q.Status != "" {
		args = slices.Insert(args, 0, any(string(q.Status)))
	}
	found, err := s.query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	list := make([]hangar.Order, len(found))
	for i, stored := range found {
		list[i] = stored.Order
	}
	return list, nil
}

// Unsettled implements orders.Store.
func (s *OrderStore) Unsettled(ctx context.Context, after int64, limit int) ([]orders.Stored, error) {
	found, err := s.query(ctx, selectUnsettled, after, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("select unsettled orders: %w", err)
	}
	return found, nil
}

func (s *OrderStore) query(ctx context.Context, query string, args ...any) ([]orders.Stored, error) {
	var found []orders.Stored
	err := s.file.readers.query(ctx, query, args, func(r *row) error {
		if n := len(found); n == 0 || found[n-1].ID != r.ColumnInt64(0) {
			found = append(found, scanOrder(r))
		}
		if r.ColumnIsNull(7) {
			return nil
		}
		last := &found[len(found)-1]
		last.Details = append(last.Details, hangar.OrderDetail{
			ID:        r.ColumnInt64(7),
			ProductID: r.ColumnText(8),
			Price:     hangar.Price(r.ColumnInt64(9)),
			Quantity:  r.ColumnInt64(10),
		})
		return nil
	})
	return found, err
}

func scanOrder(r *row) orders.Stored {
	o := orders.Stored{
		Order: hangar.Order{
			ID:        r.ColumnInt64(0),
			Status:    hangar.OrderStatus(r.ColumnText(1)),
			Version:   r.ColumnInt64(2),
			Hold:      r.ColumnText(3),
			CreatedAt: fromMicros(r.ColumnInt64(5)),
		},
		ChangedAt: fromMicros(r.ColumnInt64(6)),
	}
	if !r.ColumnIsNull(4) {
		o.Change = orders.ParseChange([]byte(r.ColumnText(4)))
	}
	return o
}

// Begin implements orders.Store.
func (s *OrderStore) Begin(ctx context.Context, id, version int64, c orders.Change) error {
	change, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return s.file.writer.do(ctx, func(t *tx) error {
		n, err := t.execCount(`UPDATE orders SET change = ?, version = version + 1, changed_at = ?
			WHERE id = ? AND version = ? AND change IS NULL`, string(change), micros(time.Now()), id, version)
		if err == nil && n == 0 {
			return hangar.Errorf(hangar.Conflict, "Order %d is not at version %d any more.", id, version)
		}
		return err
	})
}

// Settle implements orders.Store.
func (s *OrderStore) Settle(ctx context.Context, id, version int64, c orders.Settlement) (bool, error) {
	settled := false
	err := s.file.writer.do(ctx, func(t *tx) error {
		n, err := t.execCount(`UPDATE orders SET change = NULL, status = ?, changed_at = ?
			WHERE id = ? AND version = ? AND change IS NOT NULL`, string(c.Status), micros(time.Now()), id, version)
		settled = n > 0
		if err != nil || !settled {
			return err
		}
		return settle(t, id, c)
	})
	if err == nil && settled && c.Event != nil {
		s.hint()
	}
	return settled && err == nil, err
}

func settle(t *tx, id int64, c orders.Settlement) error {
	if c.Delete {
		if err := t.exec("DELETE FROM order_details WHERE order_id = ?", id); err != nil {
			return err
		}
		return t.exec("DELETE FROM orders WHERE id = ?", id)
	}
	for _, d := range c.Details {
		err := t.exec("UPDATE order_details SET price = ?, quantity = ? WHERE id = ? AND order_id = ?",
			int64(d.Price), d.Quantity, d.ID, id)
		if err != nil {
			return err
		}
	}
	if c.Refusal != nil {
		refusal, err := json.Marshal(c.Refusal)
		if err != nil {
			return err
		}
		if err := t.exec("UPDATE idempotency_keys SET refusal = ? WHERE order_id = ?", string(refusal), id); err != nil {
			return err
		}
	}
	if c.Event != nil {
		var origin any // null if it is not known
		if c.Event.Origin != "" {
			origin = c.Event.Origin
		}
		return t.exec(insertEvent, c.Event.Type, string(c.Event.Payload), origin, micros(time.Now()))
	}
	return nil
}

// SweepKeys implements orders.Store.
func (s *OrderStore) SweepKeys(ctx context.Context, before time.Time) error {
	return s.file.writer.sweep(ctx, `DELETE FROM idempotency_keys WHERE key IN
		(SELECT key FROM idempotency_keys WHERE created_at < ? LIMIT ?)`, before)
}
