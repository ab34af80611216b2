package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// overloadProducts are ordered in turn.
const overloadProducts = 1000

// openClients is how many connections serve an open arrival rate. Refusals come
// at once, so that few of them are in use.
const openClients = 512

// measureOverload compares the store at twice the load that saturates it with
// the store at its best.
func measureOverload(ctx context.Context, p plan, binary string) (_ []result, err error) {
	before, undo, where := apart()
	defer func() { err = errors.Join(err, undo()) }()
	command := append(before, binary, "serve", "--addr", "127.0.0.1:0", "--data", filepath.Join(p.workDir, "overload"))
	store, err := start(ctx, filepath.Join(p.workDir, "overload.log"), command[0], command[1:]...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.stop()) }()
	return overload(ctx, p, store.url, "orders", where)
}

// measureServicesOverload does the same with the services apart.
func measureServicesOverload(ctx context.Context, p plan, binary string) (_ []result, err error) {
	f, err := startServers(ctx, filepath.Join(p.workDir, "services-overload"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	if err := f.serve(ctx, binary); err != nil {
		return nil, err
	}
	return overload(ctx, p, f.url, "services: orders", "everything on the same processors")
}

func overload(ctx context.Context, p plan, url, what, where string) ([]result, error) {
	c := newClient()
	requests := make([][]byte, overloadProducts)
	for i := range requests {
		if _, err := c.post(ctx, url+"/products", fmt.Sprintf(product, productID(i))); err != nil {
			return nil, err
		}
		requests[i] = postOrder(productID(i))
	}
	clients, err := saturating(ctx, p, url, requests)
	if err != nil {
		return nil, err
	}
	var completed, waited, best, offered []float64
	for range p.rounds {
		full, err := closedLoop(ctx, p.round, url, clients, requests)
		if err != nil {
			return nil, err
		}
		if full.refused > 0 {
			return nil, fmt.Errorf("%d requests of %d clients were refused", full.refused, clients)
		}
		over, err := openLoop(ctx, p.round, url, requests, 2*full.rate())
		if err != nil {
			return nil, err
		}
		completed = append(completed, over.rate()/full.rate())
		waited = append(waited, float64(over.latency())/float64(full.latency()))
		best = append(best, full.rate())
		offered = append(offered, over.offered()/full.rate())
	}
	detail := fmt.Sprintf("at best %.0f/s, with %d clients; then %.2f times that came; %s", median(best), clients, median(offered), where)
	return []result{
		{what + " completed at twice the saturating load, against the best", ">= 0.85", median(completed), detail},
		{what + ": median latency of those, against that at saturation", "<= 2", median(waited), detail},
	}, nil
}

// saturating returns how many clients it takes for the most orders.
func saturating(ctx context.Context, p plan, url string, requests [][]byte) (clients int, err error) {
	best := 0.0
	for _, n := range []int{16, 32, 64, 96, 128} {
		o, err := closedLoop(ctx, p.round, url, n, requests)
		if err != nil {
			return 0, err
		}
		// A few more orders are not worth twice the clients.
		if o.rate() > 1.05*best {
			best, clients = o.rate(), n
		}
	}
	return clients, nil
}

// outcomes are what became of requests.
type outcomes struct {
	mu      sync.Mutex
	took    []time.Duration // by those that were carried out
	refused int
	err     error
	lasted  time.Duration
}

func (o *outcomes) note(status int, took time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err != nil:
		o.err = errors.Join(o.err, err)
	case status == http.StatusOK:
		o.took = append(o.took, took)
	case status == http.StatusServiceUnavailable:
		o.refused++
	default:
		o.err = fmt.Errorf("an order was answered %d", status)
	}
}

func (o *outcomes) rate() float64          { return float64(len(o.took)) / o.lasted.Seconds() }
func (o *outcomes) offered() float64       { return float64(len(o.took)+o.refused) / o.lasted.Seconds() }
func (o *outcomes) latency() time.Duration { return median(o.took) }

// closedLoop sends from so many clients one request after the other.
func closedLoop(ctx context.Context, d time.Duration, url string, clients int, requests [][]byte) (*outcomes, error) {
	all, err := dialWires(url, clients)
	if err != nil {
		return nil, err
	}
	defer all.close()
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		o    outcomes
	)
	begin := time.Now()
	for _, w := range all {
		wg.Go(func() {
			for time.Since(begin) < d && ctx.Err() == nil {
				sent := time.Now()
				status, err := w.do(requests[int(next.Add(1))%len(requests)])
				o.note(status, time.Since(sent), err)
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	o.lasted = time.Since(begin)
	return &o, errors.Join(o.err, ctx.Err())
}

// openLoop sends so many requests a second, whatever becomes of them. Their
// time counts from when they were due.
func openLoop(ctx context.Context, d time.Duration, url string, requests [][]byte, rate float64) (*outcomes, error) {
	all, err := dialWires(url, openClients)
	if err != nil {
		return nil, err
	}
	defer all.close()
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		o    outcomes
	)
	due := make(chan time.Time, int(rate*d.Seconds())+1)
	for _, w := range all {
		wg.Go(func() {
			for at := range due {
				status, err := w.do(requests[int(next.Add(1))%len(requests)])
				o.note(status, time.Since(at), err)
				if err != nil {
					return
				}
			}
		})
	}
	begin := time.Now()
	for n := 0; time.Since(begin) < d && ctx.Err() == nil; {
		for ; n < int(rate*time.Since(begin).Seconds()); n++ {
			due <- begin.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		}
		time.Sleep(time.Millisecond)
	}
	close(due)
	wg.Wait()
	o.lasted = time.Since(begin)
	return &o, errors.Join(o.err, ctx.Err())
}
