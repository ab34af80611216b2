package main

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// leaveTimeout is how long clients have to leave on being asked. One that keeps
// its connection open and sends nothing cannot be asked.
const leaveTimeout = 300 * time.Millisecond

// clients are the open connections of a server. http.Server.Shutdown closes idle
// ones even if their next request has just arrived, and that request fails. So
// clients are first asked to leave with the answer to the next one.
type clients struct {
	mu      sync.Mutex
	open    int
	leaving bool
	gone    chan struct{} // closed when the last one has left

	lastLeft func() // closes gone; one more may come that was accepted before
}

// watchClients must be called before the server serves.
func watchClients(server *http.Server) *clients {
	c := &clients{gone: make(chan struct{})}
	c.lastLeft = sync.OnceFunc(func() { close(c.gone) })
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.areLeaving() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
	server.ConnState = func(_ net.Conn, state http.ConnState) { c.note(state) }
	return c
}

func (c *clients) areLeaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving
}

func (c *clients) note(state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open++
	case http.StateClosed, http.StateHijacked:
		c.open--
		if c.leaving && c.open == 0 {
			c.lastLeft()
		}
	}
}

// leave asks the clients to leave, and returns when they have or when time is
// up. The server must not accept further ones. It is called once.
func (c *clients) leave() {
	c.mu.Lock()
	c.leaving = true
	empty := c.open == 0
	c.mu.Unlock()
	if empty {
		return
	}
	timeout := time.NewTimer(leaveTimeout)
	defer timeout.Stop()
	select {
	case <-c.gone:
	case <-timeout.C:
	}
}
