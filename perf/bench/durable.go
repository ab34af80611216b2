package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"hangar"
	"hangar/orders"
	"hangar/products"
	"hangar/sqlite"
)

const callers = 64

// measureDurable compares orders that 64 callers place at the service with the
// least that a durable order takes alone: one transaction for the order, its
// line and its event.
func measureDurable(ctx context.Context, p plan, _ string) ([]row, error) {
	s, err := openService(ctx, filepath.Join(p.workDir))
	if err != nil {
		return nil, err
	}
	one, err := openOneByOne(ctx, filepath.Join(p.workDir, "one.db"))
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	durable, err := inTurn(p.rounds,
		func() (float64, error) { return s.rate(ctx, p.round) },
		func() (float64, error) { return one.rate(ctx, p.round) })
	err = errors.Join(err, s.close(), one.db.Close())
	return []row{{"DurableOrders", "durable orders, 64 callers, against one transaction an order", goal{ratio, 4}, durable.ratios, durable.rates()}}, err
}

// service is a store without HTTP.
type service struct {
	file    *sqlite.Store
	orders  *orders.Service
	stop    context.CancelFunc
	running sync.WaitGroup
}

const durableProducts = 1000

func openService(ctx context.Context, dir string) (*service, error) {
	file, err := sqlite.Open(ctx, filepath.Join(dir, "hangar.db"))
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	stock := products.NewService(file.Products, log)
	for i := range durableProducts {
		p := hangar.Product{ID: fmt.Sprint("p", i), Title: "The Odyssey", InStock: hangar.MaxInteger}
		if err := stock.PutProduct(ctx, p); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	ctx, stop := context.WithCancel(ctx)
	s := &service{file: file, orders: orders.NewService(file.Orders, stock, log), stop: stop}
	s.orders.CreateWith(file.Orders)
	s.running.Go(func() { orders.NewRelay(file.Orders, orders.PublishTo(stock), log).Run(ctx) })
	return s, nil
}

func (s *service) close() error {
	s.stop()
	s.running.Wait()
	return s.file.Close()
}

func (s *service) rate(ctx context.Context, d time.Duration) (float64, error) {
	var (
		wg   sync.WaitGroup
		n    atomic.Int64
		once sync.Once
		err  error
	)
	begin := time.Now()
	for range callers {
		wg.Go(func() {
			for time.Since(begin) < d {
				id := fmt.Sprint("p", n.Add(1)%durableProducts)
				_, e := s.orders.CreateOrder(ctx, hangar.NewOrder{Details: []hangar.OrderDetail{{ProductID: id, Price: 10000099, Quantity: 1}}})
				if e != nil {
					once.Do(func() { err = e })
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(begin).Seconds(), err
}

// oneByOne stores orders, each in a transaction of its own.
type oneByOne struct {
	db                  *sql.DB
	order, line, outbox *sql.Stmt
}

func openOneByOne(ctx context.Context, path string) (*oneByOne, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	o := &oneByOne{db: db}
	_, err = db.ExecContext(ctx, `
		CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT, created_at INTEGER);
		CREATE TABLE lines (id INTEGER PRIMARY KEY, order_id INTEGER, product_id TEXT, price INTEGER, quantity INTEGER);
		CREATE INDEX lines_order_id ON lines (order_id);
		CREATE TABLE outbox (id INTEGER PRIMARY KEY, payload TEXT)`)
	for query, stmt := range map[string]**sql.Stmt{
		"INSERT INTO orders (status, created_at) VALUES ('confirmed', 1)":                      &o.order,
		"INSERT INTO lines (order_id, product_id, price, quantity) VALUES (?, ?, 10000099, 1)": &o.line,
		"INSERT INTO outbox (payload) VALUES (?)":                                              &o.outbox,
	} {
		if err == nil {
			*stmt, err = db.PrepareContext(ctx, query)
		}
	}
	return o, err
}

func (o *oneByOne) rate(ctx context.Context, d time.Duration) (float64, error) {
	n := 0
	begin := time.Now()
	for ; time.Since(begin) < d; n++ {
		if err := o.insert(ctx, n); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

func (o *oneByOne) insert(ctx context.Context, n int) error {
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	r, err := tx.StmtContext(ctx, o.order).ExecContext(ctx)
	if err != nil {
		return err
	}
	id, err := r.LastInsertId()
	if err != nil {
		return err
	}
	if _, err := tx.StmtContext(ctx, o.line).ExecContext(ctx, id, fmt.Sprint("p", n%durableProducts)); err != nil {
		return err
	}
	if _, err := tx.StmtContext(ctx, o.outbox).ExecContext(ctx, `{"order": {"id": 1, "order_details": [{"id": 1, "product_id": "p1", "price": "100000.99", "quantity": 1}]}}`); err != nil {
		return err
	}
	return tx.Commit()
}
