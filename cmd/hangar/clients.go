package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// leaveTimeout is how long clients have to leave on being asked, once no others
// come. One that keeps its connection open and sends nothing cannot be asked.
const leaveTimeout = 300 * time.Millisecond

// clients are the open connections of a server. http.Server.Shutdown closes idle
// ones even if their next request has just arrived, and that request fails. So
// clients are first asked to leave with the answer to the next one.
type clients struct {
	mu      sync.Mutex
	open    int
	leaving bool
	gone    chan struct{} // closed when the last one has left; nil while nobody waits
}

// watchClients must be called before the server serves.
func watchClients(server *http.Server) *clients {
	c := new(clients)
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
		if c.gone != nil && c.open == 0 {
			close(c.gone)
			c.gone = nil
		}
	}
}

// ask asks the clients to leave, from now on, with each answer.
func (c *clients) ask() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
}

// wait returns when the clients have left or when time is up. The server must
// not accept further ones. It is called after ask.
func (c *clients) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	select {
	case <-c.whenGone():
	case <-ctx.Done():
	}
}

// whenGone returns a channel that is closed when no client is left.
func (c *clients) whenGone() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := make(chan struct{})
	if c.open == 0 {
		close(gone)
		return gone
	}
	c.gone = gone
	return gone
}
