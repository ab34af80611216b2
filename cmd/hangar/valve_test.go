package main

import (
	"io"
	"net"
	"sync"
	"testing"

	"hangar/hangartest"
)

// valve is a network to a server that can be shut: then nothing passes, and nobody
// is told.
type valve struct {
	url string // of the server, through the valve

	mu     sync.Mutex
	shut   bool
	opened sync.Cond
}

func newValve(t *testing.T, server string) *valve {
	t.Helper()
	v := new(valve)
	v.opened.L = &v.mu
	v.url = hangartest.Between(t, server, v.serve, v.open).String() // connections end with the processes that made them
	return v
}

func (v *valve) serve(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	var back sync.WaitGroup
	back.Go(func() { v.pass(client, server) })
	v.pass(server, client)
	back.Wait()
}

// pass copies one way until either end is closed.
func (v *valve) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	_, _ = io.Copy(passing{v, to}, from)
}

// passing waits until the valve is open.
type passing struct {
	valve *valve
	io.Writer
}

func (p passing) Write(b []byte) (int, error) {
	p.valve.mu.Lock()
	for p.valve.shut {
		p.valve.opened.Wait()
	}
	p.valve.mu.Unlock()
	return p.Writer.Write(b)
}

func (v *valve) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = true
}

func (v *valve) open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = false
	v.opened.Broadcast()
}
