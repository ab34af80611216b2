package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"hangar"
)

// Restock implements products.Store. Its marker is one like those of holds: of
// less than nothing.
func (s *ProductStore) Restock(ctx context.Context, marker, id string, quantity int64) (hangar.Restocked, error) {
	var restocked hangar.Restocked
	err := s.file.writer.do(ctx, func(t *tx) (err error) {
		restocked, err = t.restock(marker, id, quantity)
		return err
	})
	return restocked, err
}

func (t *tx) restock(marker, id string, quantity int64) (hangar.Restocked, error) {
	held := map[string]int64{id: -quantity}
	replayed := false
	err := t.query("SELECT held FROM holds WHERE id = ?", []any{marker}, func(r *row) error {
		var kept map[string]int64
		if err := json.Unmarshal([]byte(r.ColumnText(0)), &kept); err != nil {
			return fmt.Errorf("restock %s: %w", marker, err)
		}
		if !maps.Equal(kept, held) {
			return hangar.NewRestockKeyReused()
		}
		replayed = true
		return nil
	})
	if err != nil {
		return hangar.Restocked{}, err
	}
	p, err := t.product(id)
	if err != nil || replayed {
		return hangar.Restocked{Product: p, Replayed: replayed && err == nil}, err
	}
	if p.InStock > hangar.MaxInteger-quantity {
		return hangar.Restocked{}, hangar.NewOverstocked()
	}
	p.InStock += quantity
	if err := t.exec("UPDATE products SET in_stock = ? WHERE id = ?", p.InStock, id); err != nil {
		return hangar.Restocked{}, err
	}
	text, err := encodeQuantities(held)
	if err != nil {
		return hangar.Restocked{}, err
	}
	err = t.exec("INSERT INTO holds (id, version, held, changed_at) VALUES (?, 1, ?, ?)", marker, text, micros(time.Now()))
	return hangar.Restocked{Product: p}, err
}

// product is Product as the transaction sees it.
func (t *tx) product(id string) (p hangar.Product, err error) {
	found := false
	err = t.query(selectProduct, []any{id}, func(r *row) error {
		p, found = scanProduct(r), true
		return nil
	})
	if err == nil && !found {
		err = hangar.NewProductNotFound(id)
	}
	return p, err
}
