package gateway

import "time"

// Meter is told of requests, to count them: of each, by many at the same time. So
// it must be quick.
type Meter interface {
	// RequestBegan tells that a request is worked on.
	RequestBegan()

	// RequestEnded tells what was answered, and how long that took. The route is a
	// pattern without its method, such as /orders/{id}, or "other" for what is at
	// none. The method is whatever the client sent. Status is 0 if the connection was
	// given up instead.
	RequestEnded(route, method string, status int, took time.Duration)

	// RequestRefused tells that a request was not begun, because enough others are
	// worked on.
	RequestRefused()
}

// unmeasured is the Meter of who measures nothing.
type unmeasured struct{}

func (unmeasured) RequestBegan()                                   {}
func (unmeasured) RequestEnded(string, string, int, time.Duration) {}
func (unmeasured) RequestRefused()                                 {}
