package faults_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands in front of a server and cuts connections.
type proxy struct {
	url string // of the server, through the proxy

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// newProxy returns a proxy in front of the server at that URL.
func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := u.Host
	u.Host = listener.Addr().String()
	p := &proxy{url: u.String(), conns: make(map[net.Conn]bool)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.pass(in, addr) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.cut()
		serving.Wait()
	})
	return p
}

// pass copies both ways until either side ends.
func (p *proxy) pass(in net.Conn, addr string) {
	defer p.forget(in)
	out, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer p.forget(out)
	p.mu.Lock()
	p.conns[in], p.conns[out] = true, true
	p.mu.Unlock()
	var copying sync.WaitGroup
	copying.Go(func() {
		io.Copy(out, in)
		out.Close()
	})
	io.Copy(in, out)
	in.Close()
	copying.Wait()
}

func (p *proxy) forget(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// cut ends all connections, in the middle of whatever they carry.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}
