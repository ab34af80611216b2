package rpc

import (
	"log/slog"

	"hangar"
	"hangar/nameko"
)

// Methods returns the methods of hangar's services, with their parameters, by the
// names of the services.
func Methods() map[string]map[string]nameko.Signature {
	// Servers know what was added to them. These are never run, and never connect.
	broker, err := nameko.NewBroker(nameko.Config{URL: "amqp://localhost", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err) // which would be a mistake in the line above
	}
	orders := nameko.NewServer(broker, hangar.OrdersService, 0, 0)
	ServeOrders(orders, nil)
	products := nameko.NewServer(broker, hangar.ProductsService, 0, 0)
	ServeProducts(products, nil, nil, nil)
	return map[string]map[string]nameko.Signature{
		hangar.OrdersService:   orders.Methods(),
		hangar.ProductsService: products.Methods(),
	}
}
