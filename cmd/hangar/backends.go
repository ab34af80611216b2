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

// openOrders opens the store that the URL names.
func openOrders(ctx context.Context, c *Config, log *slog.Logger) (orderStore, error) {
	switch schemeOf(c.OrdersDB) {
	case "postgres", "postgresql", "postgresql+psycopg2":
		return postgres.OpenOrders(ctx, c.OrdersDB, log)
	default:
		return nil, notAStore("orders", "orders-db", c)
	}
}

// openProducts opens the store that the URL names.
func openProducts(ctx context.Context, c *Config, log *slog.Logger) (*redis.ProductStore, error) {
	switch schemeOf(c.ProductsDB) {
	case "redis", "rediss", "unix":
		return redis.OpenProducts(ctx, c.ProductsDB, log)
	default:
		return nil, notAStore("products", "products-db", c)
	}
}

// filePath is where what no URL is given for is kept.
func filePath(c *Config) string { return filepath.Join(c.Data, "hangar.db") }

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
	orders   orders.Store
	products products.Store
	creator  orders.Creator // where orders and products are in the same file
	open     []io.Closer
}

// openStores opens the stores that the named services need, or none.
func openStores(ctx context.Context, c *Config, names []string, log *slog.Logger) (_ *stores, err error) {
	s := new(stores)
	defer func() {
		if err != nil {
			err = errors.Join(explainOpen(err, c), s.close())
		}
	}()
	if keptInFile(c, names) {
		if err := os.MkdirAll(c.Data, 0o755); err != nil {
			return nil, fmt.Errorf("make the data folder: %w", err)
		}
		file, err := sqlite.Open(ctx, filePath(c))
		if err != nil {
			return nil, err
		}
		s.open = append(s.open, file)
		s.orders, s.products = file.Orders, file.Products
		// The stock that the orders service asks is in the file only if it is served here.
		if c.OrdersDB == "" && c.ProductsDB == "" && slices.Contains(names, "products") {
			s.creator = file.Orders
		}
	}
	if c.OrdersDB != "" && slices.Contains(names, "orders") {
		store, err := openOrders(ctx, c, log)
		if err != nil {
			return nil, err
		}
		s.orders, s.open = store, append(s.open, store)
	}
	if c.ProductsDB != "" && slices.Contains(names, "products") {
		store, err := openProducts(ctx, c, log)
		if err != nil {
			return nil, err
		}
		s.products, s.open = store, append(s.open, store)
	}
	return s, nil
}

// keptInFile reports whether anything is kept in the data folder.
func keptInFile(c *Config, names []string) bool {
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
	for _, store := range s.open {
		errs = append(errs, store.Close())
	}
	return errors.Join(errs...)
}
