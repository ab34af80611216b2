package console

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hangar"
	"hangar/gateway"
)

const (
	// sampleEvery is the least time between two samples, however many watch.
	sampleEvery = time.Second

	// shownSamples is how many are kept, for charts of two minutes.
	shownSamples = 121

	// longestGap is how long after another a sample may follow for a rate to be
	// made of the two. After a longer time nobody watched.
	longestGap = 5 * time.Second

	// askTimeout bounds what a sample asks of the services.
	askTimeout = 2 * time.Second
)

// sample is what was measured at one time.
type sample struct {
	at     time.Time
	totals totals
	err    error // of the totals

	outbox    hangar.OutboxStatistics
	outboxErr error

	holds    rate // of the stock, a second
	holdsErr error
}

// rate is of the instances of the products service together.
type rate struct {
	known           bool
	holds, refusals float64
}

// sampler measures while somebody watches: whoever asks takes the next sample, if
// it is time, and all see the same ones. It does nothing while nobody asks.
type sampler struct {
	metrics  prometheus.Gatherer
	orders   hangar.OrderService
	products hangar.ProductService

	taking sync.Mutex // held by whoever takes a sample
	stock  stockRates

	mu      sync.Mutex
	samples []sample
	last    time.Time // when the last sample was begun
}

func newSampler(c Config) *sampler {
	return &sampler{metrics: c.Metrics, orders: c.Orders, products: c.Products, stock: stockRates{}}
}

// watch returns the samples of the last two minutes, with one that is no older
// than a second, unless another caller takes that at the moment. The samples are
// not to be changed.
func (s *sampler) watch(ctx context.Context) []sample {
	if s.taking.TryLock() {
		defer s.taking.Unlock()
		if s.isTime() {
			s.keep(s.take(ctx))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.samples
}

func (s *sampler) isTime() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.last) < sampleEvery {
		return false
	}
	s.last = time.Now()
	return true
}

func (s *sampler) keep(taken sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := max(0, len(s.samples)+1-shownSamples)
	kept := s.samples[first:]
	s.samples = append(kept[:len(kept):len(kept)], taken) // a new array: others still read the old one
}

// take measures. A viewer who leaves does not spoil it for the others.
func (s *sampler) take(ctx context.Context) sample {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	var (
		taken sample
		stock hangar.StockStatistics
		wg    sync.WaitGroup
	)
	wg.Go(func() { taken.outbox, taken.outboxErr = s.orders.OutboxStatistics(ctx) })
	wg.Go(func() { stock, taken.holdsErr = s.products.StockStatistics(ctx) })
	taken.totals, taken.err = readTotals(s.metrics)
	taken.at = time.Now()
	wg.Wait()
	if taken.holdsErr == nil {
		taken.holds = s.stock.add(taken.at, stock)
	}
	return taken
}

// stockRates are what the instances of the products service answered last, by
// instance. Each call reaches one of them.
type stockRates map[string]*stockRate

type stockRate struct {
	at   time.Time
	last hangar.StockStatistics
	rate rate
}

// forgetInstance is how long ago an instance may have answered and still count.
const forgetInstance = 15 * time.Second

// add takes the answer of one instance, and returns the rates of all.
func (s stockRates) add(at time.Time, answer hangar.StockStatistics) (sum rate) {
	known := s[answer.Instance]
	if known == nil || at.Sub(known.at) > forgetInstance {
		s[answer.Instance] = &stockRate{at: at, last: answer}
	} else if seconds := at.Sub(known.at).Seconds(); seconds > 0 {
		known.rate = rate{
			known:    true,
			holds:    float64(answer.Holds-known.last.Holds) / seconds,
			refusals: float64(answer.Refusals-known.last.Refusals) / seconds,
		}
		known.at, known.last = at, answer
	}
	for instance, r := range s {
		if at.Sub(r.at) > forgetInstance {
			delete(s, instance)
			continue
		}
		sum.known = sum.known || r.rate.known
		sum.holds += r.rate.holds
		sum.refusals += r.rate.refusals
	}
	return sum
}

// notKnown says why a figure is missing, "" if it is not.
func notKnown(err error) string {
	if err == nil {
		return ""
	}
	_, e := gateway.ErrorAnswer(err)
	return "Not known: " + e.Message
}
