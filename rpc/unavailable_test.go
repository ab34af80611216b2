package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"hangar"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/rpc"
)

func TestServiceThatNeverRanFailsAtOnce(t *testing.T) {
	t.Parallel()
	client := newClient(t, hangartest.RabbitMQ(t), "gateway")
	p := rpc.NewProducts(client)
	_, err := p.Product(t.Context(), "a")
	wantError(t, "Product", err, hangar.Errorf(hangar.Unavailable, "The products service cannot be reached now. Try again."))
	wantUnavailable(t, "UnknownService", err, nameko.ErrUnknownService)
	err = rpc.NewOrders(client, p).DeleteOrder(t.Context(), 1)
	wantError(t, "DeleteOrder", err, hangar.Errorf(hangar.Unavailable, "The orders service cannot be reached now. Try again."))
}

func TestServiceThatIsDownFailsAtTheDeadline(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	t.Run("it has run", func(t *testing.T) { newFleet(t, url) })
	client := newClient(t, url, "gateway")
	p := rpc.NewProducts(client)
	o := rpc.NewOrders(client, existing{})
	keyed := orderOf(line("a", 1))
	keyed.IdempotencyKey = "k"
	for _, test := range []struct {
		name, service, advice string
		call                  func(context.Context) error
	}{
		{"Product", "products", "Try again.", func(ctx context.Context) error {
			_, err := p.Product(ctx, "a")
			return err
		}},
		{"PutProduct", "products", "Try again.", func(ctx context.Context) error { return p.PutProduct(ctx, product("a", 1)) }},
		{"DeleteProduct", "products", "Whether it was done is not known: look before you try again.", func(ctx context.Context) error {
			return p.DeleteProduct(ctx, "a")
		}},
		{"Restock", "products", "Whether it was done is not known: look before you try again.", func(ctx context.Context) error {
			_, err := p.Restock(ctx, hangar.Restock{ID: "a", Quantity: 1})
			return err
		}},
		{"Restock with a key", "products",
			"Whether the units were added is not known: ask again with the same Idempotency-Key.", func(ctx context.Context) error {
				_, err := p.Restock(ctx, hangar.Restock{ID: "a", Quantity: 1, IdempotencyKey: "k"})
				return err
			}},
		{"CreateOrder", "orders", "Whether it was done is not known: look before you try again.", func(ctx context.Context) error {
			_, err := o.CreateOrder(ctx, orderOf(line("a", 1)))
			return err
		}},
		{"CreateOrder with a key", "orders",
			"Whether the order was placed is not known: ask again with the same Idempotency-Key.", func(ctx context.Context) error {
				_, err := o.CreateOrder(ctx, keyed)
				return err
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := test.call(ctx)
			message := fmt.Sprintf("The %s service did not answer in time. %s", test.service, test.advice)
			wantError(t, test.name, err, hangar.Errorf(hangar.Unavailable, "%s", message))
			wantUnavailable(t, test.name, err, nameko.ErrNoReply)
		})
	}
}

func TestBrokerThatIsAway(t *testing.T) {
	t.Parallel()
	server := hangartest.StartRabbitMQ(t)
	f := newFleet(t, server.URL)
	wantNil(t, "PutProduct", f.products.PutProduct(t.Context(), product("a", 10)))
	wantNil(t, "Kill", server.Kill())
	// The first call may have been sent into the dying connection.
	for range 2 {
		_, err := f.products.Product(t.Context(), "a")
		wantUnavailable(t, "Product without a broker", err, nil)
	}
	_, err := f.orders.CreateOrder(t.Context(), orderOf(line("a", 1)))
	wantUnavailable(t, "CreateOrder without a broker", err, nil)
	wantNil(t, "Restart", server.Restart(t.Context()))
	eventually(t, "Product with the broker back", func() error {
		_, err := f.products.Product(t.Context(), "a")
		return err
	})
}

// existing is a catalogue that has every product.
type existing struct{ hangar.ProductService }

func (existing) Products(_ context.Context, ids []string) ([]hangar.Product, error) {
	found := make([]hangar.Product, len(ids))
	for i, id := range ids {
		found[i] = product(id, 1)
	}
	return found, nil
}

func wantUnavailable(t *testing.T, what string, err, cause error) {
	t.Helper()
	if hangar.CodeOf(err) != hangar.Unavailable {
		t.Errorf("%s: %v, want UNAVAILABLE", what, err)
	}
	if cause != nil && !errors.Is(err, cause) {
		t.Errorf("%s: %v, want %v as its cause", what, err, cause)
	}
}
