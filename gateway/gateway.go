// Package gateway is the public HTTP API of the store.
//
// It translates and composes, and holds no rules: requests become calls of the
// services, results become JSON, codes become statuses. It cannot tell whether
// a service is in its process or behind a broker.
package gateway

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"hangar"
)

// Deadlines of the calls that a request makes.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
)

// Config is what a gateway stands in front of.
type Config struct {
	Orders      hangar.OrderService
	Products    hangar.ProductService
	ImageRoot   string     // an order line's image is ImageRoot/{product id}.jpg
	MaxRequests int        // that are worked on at once, 0 is DefaultMaxRequests; more are refused
	Readiness   *Readiness // nil takes requests always
	Log         *slog.Logger
}

// New returns the API's handler. It writes one line a request to the log, and
// turns a panic of an endpoint into an answer. Requests beyond MaxRequests are
// answered with Unavailable at once, and leave no line of their own. Probes are
// served beside the API: whatever holds up its requests must not hold up them,
// and they leave a line only at level debug.
func New(c Config) http.Handler {
	if c.Readiness == nil {
		c.Readiness = new(Readiness)
	}
	g := &gateway{Config: c}
	api := newLimiter(&observer{next: g.mux(g.routes()), log: c.Log}, c.MaxRequests, c.Log)
	probes := &observer{next: g.mux(g.probes()), log: c.Log, quiet: true}
	nowhere := &observer{next: endpoint{g, notFound}, log: c.Log}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == livePath || r.URL.Path == readyPath:
			probes.ServeHTTP(w, r)
		case r.RequestURI == "*": // ServeMux answers that itself, without a body
			nowhere.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

func (g *gateway) mux(routes map[string]methods) *http.ServeMux {
	mux := http.NewServeMux()
	for path, methods := range routes {
		for method, serve := range methods {
			mux.Handle(method+" "+path, endpoint{g, serve})
		}
		mux.Handle(path, endpoint{g, methodNotAllowed(methods)})
	}
	mux.Handle("/", endpoint{g, notFound})
	return mux
}

type gateway struct{ Config }

// methods maps an HTTP method to what serves it.
type methods map[string]serve

// routes is the API, as openapi.yaml describes it.
func (g *gateway) routes() map[string]methods {
	products := methods{"GET": g.listProducts, "POST": g.postProduct}
	orders := methods{"GET": g.listOrders, "POST": g.postOrder}
	return map[string]methods{
		"/products":           products,
		"/products/{$}":       products,
		"/products/{id}":      {"GET": g.getProduct, "DELETE": g.deleteProduct},
		"/orders":             orders,
		"/orders/{$}":         orders,
		"/orders/{id}":        {"GET": g.getOrder, "PUT": g.putOrder, "DELETE": g.deleteOrder},
		"/orders/{id}/cancel": {"POST": g.cancelOrder},
	}
}

// probes is what load balancers and orchestrators ask.
func (g *gateway) probes() map[string]methods {
	return map[string]methods{
		livePath:  {"GET": live},
		readyPath: {"GET": g.ready},
	}
}

func methodNotAllowed(m methods) serve {
	allowed := slices.Collect(maps.Keys(m))
	if slices.Contains(allowed, "GET") {
		allowed = append(allowed, "HEAD")
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	return func(r *http.Request) (answer, error) {
		return answer{header: http.Header{"Allow": {allow}}},
			hangar.Errorf(hangar.MethodNotAllowed, "%s is not allowed here; allowed: %s", r.Method, allow)
	}
}

func notFound(r *http.Request) (answer, error) {
	return answer{}, hangar.Errorf(hangar.NotFound, "There is nothing at %s", r.URL.Path)
}
