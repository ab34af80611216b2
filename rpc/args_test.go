package rpc_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/rpc"
)

// Arguments as anybody may send them, and what comes back: a result, or the path
// and the first argument of an error.
func TestArguments(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	f := newFleet(t, url)
	for _, id := range []string{"a", "5", "__type__", "__value__"} {
		wantNil(t, "PutProduct", f.products.PutProduct(t.Context(), product(id, 10)))
	}
	_, err := f.orders.CreateOrder(t.Context(), orderOf(line("a", 1)))
	wantNil(t, "CreateOrder", err)
	for _, test := range []struct{ method, args, want string }{
		{"products.get", `[5]`, `{"id": "5"}`},
		{"products.get", `[true]`, `["products.exceptions.NotFound", "Product ID True does not exist"]`},
		{"products.get", `[["x", 1, null]]`, `["products.exceptions.NotFound", "Product ID ['x', 1, None] does not exist"]`},
		{"products.delete", `[null]`, `["products.exceptions.NotFound", "Product ID None does not exist"]`},
		{"products.get_many", `[["5", 5, null, "missing"]]`, `[{"id": "5"}, {"id": "5"}]`},
		{"products.get_many", `[[]]`, `[]`},
		{"products.get_many", `["a"]`, `["marshmallow.exceptions.ValidationError", {"product_ids": ["Not a valid list."]}]`},
		{"products.list_page", `[null, 1]`, `{"items": [{"id": "5"}], "more": true}`},
		{"products.list_page", `["z", "1"]`, `{"items": [], "more": false}`},
		{"products.list_page", `["z", null]`, `["marshmallow.exceptions.ValidationError", {"limit": ["Not a valid integer."]}]`},
		{"products.list_page", `["z", 1e30]`, `["marshmallow.exceptions.ValidationError", {"limit": ["Not a valid integer."]}]`},
		{"products.list_page", `["z", 99999999999999999999]`, `["marshmallow.exceptions.ValidationError", {"limit": ["Must be at most 1000."]}]`},
		{"products.list_page", `["z", 0]`, `["marshmallow.exceptions.ValidationError", {"limit": ["Must be at least 1."]}]`},
		{"products.list_page", `[null, 9, "__t"]`, `{"items": [{"id": "__type__"}], "more": false}`},
		{"products.list_page", `[null, 9, 5]`, `{"items": [{"id": "5"}], "more": false}`},
		{"products.list_page", `["4", 1, null]`, `{"items": [{"id": "5"}], "more": true}`},
		{"products.list_page", `[null, 9, "\u0000"]`, `["marshmallow.exceptions.ValidationError", {"prefix": ["Not a valid string."]}]`},
		{"products.restock", `[5, "3"]`, `{"id": "5", "title": "Title of 5", "in_stock": 13}`},
		{"products.restock", `["missing", 3]`, `["products.exceptions.NotFound", "Product ID missing does not exist"]`},
		{"products.restock", `["a", null]`, `["marshmallow.exceptions.ValidationError", {"quantity": ["Field may not be null."]}]`},
		{"products.restock", `["a", 1.5]`, `["marshmallow.exceptions.ValidationError", {"quantity": ["Not a valid integer."]}]`},
		{"products.restock", `["a", -1]`, `["marshmallow.exceptions.ValidationError", {"quantity": ["Must be at least 1."]}]`},
		{"products.restock", `["a", 9007199254740991]`, `["marshmallow.exceptions.ValidationError", {"quantity": ["Must not bring the stock above 9007199254740991."]}]`},
		{"products.stock_statistics", `[]`, `{"holds": 1, "refusals": 0}`},
		{"products.create", `[null]`, `["marshmallow.exceptions.ValidationError", {"_schema": ["Invalid input type."]}]`},
		{"products.create_new", `[{"id": "a", "title": "A", "passenger_capacity": 1, "maximum_speed": 1, "in_stock": 1}]`,
			`["hangar.exceptions.ProductExists", "Product ID a exists already"]`},

		{"products.hold", `["h", 1, {"a": 1}]`, `null`},
		{"products.hold", `["h", "2", [["a", 1], ["__type__", 1]]]`, `null`},
		{"products.hold", `["h", 3, null]`, `null`},
		{"products.hold", `["old", 3, {}, {"a": 1}]`, `null`},
		{"products.hold", `["h", 1, {}]`, `["hangar.exceptions.Conflict", "Hold h is at version 3, past 1"]`},
		{"products.hold", `[1, 1, {}]`, `["marshmallow.exceptions.ValidationError", {"hold_id": ["Not a valid string."]}]`},
		{"products.hold", `["i", null, {}]`, `["marshmallow.exceptions.ValidationError", {"version": ["Not a valid integer."]}]`},
		{"products.hold", `["i", 1, {"a": "x"}]`, `["marshmallow.exceptions.ValidationError", {"quantities": ["Not a valid mapping of product ids to integers."]}]`},
		{"products.hold", `["i", 1, {"a": NaN}]`, `["marshmallow.exceptions.ValidationError", {"quantities": ["Not a valid mapping of product ids to integers."]}]`},
		{"products.hold", `["i", 1, [["a"]]]`, `["marshmallow.exceptions.ValidationError", {"quantities": ["Not a valid mapping of product ids to integers."]}]`},
		{"products.hold", `["i", 1, {}, 5]`, `["marshmallow.exceptions.ValidationError", {"before": ["Not a valid mapping of product ids to integers."]}]`},

		{"orders.get_order", `["1"]`, `{"id": 1}`},
		{"orders.get_order", `[" 1 "]`, `{"id": 1}`},
		{"orders.get_order", `[1.0]`, `{"id": 1}`},
		{"orders.get_order", `[1.5]`, `["orders.exceptions.NotFound", "Order with id 1.5 not found"]`},
		{"orders.get_order", `[null]`, `["orders.exceptions.NotFound", "Order with id None not found"]`},
		{"orders.get_order", `["x"]`, `["orders.exceptions.NotFound", "Order with id x not found"]`},
		{"orders.get_order", `[NaN]`, `["orders.exceptions.NotFound", "Order with id NaN not found"]`},
		{"orders.list_page", `[null, 10, true]`, `{"items": [{"id": 1}], "more": false}`},
		{"orders.list_page", `["1", 10, false]`, `{"items": [], "more": false}`},
		{"orders.list_page", `["x", 10, false]`, `["marshmallow.exceptions.ValidationError", {"after": ["Not a valid integer."]}]`},
		{"orders.list_page", `[1, 10, 0]`, `["marshmallow.exceptions.ValidationError", {"newest_first": ["Not a valid boolean."]}]`},
		{"orders.list_page", `[null, 10, true, "confirmed"]`, `{"items": [{"id": 1}], "more": false}`},
		{"orders.list_page", `[null, 10, true, null]`, `{"items": [{"id": 1}], "more": false}`},
		{"orders.list_page", `[null, 10, true, "rejected"]`, `{"items": [], "more": false}`},
		{"orders.list_page", `[null, 10, true, 5]`, `["marshmallow.exceptions.ValidationError", {"status": ["Must be one of: pending, confirmed, rejected, cancelled."]}]`},
		{"orders.outbox_statistics", `[]`, `{"parked": 0}`},
		{"orders.get_orders", `[]`, `[{"id": 1}]`},
		{"orders.create_order", `[null]`, `["marshmallow.exceptions.ValidationError", {"order_details": ["Field may not be null."]}]`},
		{"orders.create_order", `[[{"product_id": "a", "price": NaN, "quantity": 1}]]`,
			`["marshmallow.exceptions.ValidationError", {"order_details": {"0": {"price": ["Special numeric values are not permitted."]}}}]`},
		{"orders.update_order", `[5]`, `["marshmallow.exceptions.ValidationError", {"_schema": ["Invalid input type."]}]`},
		{"orders.update_order", `[{"order_details": []}]`, `["marshmallow.exceptions.ValidationError", {"id": ["Missing data for required field."]}]`},
		{"orders.update_order", `[{"id": null, "order_details": []}]`, `["orders.exceptions.NotFound", "Order with id None not found"]`},
		{"orders.update_order", `[{"id": 1, "order_details": []}]`, `["marshmallow.exceptions.ValidationError", {"order_details": ["Shorter than minimum length 1."]}]`},
		{"orders.cancel_order", `[2]`, `["orders.exceptions.NotFound", "Order with id 2 not found"]`},
		{"orders.cancel_order", `["1"]`, `{"id": 1, "status": "cancelled"}`},
		{"orders.delete_order", `["1"]`, `null`},
		{"orders.list_orders", `[]`, `[]`},
	} {
		got := replyTo(t, url, test.method, test.args)
		if !contains(got, decoded(t, []byte(test.want))) {
			t.Errorf("%s%s replied %v, want %s", test.method, test.args, got, test.want)
		}
	}
}

// replyTo returns the result, or of an error the path and the first argument.
func replyTo(t *testing.T, url, method, args string) any {
	t.Helper()
	reply, _ := newProxy(t, url).call(t, recordedCall{Call: method, Request: `{"args": ` + args + `, "kwargs": {}}`})
	var body struct {
		Result any
		Error  *struct {
			Path string `json:"exc_path"`
			Args []any  `json:"exc_args"`
		}
	}
	wantNil(t, "decode the reply", json.Unmarshal(reply.Body, &body))
	if body.Error != nil {
		return []any{body.Error.Path, body.Error.Args[0]}
	}
	return body.Result
}

// Products whose ids together look to Python like a tagged value, and others that
// need care in JSON.
func TestProductIDs(t *testing.T) {
	t.Parallel()
	f := newFleet(t, hangartest.RabbitMQ(t))
	ctx := t.Context()
	for _, ids := range [][]string{
		{"__type__", "__value__"},
		{"__type__", "__value__", "a"},
		{`"`, `'`, `\`, "ü ☃", "🚀", "<&>", " ", "NaN", "null"},
		manyIDs(),
	} {
		lines := make([]hangar.OrderDetail, len(ids))
		short := make(map[string]hangar.Shortage)
		for i, id := range ids {
			wantNil(t, "PutProduct "+id, f.products.PutProduct(ctx, product(id, 2)))
			lines[i] = line(id, 3)
			short[id] = hangar.Shortage{Requested: 3, InStock: 2}
		}
		created, err := keepOrdering(ctx, f.orders, lines...)
		wantError(t, fmt.Sprintf("3 of each of %.3q", ids), err, hangar.NewOutOfStock(short))
		for i := range lines {
			lines[i].Quantity = 2
		}
		created, err = keepOrdering(ctx, f.orders, lines...)
		wantNil(t, fmt.Sprintf("2 of each of %.3q", ids), err)
		for i, d := range created.Order.Details {
			lines[i].ID = d.ID
		}
		wantEqual(t, "the lines", created.Order.Details, lines)
		var stocked []hangar.Product
		eventually(t, "Products", func() (err error) {
			stocked, err = f.products.Products(ctx, ids)
			return err
		})
		for i, id := range ids {
			if i >= len(stocked) || !cmp.Equal(stocked[i], product(id, 0)) {
				t.Fatalf("Products(%.3q) is no list of those with nothing in stock", ids)
			}
		}
		eventually(t, "CancelOrder", func() error {
			_, err := f.orders.CancelOrder(ctx, created.Order.ID)
			return err
		})
	}
}

// keepOrdering orders once, and asks again where that takes longer than a request
// has: of a thousand long ids that may be.
func keepOrdering(ctx context.Context, o hangar.OrderService, lines ...hangar.OrderDetail) (hangar.OrderCreation, error) {
	n := orderOf(lines...)
	n.IdempotencyKey = rand.Text()
	for {
		created, err := o.CreateOrder(ctx, n)
		code := hangar.CodeOf(err)
		if code != hangar.Unavailable && code != hangar.Conflict || ctx.Err() != nil {
			return created, err
		}
	}
}

func manyIDs() []string {
	ids := make([]string, hangar.MaxOrderLines)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%d", strings.Repeat("☃", 200), i)
	}
	return ids
}

// seenCalls is a service that notes the context that calls come with.
type seenCalls struct {
	hangar.ProductService
	hangar.OrderService
	hangar.Stock
	ids  []string
	left time.Duration
	key  any
}

func (s *seenCalls) note(ctx context.Context) error {
	s.ids = nameko.CallIDs(ctx)
	deadline, _ := ctx.Deadline()
	s.left = time.Until(deadline)
	s.key = nameko.Data(ctx, "idempotency_key")
	return hangar.Errorf(hangar.Conflict, "seen")
}

func (s *seenCalls) Product(ctx context.Context, _ string) (hangar.Product, error) {
	return hangar.Product{}, s.note(ctx)
}
func (s *seenCalls) DeleteProduct(ctx context.Context, _ string) error      { return s.note(ctx) }
func (s *seenCalls) PutProduct(ctx context.Context, _ hangar.Product) error { return s.note(ctx) }
func (s *seenCalls) StockStatistics(ctx context.Context) (hangar.StockStatistics, error) {
	return hangar.StockStatistics{}, s.note(ctx)
}
func (s *seenCalls) OutboxStatistics(ctx context.Context) (hangar.OutboxStatistics, error) {
	return hangar.OutboxStatistics{}, s.note(ctx)
}
func (s *seenCalls) Restock(ctx context.Context, r hangar.Restock) (hangar.Restocked, error) {
	return hangar.Restocked{}, s.note(ctx)
}
func (s *seenCalls) Hold(ctx context.Context, _ hangar.Hold) error { return s.note(ctx) }
func (s *seenCalls) CancelOrder(ctx context.Context, _ int64) (hangar.Order, error) {
	return hangar.Order{}, s.note(ctx)
}
func (s *seenCalls) CreateOrder(ctx context.Context, _ hangar.NewOrder) (hangar.OrderCreation, error) {
	return hangar.OrderCreation{}, s.note(ctx)
}
func (s *seenCalls) Products(ctx context.Context, _ []string) ([]hangar.Product, error) {
	return nil, s.note(ctx)
}
func (s *seenCalls) ListProducts(ctx context.Context, _ hangar.ProductQuery) (hangar.Page[hangar.Product], error) {
	return hangar.Page[hangar.Product]{}, s.note(ctx)
}

// What travels beside the arguments: who calls, for how long, and the key.
func TestCallsSayWhoseTheyAre(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	service := new(seenCalls)
	broker := connect(t, url)
	serve(t, broker, "products", func(s *nameko.Server) { rpc.ServeProducts(s, service, service, nil) })
	serve(t, broker, "orders", func(s *nameko.Server) { rpc.ServeOrders(s, service) })
	client := newClient(t, url, "caller")
	p := rpc.NewProducts(client)
	o := rpc.NewOrders(client, existing{})
	keyed := orderOf(line("a", 1))
	keyed.IdempotencyKey = "ü"
	const read, write = 5 * time.Second, 10 * time.Second
	for _, test := range []struct {
		entrypoint, method string
		timeout            time.Duration
		call               func(context.Context) error
	}{
		{"get_product", "products.get", read, func(ctx context.Context) error { _, err := p.Product(ctx, "a"); return err }},
		{"get_order", "products.get_many", read, func(ctx context.Context) error { _, err := p.Products(ctx, []string{"a"}); return err }},
		{"list_products", "products.list_page", read, func(ctx context.Context) error {
			_, err := p.ListProducts(ctx, hangar.ProductQuery{Limit: 1})
			return err
		}},
		{"create_product", "products.create", write, func(ctx context.Context) error { return p.PutProduct(ctx, product("a", 1)) }},
		{"delete_product", "products.delete", write, func(ctx context.Context) error { return p.DeleteProduct(ctx, "a") }},
		{"settle_orders", "products.hold", write, func(ctx context.Context) error { return p.Hold(ctx, hangar.Hold{ID: "h", Version: 1}) }},
		{"restock_product", "products.restock", write, func(ctx context.Context) error {
			_, err := p.Restock(ctx, hangar.Restock{ID: "a", Quantity: 1})
			return err
		}},
		{"stock_statistics", "products.stock_statistics", read, func(ctx context.Context) error { _, err := p.StockStatistics(ctx); return err }},
		{"outbox_statistics", "orders.outbox_statistics", read, func(ctx context.Context) error { _, err := o.OutboxStatistics(ctx); return err }},
		{"cancel_order", "orders.cancel_order", write, func(ctx context.Context) error { _, err := o.CancelOrder(ctx, 1); return err }},
		{"create_order", "orders.create_order", write, func(ctx context.Context) error { _, err := o.CreateOrder(ctx, keyed); return err }},
	} {
		wantError(t, test.entrypoint, test.call(t.Context()), hangar.Errorf(hangar.Conflict, "seen"))
		if len(service.ids) != 2 || !strings.HasPrefix(service.ids[0], "caller."+test.entrypoint+".") || !strings.HasPrefix(service.ids[1], test.method+".") {
			t.Errorf("a call of %s has the ids %q, want caller.%s and %s", test.method, service.ids, test.entrypoint, test.method)
		}
		if service.left <= 0 || service.left > test.timeout {
			t.Errorf("a call of %s leaves %v, want at most %v", test.method, service.left, test.timeout)
		}
	}
	wantEqual(t, "the idempotency key of the last call", service.key, any("ü"))
	_, err := p.Restock(t.Context(), hangar.Restock{ID: "a", Quantity: 1, IdempotencyKey: "☃"})
	wantError(t, "Restock", err, hangar.Errorf(hangar.Conflict, "seen"))
	wantEqual(t, "the idempotency key of a restock", service.key, any("☃"))
	within := nameko.Begin(t.Context(), "orders", "create_order")
	wantError(t, "Hold", p.Hold(within, hangar.Hold{ID: "h", Version: 1}), hangar.Errorf(hangar.Conflict, "seen"))
	if len(service.ids) != 2 || service.ids[0] != nameko.CallIDs(within)[0] {
		t.Errorf("a call within a call has the ids %q, want that call's %q first", service.ids, nameko.CallIDs(within))
	}
}
