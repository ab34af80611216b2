package cache

import (
	"context"

	"hangar"
)

// Products is a products service with a cache before it. It is a
// hangar.ProductService. What it says is in stock is up to Config.MaxAge old: of
// holds it hears nothing.
type Products struct {
	hangar.ProductService // for what is not cached
	*reads[string, hangar.Product]
}

var _ hangar.ProductService = (*Products)(nil)

// NewProducts returns a cache of the products of a service. It is not used before
// Listening is called, and not after Run.
func NewProducts(s hangar.ProductService, c Config) *Products {
	r := newReads(c, loadProducts(s),
		func(hangar.Product) bool { return true },
		func(id string) error { return hangar.NewProductNotFound(id) })
	if c.Shared == nil {
		r.memory = newMemory[string](c, sizeOfProduct)
	} else {
		r.shared = newSharing(c,
			func(id string) string { return "product:" + id },
			func(id string, p hangar.Product) bool { return p.ID == id })
	}
	return &Products{s, r}
}

// sizeOfProduct returns about how many bytes a product takes.
func sizeOfProduct(p hangar.Product) int {
	const product = 96
	return product + 2*len(p.ID) + len(p.Title)
}

// Product implements hangar.ProductService.
func (p *Products) Product(ctx context.Context, id string) (hangar.Product, error) {
	return p.one(ctx, id)
}

// Products implements hangar.ProductService.
func (p *Products) Products(ctx context.Context, ids []string) ([]hangar.Product, error) {
	found, err := p.many(ctx, ids)
	if err != nil {
		return nil, err
	}
	var list []hangar.Product
	for _, id := range ids {
		if product, ok := found[id]; ok {
			list = append(list, product)
		}
	}
	return list, nil
}

func loadProducts(s hangar.ProductService) load[string, hangar.Product] {
	return func(ctx context.Context, ids []string) (map[string]hangar.Product, error) {
		if len(ids) == 1 { // which any products service can tell in one call
			product, err := s.Product(ctx, ids[0])
			switch hangar.CodeOf(err) {
			case "":
				return map[string]hangar.Product{ids[0]: product}, nil
			case hangar.ProductNotFound:
				return nil, nil
			}
			return nil, err
		}
		list, err := s.Products(ctx, ids)
		if err != nil {
			return nil, err
		}
		found := make(map[string]hangar.Product, len(list))
		for _, product := range list {
			found[product.ID] = product
		}
		return found, nil
	}
}

// ProductChanged forgets a product. When it returns, nothing that was read of it
// until now is answered any more.
func (p *Products) ProductChanged(ctx context.Context, e hangar.ProductChanged) { p.forget(ctx, e.ID) }

// PutProduct implements hangar.ProductService.
func (p *Products) PutProduct(ctx context.Context, product hangar.Product) error {
	defer p.forget(ctx, product.ID)
	return p.ProductService.PutProduct(ctx, product)
}

// CreateProduct implements hangar.ProductService.
func (p *Products) CreateProduct(ctx context.Context, product hangar.Product) error {
	defer p.forget(ctx, product.ID)
	return p.ProductService.CreateProduct(ctx, product)
}

// EditProduct implements hangar.ProductService.
func (p *Products) EditProduct(ctx context.Context, e hangar.ProductEdit) (hangar.Product, error) {
	defer p.forget(ctx, e.ID)
	return p.ProductService.EditProduct(ctx, e)
}

// Restock implements hangar.ProductService.
func (p *Products) Restock(ctx context.Context, r hangar.Restock) (hangar.Restocked, error) {
	defer p.forget(ctx, r.ID)
	return p.ProductService.Restock(ctx, r)
}

// DeleteProduct implements hangar.ProductService.
func (p *Products) DeleteProduct(ctx context.Context, id string) error {
	defer p.forget(ctx, id)
	return p.ProductService.DeleteProduct(ctx, id)
}
