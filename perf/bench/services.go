package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"hangar"
	"hangar/backing"
	"hangar/nameko"
	"hangar/redis"
	"hangar/rpc"
)

// measureServices compares the three services with what their broker and their
// database do alone.
func measureServices(ctx context.Context, p plan, binary string) (_ []row, err error) {
	f, err := startServers(ctx, filepath.Join(p.workDir, "services"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	if err := f.serve(ctx, binary); err != nil {
		return nil, err
	}
	calls, err := measureCalls(ctx, p, f)
	if err != nil {
		return nil, err
	}
	orders, err := measureOrders(ctx, p, f)
	return append(calls, orders...), err
}

func measureCalls(ctx context.Context, p plan, f *fleet) (_ []row, err error) {
	c := newClient()
	body := fmt.Sprintf(product, "the_odyssey")
	if _, err := c.post(ctx, f.url+"/products", body); err != nil {
		return nil, err
	}
	raw, err := openRawCalls(f.rabbitmq.URL, []byte(body))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, raw.close()) }()
	bare := func() (float64, error) {
		return load(ctx, callers, p.round, 1, func(ctx context.Context, _ int64) error { return raw.call(ctx) })
	}
	get, err := inTurn(p.rounds, func() (float64, error) {
		return load(ctx, callers, p.round, 1, func(context.Context, int64) error { return c.get(ctx, f.url+"/products/the_odyssey") })
	}, bare)
	if err != nil {
		return nil, err
	}
	prefix := 0
	chain, err := inTurn(p.rounds, func() (float64, error) {
		prefix++
		return load(ctx, clients, p.round, 4, func(ctx context.Context, n int64) error {
			return c.chain(ctx, f.url, fmt.Sprintf("p%d-%d", prefix, n))
		})
	}, bare)
	return []row{
		{"ServicesGetProductAgainstRaw", "services: GET /products/{id}, 64 clients, against raw request-reply", goal{ratio, 0.65}, get.ratios, get.rates()},
		{"ServicesChainAgainstRaw", "services: chain of 4 requests, 32 clients, against raw request-reply", goal{ratio, 0.40}, chain.ratios, chain.rates()},
	}, err
}

// measureOrders compares orders.create_order with pgbench, which inserts the
// same rows in one statement.
func measureOrders(ctx context.Context, p plan, f *fleet) (_ []row, err error) {
	log := slog.New(slog.DiscardHandler)
	broker, err := nameko.NewBroker(nameko.Config{URL: f.rabbitmq.URL, Log: log})
	if err != nil {
		return nil, err
	}
	client := nameko.NewClient(broker, "perf")
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { broker.Run(running) })
	wg.Go(func() { client.Run(running) })
	products := rpc.NewProducts(client)
	orders := rpc.NewOrders(client, products)
	const stocked = 1000
	for i := range stocked {
		if err := products.PutProduct(ctx, stockedProduct(i)); err != nil {
			return nil, err
		}
	}
	script, err := preparePgbench(ctx, f.postgres, filepath.Join(f.dir, "insert.sql"))
	if err != nil {
		return nil, err
	}
	created, err := inTurn(p.rounds, func() (float64, error) {
		return load(ctx, callers, p.round, 1, func(ctx context.Context, n int64) error {
			_, err := orders.CreateOrder(ctx, hangar.NewOrder{Details: []hangar.OrderDetail{
				{ProductID: productID(int(n) % stocked), Price: 10000099, Quantity: 1},
			}})
			return err
		})
	}, func() (float64, error) { return pgbench(ctx, f.postgres, script, p.round) })
	return []row{{"ServicesCreateOrderAgainstPgbench", "services: orders.create_order, 64 callers, against pgbench, 16 clients", goal{ratio, 0.40},
		created.ratios, created.rates()}}, err
}

func stockedProduct(n int) hangar.Product {
	return hangar.Product{ID: productID(n), Title: "The Odyssey", PassengerCapacity: 101, MaximumSpeed: 5, InStock: hangar.MaxInteger / 2}
}

// preparePgbench makes tables like the services' and writes what pgbench is to
// do with them.
func preparePgbench(ctx context.Context, server *backing.Server, path string) (string, error) {
	conn, err := pgx.Connect(ctx, server.URL)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `
		CREATE TABLE bench_orders (LIKE orders INCLUDING ALL);
		CREATE TABLE bench_order_details (LIKE order_details INCLUDING ALL);
		CREATE TABLE bench_outbox (LIKE outbox INCLUDING ALL)`)
	if err != nil {
		return "", err
	}
	const script = `WITH o AS (
	INSERT INTO bench_orders (created_at, updated_at, status, version, hold) VALUES (now(), now(), 'confirmed', 1, gen_random_uuid()::text) RETURNING id
), d AS (
	INSERT INTO bench_order_details (order_id, product_id, price, quantity, created_at, updated_at) SELECT id, 'the_odyssey', 100000.99, 1, now(), now() FROM o
)
INSERT INTO bench_outbox (type, payload) SELECT 'order_created', '{"order": {"id": 1, "order_details": [{"id": 1, "product_id": "the_odyssey", "price": "100000.99", "quantity": 1}]}}' FROM o;
`
	return path, os.WriteFile(path, []byte(script), 0o644)
}

// pgbench returns transactions per second. It tells none of a time in which it has
// hardly connected: then it is given more.
func pgbench(ctx context.Context, server *backing.Server, script string, d time.Duration) (float64, error) {
	const most = 64
	for seconds := max(1, int(d.Seconds())); ; seconds *= 2 {
		out, err := runPgbench(ctx, server, script, seconds)
		if err != nil {
			return 0, err
		}
		if _, rest, found := strings.Cut(out, "tps = "); found {
			text, _, _ := strings.Cut(rest, " ")
			return strconv.ParseFloat(text, 64)
		}
		if seconds >= most {
			return 0, fmt.Errorf("pgbench printed %s, which has no rate", out)
		}
	}
}

func runPgbench(ctx context.Context, server *backing.Server, script string, seconds int) (string, error) {
	cmd := exec.CommandContext(ctx, backing.PostgresBinary("pgbench"), "-n", "-M", "prepared", "-c", "16", "-j", "2",
		"-T", strconv.Itoa(seconds), "-f", script, server.URL)
	cmd.Stderr = io.Discard
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("pgbench: %w", err)
	}
	return string(out), nil
}

// measureServicesGrown compares services that hold much with ones that hold
// little.
func measureServicesGrown(ctx context.Context, p plan, binary string) (_ []row, err error) {
	stored := max(small, p.stored/5)
	var fleets [2]*fleet
	for i, n := range []int{small, stored} {
		f, err := startServers(ctx, filepath.Join(p.workDir, fmt.Sprint("services-", n)))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, f.stop()) }()
		if err := seedServices(ctx, f, amount{n, n}, func() error { return f.serve(ctx, binary) }); err != nil {
			return nil, err
		}
		fleets[i] = f
	}
	little, grown := fleets[0], fleets[1]
	c := newClient()
	create := func(f *fleet, n int) func() (float64, error) {
		return timed(func() error {
			_, err := c.order(ctx, f.url, productID(rand.IntN(n)))
			return err
		})
	}
	get := func(f *fleet, n int) func() (float64, error) {
		return timed(func() error { return c.get(ctx, fmt.Sprintf("%s/orders/%d", f.url, 1+rand.IntN(n))) })
	}
	var table []row
	for _, m := range []struct {
		name, what string
		a, b       func() (float64, error)
	}{
		{"ServicesOrderCreateGrown", "order-create", create(grown, stored), create(little, small)},
		{"ServicesOrderGetGrown", "order-get", get(grown, stored), get(little, small)},
	} {
		t, err := inTurn(p.rounds, m.a, m.b)
		if err != nil {
			return nil, err
		}
		table = append(table, row{fmt.Sprintf("%s/stored=%d", m.name, stored), fmt.Sprintf("services: %s with %d stored against %d", m.what, stored, small),
			goal{slowdown, 1.15}, t.ratios, t.times()})
	}
	return table, nil
}

// seedServices stores products, and orders of one line each that take the
// products in turn. It serves as soon as the products are there.
func seedServices(ctx context.Context, f *fleet, a amount, serve func() error) error {
	store, err := redis.OpenProducts(ctx, f.redis.URL, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	err = errors.Join(
		each(a.products, func(i int) error { return store.Put(ctx, stockedProduct(i)) }),
		each(a.orders, func(i int) error {
			return store.Hold(ctx, hangar.Hold{ID: seededHold(i + 1), Version: 1, Quantities: map[string]int64{productID(i % a.products): 1}})
		}),
		store.Close())
	if err != nil {
		return err
	}
	if err := serve(); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, f.postgres.URL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, fmt.Sprintf(`
		INSERT INTO orders (created_at, updated_at, status, version, hold)
			SELECT now(), now(), 'confirmed', 1, format('%%s-0000-7000-8000-%%s', lpad(to_hex(n), 8, '0'), lpad(to_hex(n), 12, '0')) FROM generate_series(1, %[1]d) n;
		INSERT INTO order_details (order_id, product_id, price, quantity, created_at, updated_at)
			SELECT id, 'product-' || lpad(((id - 1) %% %[2]d)::text, 7, '0'), 100000.99, 1, now(), now() FROM orders ORDER BY id;
		ANALYZE`, a.orders, a.products))
	return err
}

// each calls do with the numbers below n, from many callers at a time.
func each(n int, do func(i int) error) error {
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		errs [callers]error
	)
	for c := range errs {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && errs[c] == nil; i = int(next.Add(1)) - 1 {
				errs[c] = do(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// seededHold is the hold key of the n-th order; they rise, as those of real
// orders do.
func seededHold(n int) string { return fmt.Sprintf("%08x-0000-7000-8000-%012x", n, n) }
