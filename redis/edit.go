package redis

import (
	"context"
	"fmt"

	"hangar"
)

// Edit implements products.Store.
func (s *ProductStore) Edit(ctx context.Context, e hangar.ProductEdit) (hangar.Product, error) {
	reply, _, err := s.link.run(ctx, s.scripts.edit, []string{indexKey}, []string{
		e.ID, e.Title, decimal(e.PassengerCapacity), decimal(e.MaximumSpeed),
	})
	if err != nil {
		return hangar.Product{}, fmt.Errorf("edit product: %w", err)
	}
	stock := text(reply)
	if stock == "" {
		return hangar.Product{}, hangar.NewProductNotFound(e.ID)
	}
	inStock, isWhole := parseWhole(stock)
	if !isWhole {
		return hangar.Product{}, fmt.Errorf("edit product %s: %q in stock is no whole number", e.ID, stock)
	}
	return hangar.Product{
		ID: e.ID, Title: e.Title, PassengerCapacity: e.PassengerCapacity, MaximumSpeed: e.MaximumSpeed, InStock: inStock,
	}, nil
}
