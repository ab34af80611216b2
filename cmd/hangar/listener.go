package main

import (
	"net"
	"sync"
)

// listener is a TCP listener that can be closed without cutting off those who
// have connected and were not accepted yet. The system does that to them when a
// listener is closed, and their requests fail.
type listener struct {
	*net.TCPListener

	mu      sync.Mutex
	stopped bool
	waiting []net.Conn // accepted while it stopped
}

// Accept implements net.Listener. Once it is stopped, it returns those who waited
// until then, and then net.ErrClosed.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	if err == nil {
		return conn, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) > 0 {
		conn := l.waiting[0]
		l.waiting = l.waiting[1:]
		return conn, nil
	}
	if l.stopped {
		return nil, net.ErrClosed
	}
	return nil, err
}

// stop accepts those who wait, and nobody after them. It is called once.
func (l *listener) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.waiting = acceptWaiting(l.TCPListener)
	l.TCPListener.Close() // says no more than that it is closed
}
