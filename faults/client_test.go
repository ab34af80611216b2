package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"hangar"
)

// The products that are sold. There is little of the last one: it runs out.
var putIn = map[string]int64{"balloon": 1_000_000_000, "zeppelin": 1_000_000_000, "scarce": 50}

// purchase is what one client knows of one order.
type purchase struct {
	key       string
	lines     []hangar.OrderDetail
	price     hangar.Price // of its lines, and of no other purchase's: the order is known by it
	body      string
	id        int64 // 0 until an answer names it
	refused   bool
	cancel    bool // cancellation was asked for
	cancelled bool // and answered
	fickle    bool // the client does not ask again after an unknown outcome
	gone      bool // and has left: only recovery settles what it began
	gaveUp    bool // asked again for a long time, in vain
}

// settled reports whether the client waits for no answer any more.
func (p *purchase) settled() bool {
	return p.gone || p.refused || p.id != 0 && p.cancel == p.cancelled
}

// record is what the clients know: every request, every answer, every unknown
// outcome.
type record struct {
	url    string
	client *http.Client

	// panics says that handlers panic, so that 500 is an answer, to be asked again.
	panics bool

	// noneOpen says that no request may fail, not even for a while.
	noneOpen bool

	// allLeave says that no client asks again after an unknown outcome.
	allLeave bool

	// allStay says that each does, and that none cancels an order.
	allStay bool

	putIn map[string]int64 // units of each product, before any were added

	mu        sync.Mutex
	all       []*purchase
	restocks  []*restock
	answers   int              // that settle something
	lastSent  time.Time        // when the latest request was sent that was answered so
	unknown   int              // outcomes that were unknown, or not yet
	least     map[string]int64 // stock that was ever seen
	violation []string         // answers that may never be given
}

func newRecord(url string) *record {
	return &record{url: url, client: http1, putIn: maps.Clone(putIn), least: make(map[string]int64)}
}

// newPurchase returns a purchase of some products, which may be cancelled.
func (r *record) newPurchase() *purchase {
	lines := make([]hangar.OrderDetail, 1+rand.IntN(3))
	for i := range lines {
		lines[i] = hangar.OrderDetail{ProductID: anyProduct(), Quantity: 1 + rand.Int64N(3)}
	}
	p := r.purchaseOf(lines...)
	p.cancel, p.fickle = rand.IntN(4) == 0, r.allLeave || rand.IntN(4) == 0
	if r.allStay {
		p.cancel, p.fickle = false, false
	}
	return p
}

// anyProduct returns what somebody wants; the scarce one is not wanted often, as
// orders of it are refused once it is gone.
func anyProduct() string {
	if rand.IntN(10) == 0 {
		return "scarce"
	}
	return []string{"balloon", "zeppelin"}[rand.IntN(2)]
}

// purchaseOf returns a purchase of those lines, at a price of its own.
func (r *record) purchaseOf(lines ...hangar.OrderDetail) *purchase {
	r.mu.Lock()
	defer r.mu.Unlock()
	price := hangar.Price(len(r.all) + 1)
	var b strings.Builder
	for i, l := range lines {
		lines[i].Price = price
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"product_id":%q,"price":%q,"quantity":%d}`, l.ProductID, price, l.Quantity)
	}
	p := &purchase{key: fmt.Sprintf("key-%d", price), lines: lines, price: price, body: `{"order_details":[` + b.String() + `]}`}
	r.all = append(r.all, p)
	return p
}

// answered notes an answer that settles something.
func (r *record) answered(sent time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers++
	if sent.After(r.lastSent) {
		r.lastSent = sent
	}
}

func (r *record) open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unknown++
}

// misses waits until so many more outcomes are open.
func (r *record) misses(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.unknown
	}
	goal := count() + n
	waitFor(t, "requests fail", func() bool { return count() >= goal })
}

func (r *record) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answers
}

func (r *record) violate(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violation = append(r.violation, fmt.Sprintf(format, args...))
}

func (r *record) violations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.violation
}

// answer is what a request got; the status is 0 if no whole answer came.
type answer struct {
	sent   time.Time
	status int
	header http.Header
	body   []byte
	err    error
}

// hung reports whether the client has waited in vain, for longer than any
// deadline of the store.
func (a answer) hung() bool {
	timeout, ok := errors.AsType[net.Error](a.err)
	return ok && timeout.Timeout()
}

func (a answer) code() string {
	var e struct{ Error string }
	if json.Unmarshal(a.body, &e) != nil {
		return ""
	}
	return e.Error
}

// again reports whether the answer leaves the outcome open. Answers that nobody
// may get are violations.
func (r *record) again(what string, a answer) bool {
	switch {
	case r.noneOpen:
		r.violate("%s was answered %d %s %v, want no failure", what, a.status, a.body, a.err)
	case a.hung():
		r.violate("%s had no answer within %v", what, http1.Timeout)
	case a.status == 0:
	case a.status == http.StatusServiceUnavailable:
		if a.header.Get("Retry-After") == "" || a.code() != string(hangar.Unavailable) {
			r.violate("%s was answered 503 without Retry-After or code: %s", what, a.body)
		}
	case a.status == http.StatusConflict && a.code() == string(hangar.Conflict):
	case a.status == http.StatusInternalServerError && r.panics:
	default:
		r.violate("%s was answered %d %s", what, a.status, a.body)
	}
	r.open()
	return true
}

// buy brings the purchase as far as the store lets it. It reports false if the
// outcome is open.
func (r *record) buy(ctx context.Context, p *purchase) bool {
	if p.id == 0 && !p.refused && !r.order(ctx, p) {
		return false
	}
	if p.id != 0 && p.cancel && !p.cancelled {
		a := send(ctx, r.client, "POST", fmt.Sprintf("%s/orders/%d/cancel", r.url, p.id), "", "")
		if a.status != http.StatusOK {
			r.again(fmt.Sprintf("cancelling order %d", p.id), a)
			return false
		}
		p.cancelled = true
		r.answered(a.sent)
	}
	return true
}

func (r *record) order(ctx context.Context, p *purchase) bool {
	a := send(ctx, r.client, "POST", r.url+"/orders", p.body, p.key)
	switch {
	case a.status == http.StatusOK:
		var created struct{ ID int64 }
		if err := json.Unmarshal(a.body, &created); err != nil || created.ID == 0 {
			r.violate("%s was answered 200 %s", p.key, a.body)
			return false
		}
		p.id = created.ID
	case a.status == http.StatusConflict && a.code() == string(hangar.OutOfStock):
		p.refused = true
	default:
		r.again(p.key, a)
		return false
	}
	r.answered(a.sent)
	return true
}

// http1 is how clients ask. They wait for far longer than any deadline of the
// store, so that a machine that is busy is not taken for a request that hangs.
var http1 = &http.Client{
	Timeout:   time.Minute,
	Transport: &http.Transport{MaxIdleConnsPerHost: 64},
}

func send(ctx context.Context, client *http.Client, method, url, body, key string) answer {
	a := answer{sent: time.Now()}
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return a
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := client.Do(req)
	if err != nil {
		a.err = err
		return a
	}
	defer resp.Body.Close()
	if a.body, a.err = io.ReadAll(resp.Body); a.err == nil {
		a.status, a.header = resp.StatusCode, resp.Header
	}
	return a
}

const (
	retryPause = 30 * time.Millisecond // between requests for the same
	longAgain  = time.Minute           // after which a client gives up
)

// keepBuying has clients buy, so many purchases a second between them, and one add
// to the stock. All ask again where the outcome is open, until stop is called.
func (r *record) keepBuying(t *testing.T, rate int) (stop func()) {
	t.Helper()
	const clients = 24
	ctx, cancel := context.WithCancel(t.Context())
	pace := time.NewTicker(time.Second / time.Duration(rate))
	var wg sync.WaitGroup
	wg.Go(func() { r.watchStock(ctx) })
	wg.Go(func() { r.keepRestocking(ctx) })
	for range clients {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-pace.C:
					r.buyAgain(ctx, r.newPurchase())
				}
			}
		})
	}
	return sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		pace.Stop()
	})
}

// buyAgain asks until the purchase is settled, or ctx is done, or for long.
func (r *record) buyAgain(ctx context.Context, p *purchase) {
	for began := time.Now(); ctx.Err() == nil && !p.settled(); time.Sleep(retryPause) {
		if r.buy(context.WithoutCancel(ctx), p) {
			continue
		}
		p.gone = p.fickle
		if time.Since(began) > longAgain {
			p.gaveUp = true
			return
		}
	}
}

// watchStock notes the smallest stock that anybody can see.
func (r *record) watchStock(ctx context.Context) {
	for ctx.Err() == nil {
		for id := range r.putIn {
			var p hangar.Product
			a := send(ctx, r.client, "GET", r.url+"/products/"+id, "", "")
			switch {
			case a.status == http.StatusOK && json.Unmarshal(a.body, &p) == nil:
				r.see(p)
			case r.noneOpen && ctx.Err() == nil:
				r.violate("GET of %s was answered %d %s %v, want no failure", id, a.status, a.body, a.err)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (r *record) see(p hangar.Product) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if least, ok := r.least[p.ID]; !ok || p.InStock < least {
		r.least[p.ID] = p.InStock
	}
}

// flows waits until so many requests were answered that were sent after now.
func (r *record) flows(t *testing.T, n int) {
	t.Helper()
	goal := r.count() + n
	waitFor(t, "orders flow", func() bool { return r.count() >= goal || len(r.violations()) > 0 })
}

// recovered waits until a request is answered that was sent after that time, and
// returns how long that took.
func (r *record) recovered(t *testing.T, since time.Time) time.Duration {
	t.Helper()
	waitFor(t, "orders flow again", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.lastSent.After(since)
	})
	return time.Since(since)
}

// settle repeats what is unsettled against a healthy store.
func (r *record) settle(t *testing.T) {
	t.Helper()
	for _, p := range r.all {
		waitFor(t, p.key+" is settled", func() bool {
			return p.settled() || r.buy(t.Context(), p) || len(r.violations()) > 0
		})
	}
	r.settleRestocks(t)
}

// succeeded returns how many of the purchases whose clients stayed were settled
// without giving up, and of how many.
func (r *record) succeeded() (settled, all int) {
	for _, p := range r.all {
		if p.fickle {
			continue
		}
		all++
		if !p.gaveUp {
			settled++
		}
	}
	return settled, all
}
