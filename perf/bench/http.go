package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const clients = 32

const product = `{"id":"%s","title":"The Odyssey","passenger_capacity":101,"maximum_speed":5,"in_stock":1000000}`

// measureHTTP compares the store with a bare handler, over loopback.
func measureHTTP(ctx context.Context, p plan, binary string) (_ []row, err error) {
	store, err := start(ctx, filepath.Join(p.workDir, "http.log"), binary, "serve", "--addr", "127.0.0.1:0", "--data", filepath.Join(p.workDir, "http"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.stop()) }()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	body := fmt.Sprintf(product+"\n", "the_odyssey")
	bare, err := start(ctx, filepath.Join(p.workDir, "bare.log"), self, "bare", body)
	if err != nil {
		return nil, err
	}
	defer bare.cmd.Wait() // ended by a signal, which is no failure
	defer bare.cmd.Process.Kill()

	c := newClient()
	if _, err := c.post(ctx, store.url+"/products", body); err != nil {
		return nil, err
	}
	bareGet := func() (float64, error) {
		return load(ctx, clients, p.round, 1, func(context.Context, int64) error { return c.get(ctx, bare.url+"/products/the_odyssey") })
	}
	get, err := inTurn(p.rounds, func() (float64, error) {
		return load(ctx, clients, p.round, 1, func(context.Context, int64) error { return c.get(ctx, store.url+"/products/the_odyssey") })
	}, bareGet)
	if err != nil {
		return nil, err
	}
	prefix := 0
	chain, err := inTurn(p.rounds, func() (float64, error) {
		prefix++
		return load(ctx, clients, p.round, 4, func(ctx context.Context, n int64) error {
			return c.chain(ctx, store.url, fmt.Sprintf("p%d-%d", prefix, n))
		})
	}, bareGet)
	if err != nil {
		return nil, err
	}
	return []row{
		{"GetProductAgainstBare", "GET /products/{id} against a bare handler, 32 clients", goal{ratio, 0.80}, get.ratios, get.rates()},
		{"ChainAgainstBare", "chain of 4 requests against a bare handler, 32 clients", goal{ratio, 0.50}, chain.ratios, chain.rates()},
	}, nil
}

// load calls do in a loop from so many clients, at least once from each, and returns
// requests per second; each call is requests of them.
func load(ctx context.Context, clients int, d time.Duration, requests int, do func(ctx context.Context, n int64) error) (float64, error) {
	var (
		wg   sync.WaitGroup
		n    atomic.Int64
		once sync.Once
		err  error
	)
	begin := time.Now()
	deadline := begin.Add(d)
	for range clients {
		wg.Go(func() {
			for more := true; more; more = time.Now().Before(deadline) && ctx.Err() == nil {
				if e := do(ctx, n.Add(1)); e != nil {
					once.Do(func() { err = e })
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n.Load()*int64(requests)) / time.Since(begin).Seconds(), errors.Join(err, ctx.Err())
}

type client struct{ http.Client }

func newClient() *client {
	return &client{http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: callers, DisableCompression: true},
		Timeout:   30 * time.Second,
	}}
}

func (c *client) get(ctx context.Context, url string) error {
	_, err := c.do(ctx, "GET", url, "", http.StatusOK)
	return err
}

func (c *client) delete(ctx context.Context, url string) error {
	_, err := c.do(ctx, "DELETE", url, "", http.StatusNoContent)
	return err
}

func (c *client) post(ctx context.Context, url, body string) ([]byte, error) {
	return c.do(ctx, "POST", url, body, http.StatusOK)
}

func (c *client) do(ctx context.Context, method, url, body string, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		return nil, fmt.Errorf("%s %s answered %d %s", method, url, resp.StatusCode, b.Bytes())
	}
	return b.Bytes(), nil
}

// chain creates a product, gets it, creates an order of it, and gets the order.
func (c *client) chain(ctx context.Context, url, id string) error {
	if _, err := c.post(ctx, url+"/products", fmt.Sprintf(product, id)); err != nil {
		return err
	}
	if err := c.get(ctx, url+"/products/"+id); err != nil {
		return err
	}
	order, err := c.order(ctx, url, id)
	if err != nil {
		return err
	}
	return c.get(ctx, fmt.Sprintf("%s/orders/%d", url, order))
}

// order creates an order of one unit and returns its id.
func (c *client) order(ctx context.Context, url, product string) (int64, error) {
	b, err := c.post(ctx, url+"/orders", fmt.Sprintf(`{"order_details":[{"product_id":%q,"price":"100000.99","quantity":1}]}`, product))
	if err != nil {
		return 0, err
	}
	var created struct{ ID int64 }
	return created.ID, json.Unmarshal(b, &created)
}
