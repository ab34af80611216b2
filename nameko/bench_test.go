package nameko_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
	"hangar/nameko"
)

// benchCallers are how many calls are under way at once.
const benchCallers = 64

// A call through Client and Server, against the least that RabbitMQ does for a
// request and its reply: transient messages, no confirms, nothing acknowledged.
func BenchmarkCall(b *testing.B) {
	b.Run("raw", func(b *testing.B) {
		r := newRawPeers(b, hangartest.RabbitMQ(b))
		benchmark(b, r.call)
	})
	for name, repeatable := range map[string]bool{"repeatable": true, "once": false} {
		b.Run(name, func(b *testing.B) {
			url := hangartest.RabbitMQ(b)
			server := nameko.NewServer(newBroker(b, url), "products", 0, 0)
			server.Handle("get", nameko.Params("product_id"), func(_ context.Context, args nameko.Args) (any, error) {
				return map[string]any{"id": args["product_id"], "title": "The Odyssey", "in_stock": 10}, nil
			})
			start(b, server)
			client := newClient(b, newBroker(b, url))
			benchmark(b, func(ctx context.Context) error {
				_, err := client.Call(ctx, nameko.Call{Service: "products", Method: "get", Args: []any{"the_odyssey"}, Repeatable: repeatable})
				return err
			})
		})
	}
}

// benchmark makes b.N calls, so many at once.
func benchmark(b *testing.B, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	if err := call(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var callers sync.WaitGroup
	next := make(chan struct{}, benchCallers)
	for range benchCallers {
		callers.Go(func() {
			for range next {
				if err := call(ctx); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range b.N {
		next <- struct{}{}
	}
	close(next)
	callers.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// rawPeers are a client and a server on a connection each.
type rawPeers struct {
	client  *amqp.Channel
	mu      sync.Mutex
	replies map[string]chan amqp.Delivery
}

func newRawPeers(b testing.TB, url string) *rawPeers {
	b.Helper()
	r := &rawPeers{client: dial(b, url), replies: make(map[string]chan amqp.Delivery)}
	server := dial(b, url)
	requests := rawConsume(b, server, "requests")
	replies := rawConsume(b, r.client, "replies")
	body := []byte(`{"result": {"id": "the_odyssey", "title": "The Odyssey", "in_stock": 10}, "error": null}`)
	go func() {
		for d := range requests {
			reply := amqp.Publishing{CorrelationId: d.CorrelationId, Body: body}
			if err := server.Publish("", "replies", false, false, reply); err != nil {
				return
			}
		}
	}()
	go func() {
		for d := range replies {
			r.mu.Lock()
			waiting := r.replies[d.CorrelationId]
			delete(r.replies, d.CorrelationId)
			r.mu.Unlock()
			waiting <- d
		}
	}()
	return r
}

func rawConsume(b testing.TB, ch *amqp.Channel, queue string) <-chan amqp.Delivery {
	b.Helper()
	if _, err := ch.QueueDeclare(queue, false, false, false, false, nil); err != nil {
		b.Fatal(err)
	}
	deliveries, err := ch.Consume(queue, "", true, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	return deliveries
}

func (r *rawPeers) call(ctx context.Context) error {
	id := uuid.NewString()
	reply := make(chan amqp.Delivery, 1)
	r.mu.Lock()
	r.replies[id] = reply
	r.mu.Unlock()
	request := amqp.Publishing{CorrelationId: id, Body: []byte(`{"args": ["the_odyssey"], "kwargs": {}}`)}
	if err := r.client.Publish("", "requests", false, false, request); err != nil {
		return err
	}
	select {
	case <-reply:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
