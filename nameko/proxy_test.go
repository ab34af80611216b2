package nameko_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"hangar/hangartest"
)

// proxy stands between a broker and those that use it. It knows the connections
// by their names, which end in "publish" and "consume".
type proxy struct {
	url string // of the broker, through the proxy

	mu    sync.Mutex
	held  string // the connections that pass nothing to the broker; "all" passes nothing at all
	heard bytes.Buffer
	pairs map[*pair]bool
	made  int // connections, ever
}

type pair struct {
	in, out net.Conn
	name    string
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	p := &proxy{pairs: make(map[*pair]bool)}
	p.url = hangartest.Between(t, server, p.serve, p.cut).String()
	return p
}

func (p *proxy) serve(in net.Conn, addr string) {
	defer in.Close()
	out, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer out.Close()
	c := &pair{in: in, out: out}
	p.mu.Lock()
	p.pairs[c] = true
	p.made++
	p.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() { p.pass(c, in, out, false) })
	p.pass(c, out, in, true)
	back.Wait()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

// pass copies one way until either end is closed.
func (p *proxy) pass(c *pair, to io.WriteCloser, from io.ReadCloser, forth bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if p.swallows(c, buffer[:n], forth) {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) swallows(c *pair, sent []byte, forth bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range []string{"publish", "consume"} {
		if forth && c.name == "" && bytes.Contains(sent, []byte(" "+name)) {
			c.name = name
		}
	}
	if p.held == "all" || forth && p.held != "" && p.held == c.name {
		p.heard.Write(sent)
		return true
	}
	return false
}

// hold swallows what goes through connections of that name; "" lets all pass.
func (p *proxy) hold(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = name
}

// swallowed reports whether all of these were swallowed.
func (p *proxy) swallowed(texts ...string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range texts {
		if !strings.Contains(p.heard.String(), text) {
			return false
		}
	}
	return true
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.in.Close()
		c.out.Close()
	}
}

func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

// inject sends something to the client as if the broker did, on its connections
// of that name. Nothing else must be on the way.
func (p *proxy) inject(t *testing.T, name string, frame []byte) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := 0
	for c := range p.pairs {
		if c.name == name {
			_, err := c.in.Write(frame)
			must(t, err)
			sent++
		}
	}
	if sent == 0 {
		t.Fatalf("no connection to %s", name)
	}
}
