package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hangar/orders"
	"hangar/postgres"
	"hangar/products"
	"hangar/redis"
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

// openOrders opens the store that the URL names.
func openOrders(ctx context.Context, c *Config, log *slog.Logger) (orderStore, error) {
	switch schemeOf(c.OrdersDB) {
	case "":
		return sqlite.OpenOrders(ctx, filepath.Join(c.Data, "orders.db"))
	case "postgres", "postgresql", "postgresql+psycopg2":
		return postgres.OpenOrders(ctx, c.OrdersDB, log)
	default:
		return nil, notAStore("orders", "orders-db", c)
	}
}

// openProducts opens the store that the URL names.
func openProducts(ctx context.Context, c *Config, log *slog.Logger) (productStore, error) {
	switch schemeOf(c.ProductsDB) {
	case "":
		return sqlite.OpenProducts(ctx, filepath.Join(c.Data, "products.db"))
	case "redis", "rediss", "unix":
		return redis.OpenProducts(ctx, c.ProductsDB, log)
	default:
		return nil, notAStore("products", "products-db", c)
	}
}

func schemeOf(url string) string {
	scheme, _, _ := strings.Cut(url, "://")
	return strings.ToLower(scheme)
}

func notAStore(what, setting string, c *Config) error {
	origin := c.Origins[setting]
	return usagef("%s cannot be kept in %s (%s)", what, mask(origin.Text), origin.Source)
}

// stores are the open stores of a process; nil is one that it does not need.
type stores struct {
	orders   orderStore
	products productStore
}

// openStores opens the stores that the named services need, or none.
func openStores(ctx context.Context, c *Config, names []string, log *slog.Logger) (_ *stores, err error) {
	s := new(stores)
	defer func() {
		if err != nil {
			err = errors.Join(explainOpen(err, c), s.close())
		}
	}()
	if keptInFiles(c, names) {
		if err := os.MkdirAll(c.Data, 0o755); err != nil {
			return nil, fmt.Errorf("make the data folder: %w", err)
		}
	}
	if slices.Contains(names, "orders") {
		store, err := openOrders(ctx, c, log)
		if err != nil {
			return nil, err
		}
		s.orders = store
	}
	if slices.Contains(names, "products") {
		store, err := openProducts(ctx, c, log)
		if err != nil {
			return nil, err
		}
		s.products = store
	}
	return s, nil
}

// keptInFiles reports whether anything is kept in the data folder.
func keptInFiles(c *Config, names []string) bool {
	return c.OrdersDB == "" && slices.Contains(names, "orders") ||
		c.ProductsDB == "" && slices.Contains(names, "products")
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
	var errs []error
	if s.orders != nil {
		errs = append(errs, s.orders.Close())
	}
	if s.products != nil {
		errs = append(errs, s.products.Close())
	}
	return errors.Join(errs...)
}
