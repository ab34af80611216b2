package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// labels are those of the load test, in the order of its steps.
var labels = []string{"products-create", "product-get", "orders-create", "order-get", "product-delete", "list-orders"}

// modes are the ways to run the store, and what they are called in pictures.
var modes = map[string]string{"process": "One process", "services": "Separate services"}

// fixed is how much is stored of what does not differ from point to point.
const fixed = 1000

// visit is how many times in a row a store is taken through the steps.
const visit = 50

// curvesPlan says how much to measure for the curves.
type curvesPlan struct {
	largest int           // what the last point holds
	lasts   time.Duration // how long the stores of a curve are visited
	only    string
	docs    string
}

// curves measures how long answers take against what is stored, prints the
// figures, and keeps them and pictures of them with the documents.
func curves(ctx context.Context, out io.Writer, args []string) error {
	p := curvesPlan{}
	flags := flag.NewFlagSet("bench curves", flag.ExitOnError)
	flags.IntVar(&p.largest, "largest", 1_000_000, "most products, and most orders, that are stored")
	flags.DurationVar(&p.lasts, "for", 210*time.Second, fmt.Sprintf("how long each of the four curves is measured, in rounds of %d samples of every point", visit))
	flags.StringVar(&p.only, "only", "", "measure just process or services")
	flags.StringVar(&p.docs, "docs", "docs", "folder that gets figures/response-times.csv and images/response-time-*.svg")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.largest < 10 {
		return fmt.Errorf("-largest %d: there must be at least 10 stored", p.largest)
	}
	dir, err := os.MkdirTemp("", "hangar-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := build(ctx, dir)
	if err != nil {
		return err
	}
	var figures []figure
	for _, mode := range []string{"process", "services"} {
		if p.only != "" && p.only != mode {
			continue
		}
		for _, against := range []string{"products", "orders"} {
			fmt.Fprintf(os.Stderr, "%s %s: filling the stores\n", time.Now().Format(time.TimeOnly), drawn(nil, mode, against).title)
			fs, err := curve(ctx, p, mode, against, filepath.Join(dir, mode+"-"+against), binary)
			if err != nil {
				return fmt.Errorf("%s against %s: %w", mode, against, err)
			}
			figures = append(figures, fs...)
		}
	}
	if err := printFigures(out, figures); err != nil {
		return err
	}
	return keepFigures(p.docs, figures)
}

// amounts are the powers of ten up to the largest.
func amounts(largest int) []int {
	var all []int
	for n := 10; n <= largest; n *= 10 {
		all = append(all, n)
	}
	return all
}

// curve measures one mode. All its stores run at the same time and are visited in
// turn, so that what disturbs the machine disturbs all points.
func curve(ctx context.Context, p curvesPlan, mode, against, dir, binary string) (_ []figure, err error) {
	var stores []*visited
	defer func() {
		for _, s := range stores {
			err = errors.Join(err, s.stop())
		}
	}()
	for _, n := range amounts(p.largest) {
		a := amount{products: n, orders: fixed}
		if against == "orders" {
			a = amount{products: fixed, orders: n}
		}
		s := &visited{client: newClient(), amount: a, stored: n, took: make(map[string][]time.Duration)}
		open := openProcess
		if mode == "services" {
			open = openServices
		}
		s.url, s.stop, err = open(ctx, filepath.Join(dir, fmt.Sprint(n)), binary, a)
		if err != nil {
			return nil, err
		}
		stores = append(stores, s)
	}
	for _, s := range stores {
		if err := s.warmUp(ctx); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(os.Stderr, "%s measuring for %v\n", time.Now().Format(time.TimeOnly), p.lasts)
	for begin := time.Now(); time.Since(begin) < p.lasts || len(stores[0].took) == 0; {
		for _, s := range stores {
			if err := s.visit(ctx); err != nil {
				return nil, err
			}
		}
	}
	var figures []figure
	for _, s := range stores {
		for _, label := range labels {
			took := s.took[label]
			figures = append(figures, figure{mode, against, s.stored, label, len(took), median(took), quantile(took, 0.99)})
		}
	}
	return figures, nil
}

func openProcess(ctx context.Context, dir, binary string, a amount) (url string, stop func() error, err error) {
	if err := seed(ctx, dir, a); err != nil {
		return "", nil, err
	}
	p, err := start(ctx, dir+".log", binary, "serve", "--addr", "127.0.0.1:0", "--data", dir)
	if err != nil {
		return "", nil, err
	}
	return p.url, p.stop, nil
}

func openServices(ctx context.Context, dir, binary string, a amount) (url string, stop func() error, err error) {
	f, err := startServers(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	if err := seedServices(ctx, f, a, func() error { return f.serve(ctx, binary) }); err != nil {
		return "", nil, errors.Join(err, f.stop())
	}
	return f.url, f.stop, nil
}

// visited is a store that is taken through the steps of the load test again and
// again.
type visited struct {
	*client
	url    string
	stop   func() error
	amount amount
	stored int // of what differs
	took   map[string][]time.Duration
	last   int // product that was created
}

// warmUp reads all over the store, as one that has run for a while has, and goes
// through the steps.
func (s *visited) warmUp(ctx context.Context) error {
	err := each(warmUp, func(int) error { return errors.Join(s.get(ctx, s.aProduct()), s.get(ctx, s.anOrder())) })
	if err != nil {
		return err
	}
	err = s.visit(ctx)
	clear(s.took)
	return err
}

func (s *visited) aProduct() string {
	return s.url + "/products/" + productID(rand.IntN(s.amount.products))
}

func (s *visited) anOrder() string {
	return fmt.Sprintf("%s/orders/%d", s.url, 1+rand.IntN(s.amount.orders))
}

// visit goes through the steps, and times them. What is asked for is chosen at
// random from what was stored before; what is created is deleted again, so that
// the store keeps its size.
func (s *visited) visit(ctx context.Context) error {
	for range visit {
		s.last++
		created := fmt.Sprint("created-", s.last)
		var order int64
		for i, step := range []func() error{
			func() error {
				_, err := s.post(ctx, s.url+"/products", fmt.Sprintf(product, created))
				return err
			},
			func() error { return s.get(ctx, s.aProduct()) },
			func() (err error) {
				order, err = s.order(ctx, s.url, productID(rand.IntN(s.amount.products)))
				return err
			},
			func() error { return s.get(ctx, s.anOrder()) },
			func() error { return s.delete(ctx, s.url+"/products/"+created) },
			func() error { return s.get(ctx, s.url+"/orders?limit=100") },
		} {
			begin := time.Now()
			if err := step(); err != nil {
				return fmt.Errorf("%s: %w", labels[i], err)
			}
			s.took[labels[i]] = append(s.took[labels[i]], time.Since(begin))
		}
		if err := s.delete(ctx, fmt.Sprintf("%s/orders/%d", s.url, order)); err != nil {
			return err
		}
	}
	return nil
}

func printFigures(out io.Writer, figures []figure) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "mode\tagainst\tstored\tlabel\tmedian\tp99\t")
	for _, f := range figures {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%.2f ms\t%.2f ms\t\n", f.mode, f.against, f.stored, f.label, inMilliseconds(f.median), inMilliseconds(f.p99))
	}
	return w.Flush()
}
