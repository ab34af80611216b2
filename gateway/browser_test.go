package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"hangar"
	"hangar/hangartest/browser"
)

// A product and an order of it are created on the page, from its own examples.
func TestTryItOut(t *testing.T) {
	s := newStore(t)
	s.client = http.DefaultClient
	p := browser.Open(t, s.url)
	p.Do(chromedp.Navigate(s.url+"/docs"), chromedp.WaitVisible("#operations-Products-putProduct"))
	p.Screenshot("docs")
	for _, operation := range []struct{ id, want string }{
		{"Products-putProduct", `"the_odyssey"`},
		{"Products-getProduct", `"in_stock": 10`},
		{"Orders-createOrder", `"id": 1`},
		{"Orders-getOrder", `"confirmed"`},
		{"Products-restockProduct", `"in_stock": 14`},
		{"Orders-cancelOrder", `"cancelled"`},
	} {
		section := "#operations-" + operation.id
		p.Do(
			chromedp.Click(section+" .opblock-summary-control"),
			chromedp.WaitVisible(section+" .responses-table"), // until it is, the button stands elsewhere, and is another one
			chromedp.Click(section+" .execute"),
			chromedp.WaitVisible(section+" .live-responses-table .response-col_description .highlight-code"),
		)
		answer := browser.Run(p, chromedp.Text(section+" .live-responses-table"))
		if !strings.Contains(answer, "200") || !strings.Contains(answer, operation.want) {
			t.Errorf("%s on the page: %s, want 200 and %s", operation.id, answer, operation.want)
		}
		if operation.id == "Orders-getOrder" {
			p.Do(chromedp.ScrollIntoView(section + " .live-responses-table"))
			p.Screenshot("order")
		}
		p.Do(chromedp.Click(section + " .opblock-summary-control"))
	}
	var product hangar.Product
	s.want(t, 200, "GET", "/products/the_odyssey", "").decode(t, &product)
	if product.InStock != 15 {
		t.Errorf("in stock after an order of 1 of 10, a restock of 5 and a cancellation: %d, want 15", product.InStock)
	}
}

func TestRedocInABrowser(t *testing.T) {
	s := newStore(t)
	p := browser.Open(t, s.url)
	p.Do(chromedp.Navigate(s.url+"/redoc"), chromedp.WaitVisible("#redoc h1"))
	text := browser.Run(p, chromedp.Text("#redoc"))
	for _, want := range []string{"hangar", "Idempotency-Key", "Products", "Orders"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	p.Screenshot("redoc")
}
