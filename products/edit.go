package products

import (
	"context"

	"hangar"
)

// EditProduct implements hangar.ProductService.
func (s *Service) EditProduct(ctx context.Context, e hangar.ProductEdit) (hangar.Product, error) {
	if err := e.Validate(); err != nil {
		return hangar.Product{}, err
	}
	p, err := s.store.Edit(ctx, e)
	return p, s.announced(ctx, e.ID, err)
}
