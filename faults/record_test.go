package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hangar"
)

// The products that are sold. There is little of the last one: it runs out.
var (
	productIDs = []string{"balloon", "zeppelin", "scarce"}
	putIn      = map[string]int64{"balloon": 1_000_000_000, "zeppelin": 1_000_000_000, "scarce": 50}
)

// purchase is what one client knows of one order.
type purchase struct {
	key       string
	body      string
	id        int64 // 0 until an answer names it
	refused   bool
	cancel    bool // cancellation was asked for
	cancelled bool // and answered
	fickle    bool // the client does not ask again after an unknown outcome
	gone      bool // and has left: only recovery settles what it began
}

// settled reports whether the client waits for no answer any more.
func (p *purchase) settled() bool {
	return p.gone || p.refused || p.id != 0 && p.cancel == p.cancelled
}

// record is what the clients know: every request, every answer, every unknown
// outcome.
type record struct {
	mu        sync.Mutex
	all       []*purchase
	acked     int
	violation []string // answers that may never be given
}

func (r *record) newPurchase() *purchase {
	lines := ""
	for i := range 1 + rand.IntN(3) {
		if i > 0 {
			lines += ","
		}
		lines += fmt.Sprintf(`{"product_id":%q,"price":"1.50","quantity":%d}`, productIDs[rand.IntN(len(productIDs))], 1+rand.IntN(3))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &purchase{key: fmt.Sprintf("key-%d", len(r.all)), body: `{"order_details":[` + lines + `]}`, cancel: rand.IntN(4) == 0, fickle: rand.IntN(3) == 0}
	r.all = append(r.all, p)
	return p
}

func (r *record) ack() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acked++
}

func (r *record) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acked
}

func (r *record) violate(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violation = append(r.violation, fmt.Sprintf(format, args...))
}

// buy brings the purchase as far as the store lets it. It reports false if an
// answer did not come: then the outcome is unknown.
func (r *record) buy(ctx context.Context, url string, p *purchase) bool {
	if p.id == 0 && !p.refused {
		status, body := post(ctx, url+"/orders", p.body, p.key)
		switch status {
		case http.StatusOK:
			var created struct{ ID int64 }
			if err := json.Unmarshal(body, &created); err != nil || created.ID == 0 {
				r.violate("%s was answered 200 %s", p.key, body)
				return false
			}
			p.id = created.ID
		case http.StatusConflict:
			p.refused = true
		case 0, http.StatusServiceUnavailable:
			return false
		default:
			r.violate("%s was answered %d %s", p.key, status, body)
			return false
		}
		r.ack()
	}
	if p.id != 0 && p.cancel && !p.cancelled {
		status, body := post(ctx, fmt.Sprintf("%s/orders/%d/cancel", url, p.id), "", "")
		switch status {
		case http.StatusOK:
			p.cancelled = true
			r.ack()
		case 0, http.StatusServiceUnavailable:
			return false
		default:
			r.violate("cancelling order %d was answered %d %s", p.id, status, body)
			return false
		}
	}
	return true
}

var client = &http.Client{
	Timeout:   20 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 32},
}

// post returns the status 0 if no whole answer came.
func post(ctx context.Context, url, body, key string) (int, []byte) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewBufferString(body))
	if err != nil {
		return 0, nil
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, answer
}

// maxPurchases bounds what one client does in one load.
const maxPurchases = 5000

// load has clients buy until the store is gone: first what is still unsettled.
// It reports false if the store was still there in the end.
func (r *record) load(ctx context.Context, url string, clients int) (gone bool) {
	var stayed atomic.Bool
	var open []*purchase
	r.mu.Lock()
	for _, p := range r.all {
		if !p.settled() {
			open = append(open, p)
		}
	}
	r.mu.Unlock()
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			for i := n; i < len(open); i += clients {
				if !r.buy(ctx, url, open[i]) {
					return
				}
			}
			for range maxPurchases {
				p := r.newPurchase()
				if !r.buy(ctx, url, p) {
					p.gone = p.fickle
					return
				}
			}
			stayed.Store(true)
		})
	}
	wg.Wait()
	return !stayed.Load()
}

// settle repeats what is unsettled against a healthy store.
func (r *record) settle(t *testing.T, url string) {
	t.Helper()
	for _, p := range r.all {
		for !p.settled() {
			if !r.buy(t.Context(), url, p) && len(r.violation) > 0 {
				return
			}
		}
	}
}

// stocked creates the products, once.
func stocked(t *testing.T, url string) {
	t.Helper()
	for id, n := range putIn {
		body, err := json.Marshal(hangar.Product{ID: id, Title: id, InStock: n})
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := post(t.Context(), url+"/products", string(body), ""); status != http.StatusOK {
			t.Fatalf("creating %s was answered %d %s", id, status, answer)
		}
	}
}
