package rpc

import (
	"context"
	"slices"
	"strings"
	"sync"

	"hangar"
)

// gets is how many products are asked for at once where each takes a call.
const gets = 16

// getEach is get_many for a service that has only get.
func (p *Products) getEach(ctx context.Context, ids []string) ([]hangar.Product, error) {
	found, err := p.getDistinct(ctx, ids)
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

// getDistinct returns those of the products that exist.
func (p *Products) getDistinct(ctx context.Context, ids []string) (map[string]hangar.Product, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var (
		mu      sync.Mutex
		running sync.WaitGroup
	)
	found := make(map[string]hangar.Product)
	slots := make(chan struct{}, gets)
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			product, err := p.get(ctx, id)
			switch hangar.CodeOf(err) {
			case "":
				mu.Lock()
				found[id] = product
				mu.Unlock()
			case hangar.ProductNotFound:
			default:
				stop(err)
			}
		})
	}
	running.Wait()
	return found, context.Cause(ctx)
}

// listAndSlice is list_page for a service that has only list.
func (p *Products) listAndSlice(ctx context.Context, q hangar.ProductQuery) (hangar.Page[hangar.Product], error) {
	var read []readProduct
	if err := p.peer.read(ctx, "list", &read); err != nil {
		return hangar.Page[hangar.Product]{}, err
	}
	rows := slices.DeleteFunc(productsOf(read), func(row hangar.Product) bool {
		return !strings.HasPrefix(row.ID, q.Prefix) || row.ID <= q.After // the empty id, which only Python takes, among them: no page could follow it
	})
	slices.SortFunc(rows, func(a, b hangar.Product) int { return strings.Compare(a.ID, b.ID) })
	return hangar.NewPage(rows, q.Limit), nil
}

// checkProducts is hold for a service that has none. What the hold would take
// must exist; the stock follows with the order's event.
func (p *Products) checkProducts(ctx context.Context, h hangar.Hold) error {
	ids := make([]string, 0, len(h.Quantities))
	for id := range h.Quantities {
		ids = append(ids, id)
	}
	found, err := p.getDistinct(ctx, ids)
	if err != nil {
		return err
	}
	return firstMissing(ids, found)
}

// firstMissing returns the refusal of a hold of products that were not found.
func firstMissing(ids []string, found map[string]hangar.Product) error {
	for _, id := range slices.Sorted(slices.Values(ids)) {
		if _, ok := found[id]; !ok {
			return hangar.NewHeldProductNotFound(id)
		}
	}
	return nil
}
