package main

import (
	"net/http"

	"hangar"
	"hangar/gateway/console"
)

// newConsole returns nil if there is to be no console.
func newConsole(c *Config, orders hangar.OrderService, products hangar.ProductService, m *monitor) http.Handler {
	if !c.Console {
		return nil
	}
	return console.New(console.Config{
		Orders:    orders,
		Products:  products,
		ImageRoot: c.ImageRoot,
		Metrics:   m.metrics.Gatherer(),
	})
}
