// Package nameko speaks the protocol of the Nameko framework over AMQP, so that
// Go and Python services call each other, share queues and follow each other's
// events. See Example for all of it in one place.
//
// A Broker is the connection to RabbitMQ. On it stand a Client, which calls
// methods; a Server, which is a service with methods and event handlers; a
// Publisher, which announces what has happened; and a Listener, which hears that
// while it happens, and knows when it does not. Each has a Run that does its
// work until its context is done, survives every loss of the connection, and
// ends in good order.
//
// What it guarantees: a call ends by its deadline; a request is acknowledged
// only after its reply has arrived at the broker, so a server that is killed
// loses none; an event that Publish accepted is at the broker, on disk. So
// methods and handlers may run more than once for one message, and must bear it.
//
// Calls that are made at the same time share messages, because each costs the
// broker the same, whatever is in it. On the wire that is a method of its own,
// hangar_call_many; a call that is made alone is Nameko's message. A Call that is
// Repeatable is not kept on disk on its way.
//
// An event whose handler fails waits in a queue of its own, for a second in
// hangar.retry-QUEUE-1000ms, which leads back into the queue it came from; others
// go past it meanwhile. It is a quorum queue, of RabbitMQ 3.10 or later, which lets
// go of an event when that has arrived. After the last of Config.RetryDelays, or at
// once if it can never be handled, the event goes into the durable queue
// hangar.parked-QUEUE, which has room for 100,000; Parked lists what is there and
// puts it back. Those queues are made when they are first needed, and the service's
// own stay as Nameko declares them. A Python instance that shares the queue gets an
// event that comes again as it was published, but for the headers hangar.* and
// RabbitMQ's x-death, which this package does not pass on. What it fails at itself
// it drops, as ever. Whoever deletes a queue deletes what waits for it.
//
// Its limits: JSON only, as Nameko's default has it, and RabbitMQ's dialect of
// AMQP 0-9-1. The protocol was read from Nameko 2.14 and 3.0 with kombu 5.2 and
// 5.3, https://nameko.readthedocs.io and https://docs.celeryq.dev/projects/kombu.
package nameko
