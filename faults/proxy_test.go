package faults_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"hangar/hangartest"
)

// proxy stands in front of a server and does to what passes what a network does.
type proxy struct {
	url string // of the server, through the proxy

	mu    sync.Mutex
	now   trouble
	conns map[net.Conn]bool
	cuts  int // connections that trouble has cut
}

// trouble is what happens to connections, old and new.
type trouble struct {
	late     time.Duration // so late comes each answer
	slice    bool          // all comes byte by byte
	hole     bool          // nothing comes, and nothing says so
	mute     bool          // nothing comes to the server, and nothing says so
	cutAfter int           // bytes of each connection, counted from now on; 0 is never
	cutOn    []byte        // an answer with this in it does not come, and the connection is cut
}

// newProxy returns a proxy in front of the server at that URL.
func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	p := &proxy{conns: make(map[net.Conn]bool)}
	p.url = hangartest.Between(t, server, p.pass, func() {
		p.set(trouble{})
		p.cut()
	}).String()
	return p
}

// pass copies both ways until either side ends.
func (p *proxy) pass(in net.Conn, addr string) {
	defer p.forget(in)
	p.know(in) // a hole takes connections too
	out, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer p.forget(out)
	p.know(out)
	var copying sync.WaitGroup
	copying.Go(func() {
		defer out.Close()
		p.copy(out, in, false)
	})
	p.copy(in, out, true)
	in.Close()
	copying.Wait()
}

// copy copies one way until either side ends or trouble ends it.
func (p *proxy) copy(to io.Writer, from io.Reader, answers bool) {
	buffer := make([]byte, 32<<10)
	passed := 0
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		chunk := buffer[:n]
		now := p.trouble()
		switch {
		case now.hole, now.mute && !answers:
			continue
		case answers && now.late > 0:
			time.Sleep(now.late)
		case answers && now.cutOn != nil && bytes.Contains(chunk, now.cutOn):
			p.noteCut()
			return
		}
		cut := false
		if now.cutAfter == 0 {
			passed = 0
		} else if passed += n; passed > now.cutAfter {
			chunk, cut = chunk[:max(0, n-(passed-now.cutAfter))], true
		}
		if write(to, chunk, now.slice) != nil {
			return
		}
		if cut {
			p.noteCut()
			return
		}
	}
}

func write(to io.Writer, chunk []byte, slice bool) error {
	if !slice {
		_, err := to.Write(chunk)
		return err
	}
	for i := range chunk {
		if _, err := to.Write(chunk[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (p *proxy) trouble() trouble {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// set begins a trouble, or with none ends it.
func (p *proxy) set(now trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = now
}

func (p *proxy) noteCut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts++
}

// cutSoFar returns how many connections trouble has cut.
func (p *proxy) cutSoFar() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

func (p *proxy) know(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
}

func (p *proxy) forget(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// cut ends all connections in good order, in the middle of whatever they carry.
func (p *proxy) cut() { p.end(func(c net.Conn) { c.Close() }) }

// reset ends all connections, and what is on its way is gone.
func (p *proxy) reset() {
	p.end(func(c net.Conn) {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
}

func (p *proxy) end(end func(net.Conn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		end(c)
	}
}
