package console_test

import (
	"context"
	_ "embed"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"hangar"
	"hangar/hangartest/browser"
)

//go:embed testdata/axe/axe.min.js
var axe string

// runAxe returns what axe finds wrong with the page as it stands, and with it
// whether the page is wider than what shows it.
const runAxe = `axe.run(document, {resultTypes: ["violations"]}).then((result) => result.violations.flatMap((v) =>
	v.nodes.map((n) => v.id + " (" + v.help + "): " + n.html + " " + n.failureSummary)).concat(
	document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways: " + document.documentElement.scrollWidth + " > " + innerWidth] : []))`

// look is a way to look at a page.
type look struct {
	name   string
	scheme string
	width  int64
	height int64
}

var looks = []look{
	{"light-wide", "light", 1280, 800},
	{"dark-wide", "dark", 1280, 800},
	{"light-phone", "light", 360, 740},
	{"dark-phone", "dark", 360, 740},
}

func (l look) at(p *browser.Page) {
	p.Do(
		chromedp.EmulateViewport(l.width, l.height),
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}},
			})
			return err
		}),
		// What is drawn follows a moment later.
		until(`[...document.querySelectorAll("canvas")].every((c) => c.getBoundingClientRect().right <= innerWidth)`),
	)
}

// check lets axe, which is in the page, look at it.
func check(t *testing.T, p *browser.Page, what string) {
	t.Helper()
	for _, violation := range browser.Run(p, chromedp.Evaluate[[]string](runAxe, chromedp.EvalAwaitPromise)) {
		t.Errorf("%s: %s", what, violation)
	}
}

// longID is a product of newFullShop, of which there are more than anybody orders.
var longID = strings.Repeat("very_long_id_", 15)

// newFullShop has something of everything to show.
func newFullShop(t *testing.T) *shop {
	t.Helper()
	s := newShop(t)
	for _, p := range []hangar.Product{
		{ID: "the_odyssey", Title: "The Odyssey", PassengerCapacity: 101, MaximumSpeed: 5, InStock: 12},
		{ID: "the_enigma", Title: "The Enigma", PassengerCapacity: 4, MaximumSpeed: 200, InStock: 3},
		{ID: "graf_zeppelin", Title: "Graf Zeppelin", PassengerCapacity: 24, MaximumSpeed: 128, InStock: 0},
		{ID: "hindenburg", Title: "Hindenburg", PassengerCapacity: 72, MaximumSpeed: 135, InStock: 1204},
		{ID: "norge", Title: "Norge", PassengerCapacity: 16, MaximumSpeed: 115, InStock: 40},
		{ID: "italia", Title: "Italia", PassengerCapacity: 20, MaximumSpeed: 113, InStock: 7},
		{ID: longID, Title: strings.Repeat("Quite a long title ", 10), InStock: hangar.MaxInteger},
	} {
		if err := s.products.PutProduct(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	for i, details := range [][]hangar.OrderDetail{
		{{ProductID: "the_odyssey", Price: 10000099, Quantity: 1}},
		{{ProductID: "norge", Price: 4999, Quantity: 2}, {ProductID: "the_enigma", Price: 125000, Quantity: 1}},
		{{ProductID: "graf_zeppelin", Price: 99900, Quantity: 1}},
		{{ProductID: "hindenburg", Price: 1999, Quantity: 120}, {ProductID: "italia", Price: 250050, Quantity: 2}, {ProductID: "norge", Price: 4999, Quantity: 1}},
		{{ProductID: longID, Price: 999999999999999999, Quantity: hangar.MaxQuantity}},
	} {
		created, err := s.orders.CreateOrder(t.Context(), hangar.NewOrder{Details: details})
		if err != nil && hangar.CodeOf(err) != hangar.OutOfStock {
			t.Fatal(err)
		}
		if i == 0 {
			if _, err := s.orders.CancelOrder(t.Context(), created.Order.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

// visit is a page, and what to do there before it is looked at.
type visit struct {
	name  string
	path  string
	do    chromedp.Action[chromedp.Void]
	bears string // the status that it may complain of
}

// TestPagesAreAccessible looks at every page in every way, also with errors in its
// form and with a question open.
func TestPagesAreAccessible(t *testing.T) {
	submit := chromedp.Steps(chromedp.Click("main form .primary"), chromedp.WaitVisible(".problem"))
	ask := chromedp.Steps(chromedp.Click("a.danger"), chromedp.WaitVisible("dialog[open] form"))
	for name, test := range map[string]struct {
		open   func(*testing.T) *shop
		visits []visit
	}{
		"empty": {newShop, []visit{
			{"products", "/console/products", nil, ""},
			{"orders", "/console/orders", nil, ""},
			{"live", "/console/live", chromedp.WaitVisible("canvas", chromedp.AtLeast(5)), ""},
		}},
		"products": {newFullShop, []visit{
			{"list", "/console/products", nil, ""},
			{"found", "/console/products?prefix=the_", nil, ""},
			{"none-found", "/console/products?prefix=zzz", nil, ""},
			{"new", "/console/new-product", nil, ""},
			{"new-errors", "/console/new-product", submit, "400"},
		}},
		"product": {newFullShop, []visit{
			{"page", "/console/products/the_odyssey", nil, ""},
			{"notice", "/console/products/the_odyssey?notice=saved", nil, ""},
			{"long", "/console/products/" + longID, nil, ""},
			{"restock-errors", "/console/products/the_odyssey", chromedp.Steps(
				chromedp.Click("#stock .primary"), chromedp.WaitVisible("#quantity[aria-invalid]")), "400"},
			{"delete", "/console/products/the_odyssey", ask, ""},
			{"delete-page", "/console/products/the_odyssey/delete", nil, ""},
			{"missing", "/console/products/missing", nil, "404"},
			{"long-missing", "/console/products/missing_" + longID, nil, "404"},
		}},
		"orders": {newFullShop, []visit{
			{"list", "/console/orders", nil, ""},
			{"cancelled", "/console/orders?status=cancelled", nil, ""},
			{"none", "/console/orders?status=pending", nil, ""},
			{"page", "/console/orders/4", nil, ""},
			{"rejected", "/console/orders/3", nil, ""},
			{"large", "/console/orders/5", nil, ""},
			{"cancel", "/console/orders/4", ask, ""},
		}},
		"new order": {newFullShop, []visit{
			{"form", "/console/new-order?product=norge", nil, ""},
			{"errors", "/console/new-order", submit, "400"},
			{"lines", "/console/new-order?product=norge", chromedp.Steps(
				chromedp.Click("[name=add]"), chromedp.WaitVisible("#line-1-product")), ""},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.open(t)
			p := browser.Open(t, s.url)
			for _, v := range test.visits {
				p.Do(chromedp.Navigate(s.url+v.path), chromedp.WaitReady("#main"))
				if v.do != nil {
					p.Do(v.do)
				}
				p.Do(inject(axe))
				for _, look := range looks {
					look.at(p)
					check(t, p, v.name+", "+look.name)
					p.Screenshot(v.name + "-" + look.name)
				}
				wantComplaints(t, p, v.bears)
			}
		})
	}
}

// inject runs a script in the page, as the page's policy lets nobody but the
// browser.
func inject(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Evaluate[any](script+"; null")(ctx, target)
		return err
	})
}

// wantComplaints fails for complaints other than of an answer with that status. That
// a request gave way to the next one, because keys came slower than the page waits
// for them and answers did too, is none; htmx calls it two errors.
func wantComplaints(t *testing.T, p *browser.Page, status string) {
	t.Helper()
	complaints := p.Complaints()
	for i, complaint := range complaints {
		if strings.HasPrefix(complaint, `"htmx:sendAbort`) ||
			strings.HasPrefix(complaint, `"htmx:afterRequest`) && i+1 < len(complaints) && strings.HasPrefix(complaints[i+1], `"htmx:sendAbort`) {
			continue
		}
		if status == "" || !strings.Contains(complaint, "status of "+status) {
			t.Errorf("the page complains: %s", complaint)
		}
	}
}
