package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"hangar/sqlite"
)

// small is how much the store holds that the grown one is compared with.
const small = 1000

// warmUp is how many orders are read before anything is measured.
const warmUp = 6000

// samples is how many requests of a kind one round times.
const samples = 300

// measureGrown compares a store that holds much with one that holds little.
func measureGrown(ctx context.Context, p plan, binary string) (_ []row, err error) {
	littleDir := filepath.Join(p.workDir, "little")
	if err := seed(ctx, littleDir, amount{small, small}); err != nil {
		return nil, err
	}
	grownDir, err := grownStore(ctx, p)
	if err != nil {
		return nil, err
	}
	little, err := start(ctx, littleDir+".log", binary, "serve", "--addr", "127.0.0.1:0", "--data", littleDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, little.stop()) }()
	var ready []float64
	for range p.rounds {
		again, err := start(ctx, grownDir+".log", binary, "serve", "--addr", "127.0.0.1:0", "--data", grownDir)
		if err != nil {
			return nil, err
		}
		ready = append(ready, inMilliseconds(again.ready))
		if err := again.stop(); err != nil {
			return nil, err
		}
	}
	grown, err := start(ctx, grownDir+".log", binary, "serve", "--addr", "127.0.0.1:0", "--data", grownDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, grown.stop()) }()

	c := newClient()
	create := func(url string, stored int) func() (float64, error) {
		return timed(func() error {
			_, err := c.order(ctx, url, productID(rand.IntN(stored)))
			return err
		})
	}
	get := func(url string, stored int) func() (float64, error) {
		return timed(func() error { return c.get(ctx, fmt.Sprintf("%s/orders/%d", url, 1+rand.IntN(stored))) })
	}
	page := func(after int) func() (float64, error) {
		return timed(func() error { return c.get(ctx, fmt.Sprintf("%s/orders?limit=100&after=%d", grown.url, after)) })
	}
	// Stores that have run for a while: the pages of their indexes are mapped.
	for range warmUp / samples {
		for _, get := range []func() (float64, error){get(grown.url, p.stored), get(little.url, small)} {
			if _, err := get(); err != nil {
				return nil, err
			}
		}
	}
	var table []row
	for _, m := range []struct {
		name, what string
		a, b       func() (float64, error)
	}{
		{"OrderCreateGrown", fmt.Sprintf("order-create with %d stored against %d", p.stored, small), create(grown.url, p.stored), create(little.url, small)},
		{"OrderGetGrown", fmt.Sprintf("order-get with %d stored against %d", p.stored, small), get(grown.url, p.stored), get(little.url, small)},
		{"LastPage", fmt.Sprintf("page %d of the orders against page 1", p.stored/100), page(p.stored - 100), page(0)},
	} {
		t, err := inTurn(p.rounds, m.a, m.b)
		if err != nil {
			return nil, err
		}
		table = append(table, row{fmt.Sprintf("%s/stored=%d", m.name, p.stored), m.what, goal{slowdown, 1.15}, t.ratios, t.times()})
	}
	return append(table, row{fmt.Sprintf("StartToReady/stored=%d", p.stored), fmt.Sprintf("start to ready with %d stored", p.stored),
		goal{milliseconds, 200}, ready, "from the start of the process to its first answer"}), nil
}

// timed returns a measurement: the median time of do, in microseconds.
func timed(do func() error) func() (float64, error) {
	return func() (float64, error) {
		took := make([]time.Duration, samples)
		for i := range took {
			begin := time.Now()
			if err := do(); err != nil {
				return 0, err
			}
			took[i] = time.Since(begin)
		}
		return float64(median(took).Nanoseconds()) / 1000, nil
	}
}

func productID(n int) string { return fmt.Sprintf("product-%07d", n) }

// amount is what a store holds.
type amount struct{ products, orders int }

// grownStore returns the data folder of a store that holds much. It is made
// once, and what is measured on it adds little.
func grownStore(ctx context.Context, p plan) (string, error) {
	dir := filepath.Join(p.workDir, "grown")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return dir, seed(ctx, dir, amount{p.stored, p.stored})
}

// seed makes a data folder with orders of one line each, that take the products
// in turn.
func seed(ctx context.Context, dir string, a amount) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, "hangar.db")
	file, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	const hold = "format('%08x-0000-7000-8000-%012x', n, n)" // rises, as the keys of real holds do
	count := func(n int) string {
		return fmt.Sprintf("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %d) ", n)
	}
	ordered := fmt.Sprintf("format('product-%%07d', (n - 1) %% %d)", a.products)
	return execute(ctx, path,
		count(a.orders)+"INSERT INTO orders (status, version, hold, created_at, changed_at) SELECT 'confirmed', 1, "+hold+", n, n FROM c",
		count(a.orders)+"INSERT INTO order_details (order_id, id, product_id, price, quantity) SELECT n, n, "+ordered+", 10000099, 1 FROM c",
		count(a.products)+"INSERT INTO products (id, title, passenger_capacity, maximum_speed, in_stock) SELECT format('product-%07d', n - 1), 'The Odyssey', 101, 5, 1000000 FROM c",
		count(a.orders)+"INSERT INTO holds (id, version, held, changed_at) SELECT "+hold+", 1, json_object("+ordered+", 1), "+
			fmt.Sprint(time.Now().UnixMicro())+" + n FROM c")
}

func execute(ctx context.Context, path string, queries ...string) error {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	for _, query := range queries {
		if _, err := db.ExecContext(ctx, query); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", query, err), db.Close())
		}
	}
	return db.Close()
}
