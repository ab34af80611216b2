// Package console is the web console of the store: pages below /console/ for the
// person who runs the shop. They show and change products and orders, and what
// the store does at the moment.
//
// The pages are made here, of html/template, and work as plain pages with forms;
// scripts only make some of it quicker. Everything that a page needs is in the
// binary, except the products' images, which come from where the API says that
// they are. The rules are the services': what they refuse is shown in place.
//
// The console asks nobody who they are. Whoever reaches it may use it; only pages
// of other sites may not send its forms.
package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hangar"
	"hangar/gateway"
	"hangar/web"
)

// Deadlines of the calls that a request makes.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
)

// maxForm bounds what is read of a form, in bytes. An order of as many lines as
// may be needs half of it.
const maxForm = 1 << 20

// Config is what a console stands in front of.
type Config struct {
	Orders    hangar.OrderService
	Products  hangar.ProductService
	ImageRoot string              // URL; an order line's image is ImageRoot/{product id}.jpg
	Metrics   prometheus.Gatherer // those of the gateway that the console is part of
}

type console struct {
	Config
	looks   *looks
	sampler *sampler
}

// serve makes a page of a request. An error becomes a page that says so.
type serve func(r *http.Request) (page, error)

// New returns the handler for everything below /console/. It is to be served
// behind the gateway's observer, which logs what it notes.
func New(c Config) http.Handler {
	console := &console{Config: c, looks: newLooks(), sampler: newSampler(c)}
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(console.page(refuseForeign))
	policy := web.Policy("img-src 'self' " + originOf(c.ImageRoot))
	return web.Page(policy, protection.Handler(console.mux()))
}

func (c *console) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, serve := range map[string]serve{
		"GET /console/{$}":                    c.start,
		"GET /console/products":               c.listProducts,
		"GET /console/new-product":            c.newProduct,
		"POST /console/new-product":           c.createProduct,
		"GET /console/products/{id}":          c.showProduct,
		"GET /console/products/{id}/edit":     backToProduct,
		"POST /console/products/{id}/edit":    c.editProduct,
		"GET /console/products/{id}/restock":  backToProduct,
		"POST /console/products/{id}/restock": c.restockProduct,
		"GET /console/products/{id}/delete":   c.askToDelete,
		"POST /console/products/{id}/delete":  c.deleteProduct,
		"GET /console/suggestions":            c.suggestProducts,
		"GET /console/orders":                 c.listOrders,
		"GET /console/orders/{id}":            c.showOrder,
		"GET /console/orders/{id}/cancel":     c.askToCancel,
		"POST /console/orders/{id}/cancel":    c.cancelOrder,
		"GET /console/new-order":              c.newOrder,
		"POST /console/new-order":             c.createOrder,
		"GET /console/live":                   c.showLive,
		"/console/":                           nothingHere,
	} {
		mux.Handle(pattern, c.page(serve))
	}
	mux.HandleFunc("GET /console/live/data", c.sampler.serve)
	mux.HandleFunc("GET /console/static/{name}", c.looks.serveAsset)
	return mux
}

// page makes a handler of a serve: it always answers with a page.
func (c *console) page(serve serve) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timeout := writeTimeout
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			timeout = readTimeout
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		p, err := serve(r.WithContext(ctx))
		if err != nil {
			p = failurePage(err)
		}
		if p.err != nil {
			gateway.NoteError(w, p.err)
		}
		c.looks.write(w, r, p)
	})
}

func (c *console) start(*http.Request) (page, error) { return page{redirect: productsURL}, nil }

func nothingHere(r *http.Request) (page, error) {
	return page{}, hangar.Errorf(hangar.NotFound, "There is no page at %s", r.URL.Path)
}

// refuseForeign answers a form that a page of another site sent.
func refuseForeign(*http.Request) (page, error) {
	return page{
		status:   http.StatusForbidden,
		template: "failure",
		title:    "Not allowed",
		data: failure{
			Title:   "This was not sent from the console",
			Message: "Another site's page sent it, so nothing was done. Open the console itself, and do it there.",
		},
	}, nil
}

// readForm reads the form that was sent. Errors: BadRequest, BodyTooLarge.
func readForm(r *http.Request) (url.Values, error) {
	err := r.ParseForm()
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, hangar.Errorf(hangar.BodyTooLarge, "The form is larger than %d bytes.", maxForm)
	}
	if err != nil {
		return nil, &hangar.Error{Code: hangar.BadRequest, Message: "The form could not be read.", Err: err}
	}
	return r.PostForm, nil
}

// originOf returns scheme and host of a URL, "" if it has none. Both are free of
// what would end a directive.
func originOf(root string) string {
	u, err := url.Parse(root)
	if err != nil || u.Host == "" || strings.ContainsAny(u.Host, " ;,'\"") {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
