// Package rpc is hangar's contract on the wire: the methods of the orders and
// products services and their events, by the protocol of package nameko. For
// each service there is the client, which is the interface that the service
// itself has, and the server, which puts methods around that interface.
//
// The methods are those of the Python services, with the same results and
// errors, and new ones beside them. So either end may be a Python service, and
// a queue may be shared: each call may be answered by another instance. Where a
// Python instance lacks a method, a client does without: it asks for the same
// with the old methods, and tries the new one again after a few seconds.
//
// Its limits: a Python products service knows no holds. What is ordered there
// is only known to exist; the stock follows with the event, as it always did,
// may go below zero, and does not come back. A Python orders service has no
// versions, no idempotency keys and no cancellation.
package rpc
