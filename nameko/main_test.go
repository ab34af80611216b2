package nameko_test

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"hangar/hangartest"
	"hangar/nameko"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // in many processes, none of which needs a broker
	}
	url, ok, err := hangartest.RabbitMQForExample(context.Background())
	if err != nil || !ok && os.Getenv("CI") != "" {
		log.Fatalf("the example needs RabbitMQ: %v", err)
	}
	if !ok {
		flag.Set("test.skip", "^Example$") // it cannot skip itself
	}
	os.Setenv("EXAMPLE_AMQP_URI", url)
	goleak.VerifyTestMain(hangartest.WithServers(m))
}

// patience bounds waiting for what must happen.
const patience = 2 * time.Minute

// newBroker returns a broker that runs until the test ends, after everything
// else that run started.
func newBroker(t testing.TB, url string) *nameko.Broker {
	t.Helper()
	return newBrokerWith(t, nameko.Config{URL: url})
}

func newBrokerWith(t testing.TB, c nameko.Config) *nameko.Broker {
	t.Helper()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	b, err := nameko.NewBroker(c)
	if err != nil {
		t.Fatal(err)
	}
	b.SetPatience(patience)
	run(t, b.Run)
	return b
}

// run runs until the test ends, or until what it returns is called.
func run(t testing.TB, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v, want nil", err)
			}
		case <-time.After(patience):
			t.Errorf("Run did not return within %v of its context's end", patience)
		}
	})
	t.Cleanup(stop)
	return stop
}

// start runs a service and waits until it takes calls.
func start(t testing.TB, s *nameko.Server) (stop func()) {
	t.Helper()
	stop = run(t, s.Run)
	select {
	case <-s.Ready():
	case <-time.After(patience):
		t.Fatalf("a service is not ready after %v", patience)
	}
	return stop
}

// newClient returns a client that runs until the test ends.
func newClient(t testing.TB, b *nameko.Broker) *nameko.Client {
	t.Helper()
	c := nameko.NewClient(b, "caller")
	run(t, c.Run)
	return c
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v, still not: %s", patience, what)
		}
	}
}

// receive waits for a value.
func receive[T any](t testing.TB, what string, values <-chan T) T {
	t.Helper()
	select {
	case v := <-values:
		return v
	case <-time.After(patience):
		t.Fatalf("after %v, still no %s", patience, what)
		panic("unreachable")
	}
}

// dial returns a channel of a connection of the test's own, as a peer has one.
func dial(t testing.TB, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() }) // may be closed by the broker already
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}
