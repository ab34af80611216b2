package rpc

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"hangar"
	"hangar/nameko"
)

// pythonFor is for how long a service may be a Python one after one answered.
const pythonFor = time.Minute

// origin is what the answers of a service say of who gives them: one of
// hangar's instances, a Python one, or both in turn.
type origin struct {
	mu     sync.Mutex
	hangar bool      // one of hangar's has answered
	python time.Time // when a Python one did last
}

func (o *origin) note(now time.Time, python bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if python {
		o.python = now
		return
	}
	o.hangar = true
}

func (o *origin) known() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hangar || !o.python.IsZero()
}

// mayBePython reports whether a Python service may answer the next call.
func (o *Orders) mayBePython() bool {
	o.origin.mu.Lock()
	defer o.origin.mu.Unlock()
	return !o.origin.hangar || o.peer.now().Sub(o.origin.python) < pythonFor
}

// order returns an order that came back, and notes who made it.
func (o *Orders) order(read readOrder) hangar.Order {
	o.origin.note(o.peer.now(), read.ofPython())
	return read.order()
}

func (o *Orders) orders(read []readOrder) []hangar.Order {
	list := make([]hangar.Order, len(read))
	for i, r := range read {
		list[i] = o.order(r)
	}
	return list
}

// checkProducts refuses an order of products that do not exist where the service
// may not.
func (o *Orders) checkProducts(ctx context.Context, n hangar.NewOrder) error {
	if !o.mayBePython() {
		return nil
	}
	var ids []string
	for id := range hangar.Quantities(n.Details) {
		ids = append(ids, id)
	}
	products, err := o.products.Products(ctx, ids)
	if err != nil {
		return err
	}
	found := make(map[string]hangar.Product, len(products))
	for _, p := range products {
		found[p.ID] = p
	}
	missing := firstMissing(ids, found)
	if missing == nil || o.origin.known() {
		return missing
	}
	// Hangar's service does the same and more: it keeps the refusal.
	if _, ofHangar, err := o.listPage(ctx, hangar.OrderQuery{Limit: 1}); ofHangar {
		return err
	}
	return missing
}

// completeUpdate makes an update name all lines of its order, and no other, where
// a Python service may get it: that one fails for want of a line, and passes
// over what is too many.
func (o *Orders) completeUpdate(ctx context.Context, u hangar.OrderUpdate) (hangar.OrderUpdate, error) {
	if !o.mayBePython() {
		return u, nil
	}
	now, err := o.get(ctx, u.ID)
	if err != nil || now.Status != hangar.Confirmed || !o.mayBePython() {
		return u, err
	}
	details, err := u.Apply(now.Details)
	if err != nil {
		return u, err
	}
	complete := hangar.OrderUpdate{ID: u.ID}
	for _, d := range details {
		complete.Lines = append(complete.Lines, hangar.LineUpdate(d))
	}
	return complete, nil
}

// listAndSlice is list_page for a service that has only a list of everything,
// which some forks of the Python one have under either name.
func (o *Orders) listAndSlice(ctx context.Context, q hangar.OrderQuery) (hangar.Page[hangar.Order], error) {
	var read []readOrder
	err := o.peer.read(ctx, "list_orders", &read)
	if cannotList(err) {
		err = o.peer.read(ctx, "get_orders", &read)
	}
	if cannotList(err) {
		err = o.peer.cannot("list orders")
	}
	if err != nil {
		return hangar.Page[hangar.Order]{}, err
	}
	rows := o.orders(read)
	slices.SortFunc(rows, func(a, b hangar.Order) int { return cmp.Compare(a.ID, b.ID) })
	if q.NewestFirst {
		slices.Reverse(rows)
	}
	rows = slices.DeleteFunc(rows, func(row hangar.Order) bool {
		passed := q.After != 0 && (row.ID == q.After || row.ID < q.After != q.NewestFirst)
		return passed || q.Status != "" && row.Status != q.Status
	})
	return hangar.NewPage(rows, q.Limit), nil
}

func cannotList(err error) bool {
	return nameko.IsError(err, nameko.MethodNotFound) || nameko.IsError(err, nameko.IncorrectSignature)
}

func orderNotFoundError(id int64) error {
	return hangar.NewOrderNotFound(strconv.FormatInt(id, 10))
}
