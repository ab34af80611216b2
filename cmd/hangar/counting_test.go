package main

import (
	"strings"
	"testing"

	"hangar/hangartest"
)

// The holds of orders that are created in one transaction with their stock are
// counted as all others are.
func TestHoldsAreCounted(t *testing.T) {
	amqp := hangartest.RabbitMQ(t)
	s := serveStore(t, t.TempDir(), "--amqp", amqp)
	defer s.stop()
	order := func(want int, quantity, key string) {
		t.Helper()
		body := `{"order_details": [{"product_id": "p", "price": 1, "quantity": ` + quantity + `}]}`
		if status, answer := request(t, "POST", s.url+"/orders", body, "Idempotency-Key", key); status != want {
			t.Errorf("POST /orders of %s: %d %s, want %d", quantity, status, answer, want)
		}
	}
	request(t, "POST", s.url+"/products", `{"id": "p", "title": "P", "passenger_capacity": 1, "maximum_speed": 1, "in_stock": 5}`)
	order(200, "2", "first")
	order(200, "2", "first") // again, which holds nothing
	order(200, "3", "second")
	order(409, "1", "third")
	order(400, "0", "fourth")
	statistics := func() string {
		return hangarCommand(t, environment{"AMQP_URI": amqp}, "rpc", "products.stock_statistics").stdout
	}
	waitFor(t, "the products service is served", func() bool { return statistics() != "" })
	if got := statistics(); !strings.Contains(got, `"holds": 2`) || !strings.Contains(got, `"refusals": 1`) {
		t.Errorf("stock_statistics: %s, want 2 holds and 1 refusal", got)
	}
	_, metrics := request(t, "GET", s.url+"/metrics", "")
	for outcome, want := range map[string]string{"held": "2", "out_of_stock": "1", "overtaken": "0", "failed": "0"} {
		if line := `hangar_stock_holds_total{outcome="` + outcome + `"} ` + want + "\n"; !strings.Contains(metrics, line) {
			t.Errorf("/metrics is without %s", line)
		}
	}
	if got := hangarCommand(t, environment{"AMQP_URI": amqp}, "rpc", "orders.outbox_statistics"); !strings.Contains(got.stdout, `"parked": 0`) {
		t.Errorf("outbox_statistics: %s%s, want nothing parked", got.stdout, got.stderr)
	}
}
