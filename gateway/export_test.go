package gateway

import "net/http"

// Routes returns the patterns of all that a gateway serves, each with its methods.
func Routes() map[string][]string {
	g := &gateway{Config{Metrics: http.NotFoundHandler()}}
	routes := make(map[string][]string)
	for _, table := range []map[string]methods{g.routes(), g.probes()} {
		for path, methods := range table {
			for method := range methods {
				routes[path] = append(routes[path], method)
			}
		}
	}
	for _, table := range []map[string]http.Handler{g.pages(), g.metrics()} {
		for path := range table {
			routes[path] = []string{"GET"}
		}
	}
	return routes
}
