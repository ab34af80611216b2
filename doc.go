// Package hangar is a storefront backend: products with stock, orders, and the
// rules between them.
//
// This package is the domain. It imports the standard library only, holds no
// state and does no I/O: nouns, their validation, and the interfaces that the
// other packages implement or call.
//
// One process, everything in it:
//
//	HTTP ─▶ gateway ─┬─▶ orders.Service ──▶ sqlite (hangar.db)
//	                 │        │ Hold            │ outbox
//	                 │        ▼                 ▼ order_created
//	                 └─▶ products.Service ─▶ sqlite (hangar.db)
//
// Separate services are the same parts with a message broker between them: the
// gateway and the orders service then hold a client where they hold a
// [ProductService], an [OrderService] or a [Stock] here, and cannot tell the
// difference.
package hangar
