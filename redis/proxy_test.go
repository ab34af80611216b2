package redis_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"hangar/hangartest"
)

// proxy stands in front of a Redis and spoils what passes.
type proxy struct {
	url string // of the Redis, through the proxy

	mu     sync.Mutex
	conns  map[net.Conn]bool
	lose   bool          // the next answer, and its connection
	silent chan struct{} // nil, or not closed while nothing passes
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	p := &proxy{conns: make(map[net.Conn]bool)}
	p.url = hangartest.Between(t, server, p.pass, func() {
		p.speak()
		p.cut()
	}).String()
	return p
}

// pass copies both ways until either side ends.
func (p *proxy) pass(in net.Conn, addr string) {
	defer in.Close()
	out, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.conns[in], p.conns[out] = true, true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, in)
		delete(p.conns, out)
		p.mu.Unlock()
	}()
	var copying sync.WaitGroup
	copying.Go(func() {
		p.copy(out, in, func() bool { return false })
		out.Close()
	})
	p.copy(in, out, p.takeLoss)
	in.Close()
	out.Close()
	copying.Wait()
}

func (p *proxy) copy(to io.Writer, from io.Reader, lost func() bool) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		silent := p.silent
		p.mu.Unlock()
		if silent != nil {
			<-silent
		}
		if err != nil || lost() {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) takeLoss() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := p.lose
	p.lose = false
	return lost
}

// loseAnswer ends the connection on which the next answer comes, before it
// passes.
func (p *proxy) loseAnswer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = true
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// hush lets nothing pass until speak.
func (p *proxy) hush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = make(chan struct{})
}

func (p *proxy) speak() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent != nil {
		close(p.silent)
		p.silent = nil
	}
}
