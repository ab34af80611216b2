package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"hangar"
	"hangar/products"
)

// ProductStore is a products.Store in a SQLite file.
type ProductStore struct {
	file *Store
}

var _ products.Store = (*ProductStore)(nil)

const (
	productColumns = "id, title, passenger_capacity, maximum_speed, in_stock"
	selectProduct  = "SELECT " + productColumns + " FROM products WHERE id = ?"
)

// Put implements products.Store.
func (s *ProductStore) Put(ctx context.Context, p hangar.Product) error {
	return s.file.writer.do(ctx, func(t *tx) error {
		return t.exec(`INSERT INTO products (`+productColumns+`) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET title = excluded.title, passenger_capacity = excluded.passenger_capacity,
				maximum_speed = excluded.maximum_speed, in_stock = excluded.in_stock`,
			p.ID, p.Title, p.PassengerCapacity, p.MaximumSpeed, p.InStock)
	})
}

// Insert implements products.Store.
func (s *ProductStore) Insert(ctx context.Context, p hangar.Product) error {
	return s.file.writer.do(ctx, func(t *tx) error {
		n, err := t.execCount(`INSERT INTO products (`+productColumns+`) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			p.ID, p.Title, p.PassengerCapacity, p.MaximumSpeed, p.InStock)
		if err == nil && n == 0 {
			return hangar.NewProductExists(p.ID)
		}
		return err
	})
}

// Product implements products.Store.
func (s *ProductStore) Product(ctx context.Context, id string) (hangar.Product, error) {
	found, err := s.query(ctx, selectProduct, id)
	if err != nil {
		return hangar.Product{}, err
	}
	if len(found) == 0 {
		return hangar.Product{}, hangar.NewProductNotFound(id)
	}
	return found[0], nil
}

// Products implements products.Store.
func (s *ProductStore) Products(ctx context.Context, ids []string) ([]hangar.Product, error) {
	if len(ids) == 1 {
		return s.query(ctx, selectProduct, ids[0])
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	// CROSS JOIN keeps the ids as the outer loop, and so their order.
	return s.query(ctx, `SELECT p.id, p.title, p.passenger_capacity, p.maximum_speed, p.in_stock
		FROM json_each(?) ids CROSS JOIN products p ON p.id = ids.value ORDER BY ids.key`, string(list))
}

// List implements products.Store.
func (s *ProductStore) List(ctx context.Context, q hangar.ProductQuery) ([]hangar.Product, error) {
	query, args := selectProducts(q)
	return s.query(ctx, query, args...)
}

// selectProducts has one bound at each end of the ids, so that none is read that
// is not returned.
func selectProducts(q hangar.ProductQuery) (query string, args []any) {
	where, args := "id > +?", []any{q.After}
	if q.After < q.Prefix {
		where, args = "id >= +?", []any{q.Prefix}
	}
	if end := q.End(); end != "" {
		where, args = where+" AND id < +?", append(args, end)
	}
	return "SELECT " + productColumns + " FROM products WHERE " + where + " ORDER BY id LIMIT +?", append(args, int64(q.Limit))
}

func (s *ProductStore) query(ctx context.Context, query string, args ...any) ([]hangar.Product, error) {
	var found []hangar.Product
	err := s.file.readers.query(ctx, query, args, func(r *row) error {
		found = append(found, scanProduct(r))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("select products: %w", err)
	}
	return found, nil
}

func scanProduct(r *row) hangar.Product {
	return hangar.Product{
		ID:                r.ColumnText(0),
		Title:             r.ColumnText(1),
		PassengerCapacity: r.ColumnInt64(2),
		MaximumSpeed:      r.ColumnInt64(3),
		InStock:           r.ColumnInt64(4),
	}
}

// Delete implements products.Store.
func (s *ProductStore) Delete(ctx context.Context, id string) error {
	return s.file.writer.do(ctx, func(t *tx) error {
		n, err := t.execCount("DELETE FROM products WHERE id = ?", id)
		if err == nil && n == 0 {
			return hangar.NewProductNotFound(id)
		}
		return err
	})
}

// Hold implements products.Store.
func (s *ProductStore) Hold(ctx context.Context, h hangar.Hold) error {
	return s.file.writer.do(ctx, func(t *tx) error { return t.hold(h) })
}

func (t *tx) hold(h hangar.Hold) error {
	held, m, err := t.nextVersion(h)
	if err != nil {
		return err
	}
	if m != nil {
		return m.answer(h)
	}
	refusal, err := t.moveStock(deltas(held, h.Quantities))
	if err != nil || refusal == nil {
		return err
	}
	if err := t.refuse(h, held, refusal); err != nil {
		return err
	}
	return refusal
}

// Take implements products.Store.
func (s *ProductStore) Take(ctx context.Context, h hangar.Hold) error {
	// Almost always the order was held long ago: a look is enough.
	held := false
	err := s.file.readers.query(ctx, "SELECT version FROM holds WHERE id = ?", []any{h.ID}, func(r *row) error {
		held = r.ColumnInt64(0) >= h.Version
		return nil
	})
	if err != nil || held {
		return err
	}
	return s.file.writer.do(ctx, func(t *tx) error {
		held, m, err := t.nextVersion(h)
		if err != nil || m != nil {
			return err
		}
		for id, n := range deltas(held, h.Quantities) {
			if err := t.exec("UPDATE products SET in_stock = in_stock - ? WHERE id = ?", n, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// SweepHolds implements products.Store.
func (s *ProductStore) SweepHolds(ctx context.Context, before time.Time) error {
	return s.file.writer.sweep(ctx, "DELETE FROM holds WHERE id IN (SELECT id FROM holds WHERE changed_at < ? LIMIT ?)", before)
}

// marker is what is known of a hold.
type marker struct {
	version int64
	refusal *hangar.Error
}

// answer is what a version that is not newer than the marker's gets.
func (m *marker) answer(h hangar.Hold) error {
	switch {
	case h.Version < m.version:
		return hangar.NewStaleHold(h, m.version)
	case m.refusal != nil:
		return m.refusal
	}
	return nil
}

// nextVersion notes that h is held now and returns what was held before. If h is
// not newer than what is noted, it changes nothing and returns that.
func (t *tx) nextVersion(h hangar.Hold) (held map[string]int64, known *marker, err error) {
	now := micros(time.Now())
	quantities, err := encodeQuantities(h.Quantities)
	if err != nil {
		return nil, nil, err
	}
	// Nearly every hold is the first of its order: try that.
	n, err := t.execCount("INSERT INTO holds (id, version, held, changed_at) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
		h.ID, h.Version, quantities, now)
	if err != nil {
		return nil, nil, err
	}
	if n > 0 {
		return h.Before, nil, nil
	}
	var (
		m                 marker
		heldText, refusal string
	)
	err = t.query("SELECT version, held, refusal FROM holds WHERE id = ?", []any{h.ID}, func(r *row) error {
		m.version, heldText, refusal = r.ColumnInt64(0), r.ColumnText(1), r.ColumnText(2)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if h.Version <= m.version {
		if refusal != "" {
			m.refusal, err = decodeRefusal(refusal)
		}
		return nil, &m, err
	}
	if err := json.Unmarshal([]byte(heldText), &held); err != nil {
		return nil, nil, fmt.Errorf("hold %s: %w", h.ID, err)
	}
	return held, nil, t.exec("UPDATE holds SET version = ?, held = ?, refusal = NULL, changed_at = ? WHERE id = ?",
		h.Version, quantities, now, h.ID)
}

// refuse notes that h was refused and that what was held before still is.
func (t *tx) refuse(h hangar.Hold, held map[string]int64, refusal *hangar.Error) error {
	heldJSON, err := encodeQuantities(held)
	if err != nil {
		return err
	}
	refusalJSON, err := json.Marshal(refusal)
	if err != nil {
		return err
	}
	return t.exec("UPDATE holds SET held = ?, refusal = ? WHERE id = ?", heldJSON, string(refusalJSON), h.ID)
}

// deltas returns what has to leave the stock, by product, to get from held to
// wanted; below zero is what comes back.
func deltas(held, wanted map[string]int64) map[string]int64 {
	if len(held) == 0 {
		return wanted
	}
	changes := maps.Clone(wanted)
	if changes == nil {
		changes = make(map[string]int64)
	}
	for id, n := range held {
		changes[id] -= n
	}
	return changes
}

// moveStock takes all of changes out of the stock, or refuses and takes none.
// What comes back for a product that was deleted is gone with it.
func (t *tx) moveStock(changes map[string]int64) (refusal *hangar.Error, err error) {
	var short []string
	moved := make(map[string]int64, len(changes))
	for id, n := range changes {
		if n == 0 {
			continue
		}
		changed, err := t.execCount("UPDATE products SET in_stock = in_stock - ?1 WHERE id = ?2 AND (?1 < 0 OR in_stock >= ?1)", n, id)
		switch {
		case err != nil:
			return nil, err
		case changed > 0:
			moved[id] = n
		case n > 0:
			short = append(short, id)
		}
	}
	if len(short) == 0 {
		return nil, nil
	}
	for id, n := range moved {
		if err := t.exec("UPDATE products SET in_stock = in_stock + ? WHERE id = ?", n, id); err != nil {
			return nil, err
		}
	}
	return t.whyShort(short, changes)
}

func (t *tx) whyShort(short []string, changes map[string]int64) (*hangar.Error, error) {
	slices.Sort(short)
	shortages := make(map[string]hangar.Shortage, len(short))
	for _, id := range short {
		s, found := hangar.Shortage{Requested: changes[id]}, false
		err := t.query("SELECT in_stock FROM products WHERE id = ?", []any{id}, func(r *row) error {
			s.InStock, found = r.ColumnInt64(0), true
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !found {
			return hangar.NewHeldProductNotFound(id), nil
		}
		shortages[id] = s
	}
	return hangar.NewOutOfStock(shortages), nil
}

func encodeQuantities(quantities map[string]int64) (string, error) {
	if quantities == nil {
		return "{}", nil
	}
	b, err := json.Marshal(quantities)
	return string(b), err
}

func decodeRefusal(s string) (*hangar.Error, error) {
	var refusal hangar.Error
	if err := json.Unmarshal([]byte(s), &refusal); err != nil {
		return nil, fmt.Errorf("stored refusal: %w", err)
	}
	return &refusal, nil
}
