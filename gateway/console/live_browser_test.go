package console_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"hangar"
	"hangar/hangartest/browser"
)

// now is the latest figure of a series as the live page has it, NaN if there is none.
func now(series string) string {
	return fmt.Sprintf(`Number(document.querySelector("[data-series=%s] dd").textContent.replaceAll(",", ""))`, series)
}

func TestLiveChartsMove(t *testing.T) {
	s := newFullShop(t)
	p := open(t, s, "/console/live")
	painted := `[...document.querySelectorAll("canvas")].map((c) => c.toDataURL()).join()`
	p.Do(until(now("requests")+` === 0`), chromedp.WaitVisible("canvas", chromedp.AtLeast(5)))
	before := browser.Run(p, chromedp.Evaluate[string](painted))

	ctx, stop := context.WithCancel(t.Context())
	load := make(chan struct{})
	go func() { // requests, of which some fail and some hold stock
		defer close(load)
		for i := 0; ctx.Err() == nil; i++ {
			s.metrics.requests.WithLabelValues("/products", "GET", "200").Inc()
			s.metrics.requests.WithLabelValues("/orders/{id}", "GET", "500").Inc()
			s.metrics.durations.WithLabelValues("/products", "GET").Observe(0.003)
			s.metrics.durations.WithLabelValues("/orders/{id}", "GET").Observe(0.02 + float64(i%10)/100)
			s.placeOne(ctx)
			time.Sleep(10 * time.Millisecond)
		}
	}()
	defer func() { stop(); <-load }()
	p.Do(
		until(now("requests")+` > 0`), until(now("server_errors")+` > 0`), until(now("holds")+` > 0`), until(now("outbox")+` > 10`),
		until(`document.querySelector("#routes").innerText.includes("GET /orders/{id}")`),
		until(fmt.Sprintf(`%s !== %q`, painted, before)),
		until(`!document.querySelector("#charts").innerText.includes("Not known")`),
	)
	p.Screenshot("moving")
	p.Do(chromedp.Click("#pause"), see("Paused."))
	p.Do(until(`document.querySelector("#pause").getAttribute("aria-pressed") === "true"`))
	wantComplaints(t, p, "")
}

// heldOrders tell their statistics, while they are held up, when they are told to.
type heldOrders struct {
	hangar.OrderService
	held *atomic.Bool
	goOn <-chan struct{}
}

func (h heldOrders) OutboxStatistics(ctx context.Context) (hangar.OutboxStatistics, error) {
	if h.held.Load() {
		<-h.goOn
	}
	return h.OrderService.OutboxStatistics(context.WithoutCancel(ctx))
}

// An answer that was asked for before the pause is shown, and does not end it.
func TestPauseLasts(t *testing.T) {
	s := newShop(t)
	var held atomic.Bool
	held.Store(true)
	release := s.holdUp(t, func(goOn <-chan struct{}) { s.orders = heldOrders{s.orders, &held, goOn} })
	p := browser.Open(t, s.url)
	p.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error { // the page's patience is not what is tested
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: `AbortSignal.timeout = () => new AbortController().signal`,
		})
		return err
	}), chromedp.Navigate(s.url+"/console/live"), at("/console/live"), chromedp.Click("#pause"), see("Paused."))
	release()
	p.Do(until(now("outbox") + ` === 0`))
	if got := browser.Run(p, chromedp.Text("#live-state")); got != "Paused." {
		t.Errorf("after the answer the page says %q, want that it is paused", got)
	}
}

// A question that is never answered, as when the server's machine is gone, does not
// leave the page saying that it measures.
func TestLiveTellsThatNoAnswerComes(t *testing.T) {
	s := newShop(t)
	var held atomic.Bool
	release := s.holdUp(t, func(goOn <-chan struct{}) { s.orders = heldOrders{s.orders, &held, goOn} })
	p := open(t, s, "/console/live")
	p.Do(see("Measured once a second"))
	held.Store(true)
	p.Do(see("There is no answer at the moment"))
	held.Store(false)
	release()
	p.Do(see("Measured once a second"))
	wantComplaints(t, p, "")
}
