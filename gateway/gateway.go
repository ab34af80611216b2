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

	"go.opentelemetry.io/otel/trace"

	"hangar"
	"hangar/tracing"
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
	ImageRoot   string       // an order line's image is ImageRoot/{product id}.jpg
	MaxRequests int          // that are worked on at once, 0 is DefaultMaxRequests; more are refused
	Readiness   *Readiness   // nil takes requests always
	Health      Health       // nil stands on nothing else
	Meter       Meter        // nil is none
	Metrics     http.Handler // answers GET /metrics; nil is nothing there
	Console     http.Handler // serves everything below /console/, by any method; nil is none
	CORSOrigins []string     // whose pages may use the API, see ParseOrigins; nil is none but its own
	Log         *slog.Logger

	// Traces makes the spans of requests; nil makes none.
	Traces trace.TracerProvider
}

// New returns the API's handler. It writes one line a request to the log, and
// turns a panic of an endpoint into an answer. Requests beyond MaxRequests are
// answered with Unavailable at once, and leave no line of their own. Probes and
// metrics are served beside the API: whatever holds up its requests must not hold
// up them, and they leave a line only at level debug.
func New(c Config) http.Handler {
	if c.Readiness == nil {
		c.Readiness = new(Readiness)
	}
	if c.Meter == nil {
		c.Meter = unmeasured{}
	}
	g := &gateway{Config: c}
	api := newLimiter(&observer{next: g.mux(g.routes(), g.pages()), log: c.Log, meter: c.Meter, tracer: tracing.Tracer(c.Traces)}, c.MaxRequests, c.Log)
	api.meter = c.Meter
	probes := &observer{next: g.mux(g.probes(), g.metrics()), log: c.Log, meter: c.Meter, quiet: true}
	nowhere := &observer{next: endpoint{g, notFound}, log: c.Log, meter: c.Meter}
	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Content-Type-Options"] = nosniff
		switch {
		case r.URL.Path == livePath || r.URL.Path == readyPath || r.URL.Path == metricsPath:
			probes.ServeHTTP(w, r)
		case r.RequestURI == "*": // ServeMux answers that itself, without a body
			nowhere.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
	if len(c.CORSOrigins) == 0 {
		return all
	}
	return allowOrigins(c.CORSOrigins, all)
}

// nosniff has browsers take every answer for what it says it is.
var nosniff = []string{"nosniff"}

func (g *gateway) mux(routes map[string]methods, pages map[string]http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	ownPages := g.onlyOwnPages()
	for path, methods := range routes {
		for method, serve := range methods {
			mux.Handle(method+" "+path, ownPages.Handler(endpoint{g, serve}))
		}
		mux.Handle(path, endpoint{g, methodNotAllowed(methods)})
	}
	for path, page := range pages {
		mux.Handle("GET "+path, page)
		mux.Handle(path, endpoint{g, methodNotAllowed(methods{"GET": nil})})
	}
	if g.Console != nil {
		mux.Handle(consolePath, g.Console)
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
		"/products":              products,
		"/products/{$}":          products,
		"/products/{id}":         {"GET": g.getProduct, "DELETE": g.deleteProduct},
		"/products/{id}/restock": {"POST": g.restockProduct},
		"/orders":                orders,
		"/orders/{$}":            orders,
		"/orders/{id}":           {"GET": g.getOrder, "PUT": g.putOrder, "DELETE": g.deleteOrder},
		"/orders/{id}/cancel":    {"POST": g.cancelOrder},
	}
}

const metricsPath = "/metrics"

func (g *gateway) metrics() map[string]http.Handler {
	if g.Metrics == nil {
		return nil
	}
	return map[string]http.Handler{metricsPath: g.Metrics}
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
