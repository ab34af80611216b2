package rpc

import (
	"context"

	"hangar"
	"hangar/nameko"
)

// restocked is a product as restock returns it.
type restocked struct {
	hangar.Product
	Replayed bool `json:"replayed,omitempty"` // of an idempotency key
}

type readRestocked struct {
	readProduct
	Replayed bool `json:"replayed"`
}

// Restock implements hangar.ProductService.
func (p *Products) Restock(ctx context.Context, r hangar.Restock) (hangar.Restocked, error) {
	if err := r.Validate(); err != nil {
		return hangar.Restocked{}, err
	}
	ctx, cancel := p.peer.begin(ctx, "restock_product", writeTimeout)
	defer cancel()
	call, advice := nameko.Call{Method: "restock", Args: []any{r.ID, r.Quantity}}, lookFirst
	if r.IdempotencyKey != "" {
		ctx = nameko.WithData(ctx, idempotencyKey, r.IdempotencyKey)
		call.Repeatable, advice = true, sameRestockKey
	}
	var done readRestocked
	err := p.peer.call(ctx, call, &done, advice)
	if nameko.IsError(err, nameko.MethodNotFound) {
		return hangar.Restocked{}, p.peer.cannot("restock products")
	}
	if err != nil {
		return hangar.Restocked{}, err
	}
	return hangar.Restocked{Product: done.product(), Replayed: done.Replayed}, nil
}

func (m productMethods) restock(ctx context.Context, args nameko.Args) (any, error) {
	r, err := hangar.ParseRestock(text(args["product_id"]), map[string]any{"quantity": args["quantity"]})
	if err != nil {
		return nil, err
	}
	r.IdempotencyKey, _ = nameko.Data(ctx, idempotencyKey).(string)
	done, err := m.products.Restock(ctx, r)
	return restocked{done.Product, done.Replayed}, err
}
