package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"hangar/orders"
	"hangar/products"
	"hangar/sqlite"
)

type orderStore interface {
	orders.Store
	io.Closer
}

type productStore interface {
	products.Store
	io.Closer
}

// backends are ways to open the stores.
type backends struct {
	orders   func(context.Context) (orderStore, error)
	products func(context.Context) (productStore, error)
}

// chooseBackends picks the backends that the URLs of c name, and touches none
// of them yet.
func chooseBackends(c *Config) (backends, error) {
	b := backends{
		orders: func(ctx context.Context) (orderStore, error) {
			return sqlite.OpenOrders(ctx, filepath.Join(c.Data, "orders.db"))
		},
		products: func(ctx context.Context) (productStore, error) {
			return sqlite.OpenProducts(ctx, filepath.Join(c.Data, "products.db"))
		},
	}
	for _, name := range []string{"orders-db", "products-db", "amqp"} {
		origin := c.Origins[name]
		before, _, _ := strings.Cut(origin.Text, "://")
		switch strings.ToLower(before) {
		case "": // what b has; and calls stay in the process
		case "postgres", "postgresql", "postgresql+psycopg2":
			return backends{}, notAvailable("PostgreSQL", name, origin)
		case "redis":
			return backends{}, notAvailable("Redis", name, origin)
		case "amqp", "amqps", "pyamqp":
			return backends{}, notAvailable("RabbitMQ", name, origin)
		default:
			return backends{}, notAvailable(before, name, origin)
		}
	}
	return b, nil
}

func notAvailable(what, name string, origin Origin) error {
	return fmt.Errorf("%s is not available in this version, but %s is %s (%s); without it the store runs in one process on SQLite",
		what, name, mask(origin.Text), origin.Source)
}

// stores are the open stores of a process.
type stores struct {
	orders   orderStore
	products productStore
}

// open opens both stores, or none.
func (b backends) open(ctx context.Context, c *Config) (*stores, error) {
	if err := os.MkdirAll(c.Data, 0o755); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	orderStore, err := b.orders(ctx)
	if err != nil {
		return nil, explainOpen(err, c)
	}
	productStore, err := b.products(ctx)
	if err != nil {
		return nil, errors.Join(explainOpen(err, c), orderStore.Close())
	}
	return &stores{orderStore, productStore}, nil
}

// explainOpen says what to do about a data folder that is taken.
func explainOpen(err error, c *Config) error {
	if !errors.Is(err, sqlite.ErrInUse) {
		return err
	}
	return fmt.Errorf("%w; stop that process, or name another folder with --data (this one is from %s)",
		err, c.Origins["data"].Source)
}

func (s *stores) close() error {
	return errors.Join(s.orders.Close(), s.products.Close())
}
