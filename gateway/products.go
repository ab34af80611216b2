package gateway

import (
	"net/http"
	"net/url"

	"hangar"
)

type idBody[T any] struct {
	ID T `json:"id"`
}

func (g *gateway) postProduct(r *http.Request) (answer, error) {
	v, err := readJSON(r)
	if err != nil {
		return answer{}, err
	}
	p, err := hangar.ParseProduct(v)
	if err != nil {
		return answer{}, err
	}
	put := g.Products.PutProduct
	if r.Header.Get("If-None-Match") == "*" {
		put = g.Products.CreateProduct
	}
	if err := put(r.Context(), p); err != nil {
		return answer{}, err
	}
	return answer{body: idBody[string]{p.ID}}, nil
}

func (g *gateway) getProduct(r *http.Request) (answer, error) {
	p, err := g.Products.Product(r.Context(), r.PathValue("id"))
	return answer{body: p}, err
}

func (g *gateway) listProducts(r *http.Request) (answer, error) {
	query := r.URL.Query()
	q, err := productQuery(query)
	if err != nil {
		return answer{}, err
	}
	page, err := g.Products.ListProducts(r.Context(), q)
	if err != nil {
		return answer{}, err
	}
	a := answer{body: orEmpty(page.Items)}
	if page.More {
		a.header = nextPage(r, query, page.Items[len(page.Items)-1].ID)
	}
	return a, nil
}

func productQuery(query url.Values) (q hangar.ProductQuery, err error) {
	if q.Limit, err = pageLimit(query); err != nil {
		return q, err
	}
	q.Prefix, q.After = query.Get("prefix"), query.Get("after")
	return q, q.Validate()
}

func (g *gateway) restockProduct(r *http.Request) (answer, error) {
	v, err := readJSON(r)
	if err != nil {
		return answer{}, err
	}
	restock, err := hangar.ParseRestock(r.PathValue("id"), v)
	if err != nil {
		return answer{}, err
	}
	if restock.IdempotencyKey, err = idempotencyKey(r); err != nil {
		return answer{}, err
	}
	done, err := g.Products.Restock(r.Context(), restock)
	return answer{body: done.Product, header: replayedHeader(done.Replayed)}, err
}

func (g *gateway) deleteProduct(r *http.Request) (answer, error) {
	return answer{status: http.StatusNoContent}, g.Products.DeleteProduct(r.Context(), r.PathValue("id"))
}

// orEmpty makes an empty array of a nil slice, which JSON would call null.
func orEmpty[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
