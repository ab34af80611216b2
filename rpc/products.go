package rpc

import (
	"context"

	"hangar"
	"hangar/nameko"
)

// Products is a products service on the other side of the broker. It is a
// hangar.ProductService and a hangar.Stock.
type Products struct {
	peer *peer
}

var (
	_ hangar.ProductService = (*Products)(nil)
	_ hangar.Stock          = (*Products)(nil)
)

// NewProducts returns a client of the service "products".
func NewProducts(c *nameko.Client) *Products {
	return &Products{newPeer(c, "products")}
}

// PutProduct implements hangar.ProductService.
func (p *Products) PutProduct(ctx context.Context, product hangar.Product) error {
	ctx, cancel := p.peer.begin(ctx, "create_product", writeTimeout)
	defer cancel()
	return p.put(ctx, product)
}

func (p *Products) put(ctx context.Context, product hangar.Product) error {
	if err := product.Validate(); err != nil { // a Python service takes more
		return err
	}
	call := nameko.Call{Method: "create", Args: []any{product}, Repeatable: true}
	return p.peer.call(ctx, call, nil, tryAgain)
}

// CreateProduct implements hangar.ProductService.
func (p *Products) CreateProduct(ctx context.Context, product hangar.Product) error {
	ctx, cancel := p.peer.begin(ctx, "create_product", writeTimeout)
	defer cancel()
	call := nameko.Call{Method: "create_new", Args: []any{product}}
	if known, err := p.peer.callNew(ctx, call, nil, lookFirst); known {
		return err
	}
	if err := product.Validate(); err != nil {
		return err
	}
	_, err := p.get(ctx, product.ID)
	switch hangar.CodeOf(err) {
	case "":
		return hangar.NewProductExists(product.ID)
	case hangar.ProductNotFound:
		return p.put(ctx, product)
	}
	return err
}

// Product implements hangar.ProductService.
func (p *Products) Product(ctx context.Context, id string) (hangar.Product, error) {
	ctx, cancel := p.peer.begin(ctx, "get_product", readTimeout)
	defer cancel()
	return p.get(ctx, id)
}

func (p *Products) get(ctx context.Context, id string) (hangar.Product, error) {
	var found readProduct
	err := p.peer.read(ctx, "get", &found, id)
	if nameko.IsError(err, keyError) {
		// Python met a hash that an event for an unknown product has made.
		return hangar.Product{}, hangar.NewProductNotFound(id)
	}
	return found.product(), err
}

// Products implements hangar.ProductService.
func (p *Products) Products(ctx context.Context, ids []string) ([]hangar.Product, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ctx, cancel := p.peer.begin(ctx, "get_order", readTimeout)
	defer cancel()
	var found []readProduct
	call := nameko.Call{Method: "get_many", Args: []any{ids}, Repeatable: true}
	if known, err := p.peer.callNew(ctx, call, &found, tryAgain); known {
		return productsOf(found), err
	}
	return p.getEach(ctx, ids)
}

// ListProducts implements hangar.ProductService.
func (p *Products) ListProducts(ctx context.Context, q hangar.ProductQuery) (hangar.Page[hangar.Product], error) {
	if err := q.Validate(); err != nil {
		return hangar.Page[hangar.Product]{}, err
	}
	ctx, cancel := p.peer.begin(ctx, "list_products", readTimeout)
	defer cancel()
	var found page[readProduct]
	args := []any{q.After, q.Limit}
	if q.Prefix != "" {
		args = append(args, q.Prefix)
	}
	call := nameko.Call{Method: "list_page", Args: args, Repeatable: true}
	known, err := p.peer.callNew(ctx, call, &found, tryAgain)
	isEarlier := q.Prefix != "" && nameko.IsError(err, nameko.IncorrectSignature) // and knows no prefix
	if known && !isEarlier {
		return hangar.Page[hangar.Product]{Items: productsOf(found.Items), More: found.More}, err
	}
	return p.listAndSlice(ctx, q)
}

// DeleteProduct implements hangar.ProductService.
func (p *Products) DeleteProduct(ctx context.Context, id string) error {
	ctx, cancel := p.peer.begin(ctx, "delete_product", writeTimeout)
	defer cancel()
	err := p.peer.call(ctx, nameko.Call{Method: "delete", Args: []any{id}}, nil, lookFirst)
	if nameko.IsError(err, nameko.MethodNotFound) {
		return p.peer.cannot("delete products")
	}
	return err
}

// ServeProducts adds the methods of a products service to s, and lets events
// handle what the orders service publishes. While s is busy, it answers calls
// with Unavailable.
func ServeProducts(s *nameko.Server, p hangar.ProductService, stock hangar.Stock, events hangar.OrderEvents) {
	m := productMethods{p, stock}
	s.RefuseWhenBusy(busy("products"))
	handle(s, "get", nameko.Params("product_id"), m.get)
	handle(s, "get_many", nameko.Params("product_ids"), m.getMany)
	handle(s, "list", nameko.Params(), m.list)
	handle(s, "list_page", nameko.Signature{Required: []string{"after", "limit"}, Optional: []string{"prefix"}}, m.listPage)
	handle(s, "create", nameko.Params("product"), m.create)
	handle(s, "create_new", nameko.Params("product"), m.createNew)
	handle(s, "edit", nameko.Params("product_id", "edit"), m.edit)
	handle(s, "delete", nameko.Params("product_id"), m.delete)
	handle(s, "restock", nameko.Params("product_id", "quantity"), m.restock)
	handle(s, "hold", holdSignature(), m.hold)
	handle(s, "stock_statistics", nameko.Params(), m.stockStatistics)
	s.HandleEvent(orderCreated(), handleOrderCreated(events))
}

type productMethods struct {
	products hangar.ProductService
	stock    hangar.Stock
}

func (m productMethods) get(ctx context.Context, args nameko.Args) (any, error) {
	return m.products.Product(ctx, text(args["product_id"]))
}

func (m productMethods) getMany(ctx context.Context, args nameko.Args) (any, error) {
	values, ok := args["product_ids"].([]any)
	if !ok {
		return nil, notValid("product_ids", "Not a valid list.")
	}
	ids := make([]string, len(values))
	for i, v := range values {
		ids[i] = text(v)
	}
	list, err := m.products.Products(ctx, ids)
	return orEmpty(list), err
}

func (m productMethods) list(ctx context.Context, _ nameko.Args) (any, error) {
	return all(func(last *hangar.Product) (hangar.Page[hangar.Product], error) {
		q := hangar.ProductQuery{Limit: hangar.MaxPageSize}
		if last != nil {
			q.After = last.ID
		}
		return m.products.ListProducts(ctx, q)
	})
}

func (m productMethods) listPage(ctx context.Context, args nameko.Args) (any, error) {
	limit, err := pageLimit(args)
	if err != nil {
		return nil, err
	}
	q := hangar.ProductQuery{Limit: limit}
	if after := args["after"]; after != nil {
		q.After = text(after)
	}
	if prefix := args["prefix"]; prefix != nil {
		q.Prefix = text(prefix)
	}
	p, err := m.products.ListProducts(ctx, q)
	return page[hangar.Product]{orEmpty(p.Items), p.More}, err
}

func (m productMethods) create(ctx context.Context, args nameko.Args) (any, error) {
	p, err := hangar.ParseProduct(args["product"])
	if err != nil {
		return nil, err
	}
	return nil, m.products.PutProduct(ctx, p)
}

func (m productMethods) createNew(ctx context.Context, args nameko.Args) (any, error) {
	p, err := hangar.ParseProduct(args["product"])
	if err != nil {
		return nil, err
	}
	return nil, m.products.CreateProduct(ctx, p)
}

func (m productMethods) delete(ctx context.Context, args nameko.Args) (any, error) {
	return nil, m.products.DeleteProduct(ctx, text(args["product_id"]))
}
