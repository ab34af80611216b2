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

// measureOverload compares the store at half and at twice the load that
// saturates it with the store at its best.
func measureOverload(ctx context.Context, p plan, binary string) (_ []row, err error) {
	before, undo, where := apart()
	defer undo()
	command := append(before, binary, "serve", "--addr", "127.0.0.1:0", "--data", filepath.Join(p.workDir, "overload"))
	store, err := start(ctx, filepath.Join(p.workDir, "overload.log"), command[0], command[1:]...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.stop()) }()
	return overload(ctx, p, loaded{url: store.url, half: goal{slowdown, 5}, where: where})
}

// measureServicesOverload does the same with the services apart.
func measureServicesOverload(ctx context.Context, p plan, binary string) (_ []row, err error) {
	f, err := startServers(ctx, filepath.Join(p.workDir, "services-overload"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	if err := f.serve(ctx, binary); err != nil {
		return nil, err
	}
	return overload(ctx, p, loaded{
		url: f.url, name: "Services", what: "services: ", half: goal{unit: slowdown}, where: "everything on the same processors",
	})
}

// loaded is what is loaded, and how that is told.
type loaded struct {
	url        string
	name, what string // what its rows' names and texts begin with
	half       goal   // at half of the saturating load
	where      string // on which processors
}

func overload(ctx context.Context, p plan, l loaded) ([]row, error) {
	c := newClient()
	requests := make([][]byte, overloadProducts)
	for i := range requests {
		if _, err := c.post(ctx, l.url+"/products", fmt.Sprintf(product, productID(i))); err != nil {
			return nil, err
		}
		requests[i] = postOrder(productID(i))
	}
	clients, err := saturating(ctx, p, l.url, requests)
	if err != nil {
		return nil, err
	}
	var tails, medians, p99s, completed, waited, best, offered []float64
	refused := 0
	for range p.rounds {
		full, err := closedLoop(ctx, p.round, l.url, clients, requests)
		if err != nil {
			return nil, err
		}
		half, err := openLoop(ctx, p.round, l.url, requests, full.rate()/2)
		if err != nil {
			return nil, err
		}
		refused += full.refused + half.refused // by a machine that is busy with something else
		over, err := openLoop(ctx, p.round, l.url, requests, 2*full.rate())
		if err != nil {
			return nil, err
		}
		tails = append(tails, half.p99()/half.median())
		medians = append(medians, half.median())
		p99s = append(p99s, half.p99())
		completed = append(completed, over.rate()/full.rate())
		waited = append(waited, over.median()/full.median())
		best = append(best, full.rate())
		offered = append(offered, over.offered()/full.rate())
	}
	saturated := fmt.Sprintf("at best %.0f/s, with %d clients; ", median(best), clients)
	overloaded := saturated + fmt.Sprintf("then %.2f times that came; %s", median(offered), l.where)
	return []row{
		{l.name + "HalfLoadP99AgainstMedian", l.what + "orders at half the saturating load: p99 against the median", l.half, tails,
			saturated + fmt.Sprintf("then %.2f ms against %.2f ms, %d refused in both; %s", median(p99s), median(medians), refused, l.where)},
		{l.name + "OverloadCompleted", l.what + "orders completed at twice the saturating load, against the best", goal{ratio, 0.85}, completed, overloaded},
		{l.name + "OverloadMedianLatency", l.what + "orders: median latency of those, against that at saturation", goal{slowdown, 2}, waited, overloaded},
	}, nil
}

// saturating returns how many clients it takes for the most orders.
func saturating(ctx context.Context, p plan, url string, requests [][]byte) (clients int, err error) {
	best := -1.0
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

func (o *outcomes) rate() float64    { return float64(len(o.took)) / o.lasted.Seconds() }
func (o *outcomes) offered() float64 { return float64(len(o.took)+o.refused) / o.lasted.Seconds() }

// median and p99 are of what was carried out, in milliseconds.
func (o *outcomes) median() float64 { return inMilliseconds(median(o.took)) }
func (o *outcomes) p99() float64    { return inMilliseconds(quantile(o.took, 0.99)) }

func inMilliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// closedLoop sends from so many clients one request after the other, at least one
// from each.
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
			for more := true; more; more = time.Since(begin) < d && ctx.Err() == nil {
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

// openLoop sends so many requests a second, and at least one, each at its time,
// whatever becomes of those before. Their latency counts from when they were due: what waits for a
// connection, or for the load generator, is not hidden.
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
	rate = max(rate, 1/d.Seconds())
	due := make(chan time.Time, int(rate*d.Seconds())+1)
	for _, w := range all {
		wg.Go(func() { o.sendDue(w, due, func() []byte { return requests[int(next.Add(1))%len(requests)] }) })
	}
	begin := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		after := time.Duration(float64(n) / rate * float64(time.Second))
		if after >= d {
			break
		}
		for early := after - time.Since(begin); early > 0; early = after - time.Since(begin) {
			pause(early)
		}
		due <- begin.Add(after)
	}
	close(due)
	wg.Wait()
	o.lasted = time.Since(begin)
	return &o, errors.Join(o.err, ctx.Err())
}

// sendDue sends a request for each time at which one was due, one after the
// other.
func (o *outcomes) sendDue(w *wire, due <-chan time.Time, request func() []byte) {
	for at := range due {
		status, err := w.do(request())
		o.note(status, time.Since(at), err)
		if err != nil {
			return
		}
	}
}
