package rpc

import (
	"context"

	"hangar"
	"hangar/nameko"
)

// edit is what a product is changed to, as it travels.
type edit struct {
	Title             string `json:"title"`
	PassengerCapacity int64  `json:"passenger_capacity"`
	MaximumSpeed      int64  `json:"maximum_speed"`
}

// EditProduct implements hangar.ProductService.
func (p *Products) EditProduct(ctx context.Context, e hangar.ProductEdit) (hangar.Product, error) {
	if err := e.Validate(); err != nil {
		return hangar.Product{}, err
	}
	ctx, cancel := p.peer.begin(ctx, "edit_product", writeTimeout)
	defer cancel()
	call := nameko.Call{Method: "edit", Args: []any{e.ID, edit{e.Title, e.PassengerCapacity, e.MaximumSpeed}}}
	var edited readProduct
	err := p.peer.call(ctx, call, &edited, lookFirst)
	if nameko.IsError(err, nameko.MethodNotFound) {
		return hangar.Product{}, p.peer.cannot("edit products")
	}
	if err != nil {
		return hangar.Product{}, err
	}
	return edited.product(), nil
}

func (m productMethods) edit(ctx context.Context, args nameko.Args) (any, error) {
	e, err := hangar.ParseProductEdit(text(args["product_id"]), args["edit"])
	if err != nil {
		return nil, err
	}
	return m.products.EditProduct(ctx, e)
}
