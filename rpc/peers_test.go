package rpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"hangar/nameko"
)

// pythonService is what the Python services have in common: it counts its calls,
// and says of hangar's methods that they are missing, as the framework does.
type pythonService struct {
	mu     sync.Mutex
	counts map[string]int
}

func (s *pythonService) asked(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[method]
}

func (s *pythonService) handle(server *nameko.Server, name string, signature nameko.Signature, h func(nameko.Args) (any, error)) {
	server.Handle(name, signature, func(_ context.Context, args nameko.Args) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.counts[name]++
		return h(args)
	})
}

func (s *pythonService) lacks(server *nameko.Server, name string, signature nameko.Signature) {
	s.handle(server, name, signature, func(nameko.Args) (any, error) {
		return nil, nameko.Errorf(nameko.MethodNotFound, "%s", name)
	})
}

// pythonProducts is the Python products service. It shares its products with
// nobody but the test.
type pythonProducts struct {
	pythonService
	products map[string]map[string]any
	ghost    string // an id whose hash lacks all but one field
}

func servePythonProducts(t *testing.T, url string) *pythonProducts {
	t.Helper()
	s := &pythonProducts{
		pythonService: pythonService{counts: make(map[string]int)},
		products:      make(map[string]map[string]any),
	}
	serve(t, connect(t, url), "products", func(server *nameko.Server) {
		s.handle(server, "get", nameko.Params("product_id"), s.get)
		s.handle(server, "list", nameko.Params(), s.list)
		s.handle(server, "create", nameko.Params("product"), func(args nameko.Args) (any, error) {
			p := args["product"].(map[string]any)
			s.products[p["id"].(string)] = p
			return nil, nil
		})
		s.lacks(server, "get_many", nameko.Params("product_ids"))
		s.lacks(server, "list_page", nameko.Signature{Required: []string{"after", "limit"}, Optional: []string{"prefix"}})
		s.lacks(server, "create_new", nameko.Params("product"))
		s.lacks(server, "hold", nameko.Signature{Required: []string{"hold_id", "version", "quantities"}, Optional: []string{"before"}})
	})
	return s
}

func (s *pythonProducts) add(id string, inStock int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.products[id] = map[string]any{"id": id, "title": "Title of " + id, "passenger_capacity": 101, "maximum_speed": 5, "in_stock": inStock}
}

func (s *pythonProducts) get(args nameko.Args) (any, error) {
	id := args["product_id"].(string)
	if id == s.ghost && id != "" {
		return nil, &nameko.Error{Path: "builtins.KeyError", Args: []any{"id"}, Value: "'id'"}
	}
	if p, ok := s.products[id]; ok {
		return p, nil
	}
	return nil, nameko.Errorf("products.exceptions.NotFound", "Product ID %s does not exist", id)
}

func (s *pythonProducts) list(nameko.Args) (any, error) {
	list := []any{}
	for _, p := range s.products { // in any order, as in Python
		list = append(list, p)
	}
	return list, nil
}

// pythonOrders is the Python orders service.
type pythonOrders struct {
	pythonService
	orders  []map[string]any
	listsAs string // what a fork calls its list of all orders; "" for none
}

func servePythonOrders(t *testing.T, url, listsAs string) *pythonOrders {
	t.Helper()
	s := &pythonOrders{pythonService: pythonService{counts: make(map[string]int)}, listsAs: listsAs}
	serve(t, connect(t, url), "orders", func(server *nameko.Server) {
		s.handle(server, "create_order", nameko.Params("order_details"), s.create)
		s.handle(server, "get_order", nameko.Params("order_id"), s.get)
		s.handle(server, "update_order", nameko.Params("order"), s.update)
		s.handle(server, "delete_order", nameko.Params("order_id"), s.delete)
		s.lacks(server, "list_page", nameko.Signature{Required: []string{"after", "limit", "newest_first"}, Optional: []string{"status"}})
		s.lacks(server, "cancel_order", nameko.Params("order_id"))
		if listsAs == "" {
			s.lacks(server, "get_orders", nameko.Params())
			server.Handle("list_orders", nameko.Params("page", "page_size"), nil) // another fork's
			return
		}
		if listsAs != "list_orders" {
			s.lacks(server, "list_orders", nameko.Params())
		}
		s.handle(server, listsAs, nameko.Params(), func(nameko.Args) (any, error) { return s.orders, nil })
	})
	return s
}

// add stores an order as it is.
func (s *pythonOrders) add(order string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var o map[string]any
	if err := json.Unmarshal([]byte(order), &o); err != nil {
		panic(err)
	}
	s.orders = append(s.orders, o)
}

func (s *pythonOrders) create(args nameko.Args) (any, error) {
	lines := args["order_details"].([]any)
	for i, l := range lines {
		l.(map[string]any)["id"] = 10*len(s.orders) + i + 1
	}
	s.orders = append(s.orders, map[string]any{"id": len(s.orders) + 1, "order_details": lines})
	return s.orders[len(s.orders)-1], nil
}

func (s *pythonOrders) find(id any) map[string]any {
	i := slices.IndexFunc(s.orders, func(o map[string]any) bool { return fmt.Sprint(o["id"]) == fmt.Sprint(id) })
	if i < 0 {
		return nil
	}
	return s.orders[i]
}

func (s *pythonOrders) get(args nameko.Args) (any, error) {
	if o := s.find(args["order_id"]); o != nil {
		return o, nil
	}
	return nil, nameko.Errorf("orders.exceptions.NotFound", "Order with id %v not found", args["order_id"])
}

func (s *pythonOrders) update(args nameko.Args) (any, error) {
	update := args["order"].(map[string]any)
	o := s.find(update["id"])
	if o == nil {
		return nil, nameko.Errorf("builtins.AttributeError", "'NoneType' object has no attribute 'order_details'")
	}
	named := make(map[string]map[string]any)
	for _, l := range update["order_details"].([]any) {
		named[fmt.Sprint(l.(map[string]any)["id"])] = l.(map[string]any)
	}
	for _, l := range o["order_details"].([]any) {
		l := l.(map[string]any)
		id := fmt.Sprint(l["id"])
		if named[id] == nil {
			return nil, &nameko.Error{Path: "builtins.KeyError", Args: []any{id}, Value: id}
		}
		l["price"], l["quantity"] = named[id]["price"], named[id]["quantity"]
	}
	return o, nil
}

func (s *pythonOrders) delete(args nameko.Args) (any, error) {
	o := s.find(args["order_id"])
	if o == nil {
		return nil, nameko.Errorf("sqlalchemy.orm.exc.UnmappedInstanceError", "Class 'builtins.NoneType' is not mapped")
	}
	if len(o["order_details"].([]any)) > 0 {
		return nil, nameko.Errorf("sqlalchemy.exc.IntegrityError", "null value in column \"order_id\"")
	}
	s.orders = slices.DeleteFunc(s.orders, func(other map[string]any) bool { return other["id"] == o["id"] })
	return nil, nil
}

// clock is a time that only the test changes.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
