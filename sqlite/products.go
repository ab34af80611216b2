package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"hangar"
	"hangar/products"
)

// ProductStore is a products.Store in a SQLite file.
type ProductStore struct {
	db *database
}

var _ products.Store = (*ProductStore)(nil)

const productColumns = "id, title, passenger_capacity, maximum_speed, in_stock"

// OpenProducts opens the file at path, makes it where it is missing, and brings
// it up to date. Error: ErrInUse, or what is wrong with the file.
func OpenProducts(ctx context.Context, path string) (*ProductStore, error) {
	db, err := openDatabase(ctx, path, productsFile)
	if err != nil {
		return nil, err
	}
	return &ProductStore{db: db}, nil
}

// Close finishes the writes that were accepted and lets go of the file.
func (s *ProductStore) Close() error { return s.db.close() }

// Put implements products.Store.
func (s *ProductStore) Put(ctx context.Context, p hangar.Product) error {
	return s.db.writer.do(ctx, func(t *tx) error {
		return t.exec(`INSERT INTO products (`+productColumns+`) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET title = excluded.title, passenger_capacity = excluded.passenger_capacity,
				maximum_speed = excluded.maximum_speed, in_stock = excluded.in_stock`,
			p.ID, p.Title, p.PassengerCapacity, p.MaximumSpeed, p.InStock)
	})
}

// Insert implements products.Store.
func (s *ProductStore) Insert(ctx context.Context, p hangar.Product) error {
	return s.db.writer.do(ctx, func(t *tx) error {
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
	found, err := s.query(ctx, "SELECT "+productColumns+" FROM products WHERE id = ?", id)
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
		return s.query(ctx, "SELECT "+productColumns+" FROM products WHERE id = ?", ids[0])
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
func (s *ProductStore) List(ctx context.Context, after string, limit int) ([]hangar.Product, error) {
	return s.query(ctx, "SELECT "+productColumns+" FROM products WHERE id > +? ORDER BY id LIMIT +?", after, int64(limit))
}

func (s *ProductStore) query(ctx context.Context, query string, args ...any) ([]hangar.Product, error) {
	var found []hangar.Product
	err := s.db.readers.query(ctx, query, args, func(r *row) error {
		found = append(found, hangar.Product{
			ID:                r.ColumnText(0),
			Title:             r.ColumnText(1),
			PassengerCapacity: r.ColumnInt64(2),
			MaximumSpeed:      r.ColumnInt64(3),
			InStock:           r.ColumnInt64(4),
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("select products: %w", err)
	}
	return found, nil
}

// Delete implements products.Store.
func (s *ProductStore) Delete(ctx context.Context, id string) error {
	return s.db.writer.do(ctx, func(t *tx) error {
		n, err := t.execCount("DELETE FROM products WHERE id = ?", id)
		if err == nil && n == 0 {
			return hangar.NewProductNotFound(id)
		}
		return err
	})
}

// Hold implements products.Store.
func (s *ProductStore) Hold(ctx context.Context, h hangar.Hold) error {
	return s.db.writer.do(ctx, func(t *tx) error {
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
	})
}

// Take implements products.Store.
func (s *ProductStore) Take(ctx context.Context, h hangar.Hold) error {
	// Almost always the order was held long ago: a look is enough.
	held := false
	err := s.db.readers.query(ctx, "SELECT version FROM holds WHERE id = ?", []any{h.ID}, func(r *row) error {
		held = r.ColumnInt64(0) >= h.Version
		return nil
	})
	if err != nil || held {
		return err
	}
	return s.db.writer.do(ctx, func(t *tx) error {
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
	return s.db.writer.sweep(ctx, "DELETE FROM holds WHERE id IN (SELECT id FROM holds WHERE changed_at < ? LIMIT ?)", before)
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
		m         marker
		heldJSON  string
		refusedAs sql.NullString
	)
	err = t.queryRow("SELECT version, held, refusal FROM holds WHERE id = ?", []any{h.ID}, &m.version, &heldJSON, &refusedAs)
	if err != nil {
		return nil, nil, err
	}
	if h.Version <= m.version {
		if refusedAs.Valid {
			m.refusal, err = decodeRefusal(refusedAs.String)
		}
		return nil, &m, err
	}
	if err := json.Unmarshal([]byte(heldJSON), &held); err != nil {
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
		s := hangar.Shortage{Requested: changes[id]}
		err := t.queryRow("SELECT in_stock FROM products WHERE id = ?", []any{id}, &s.InStock)
		if errors.Is(err, sql.ErrNoRows) {
			return hangar.NewHeldProductNotFound(id), nil
		}
		if err != nil {
			return nil, err
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
