package postgres_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hangar/hangartest"
)

// fault is what a proxy does to a request of the next connection that has one.
type fault int32

const (
	noFault    fault = iota
	loseCall         // the request never arrives, and the connection is cut
	loseAnswer       // it is carried out, then the connection is cut instead of the answer
	leaveCall        // the connection is cut at once, while it is carried out
)

// proxy is a network between a store and its server, which counts round trips.
type proxy struct {
	url   string
	trips atomic.Int64 // of calls
	told  atomic.Int64 // requests that listen to events, or tell of them
	conns atomic.Int64 // made since the start
	late  atomic.Int64 // by how much answers are, in nanoseconds
	next  atomic.Int32 // a fault
}

// startProxy starts a proxy to the server of a database. Its url is that of the
// database through the proxy.
func startProxy(t testing.TB, database string) *proxy {
	t.Helper()
	p := new(proxy)
	u := hangartest.Between(t, database, p.serve, func() {}) // the connections end with the store, which is closed before
	query := u.Query()
	query.Set("sslmode", "disable")
	u.RawQuery = query.Encode()
	p.url = u.String()
	return p
}

// breaks makes the next request fail.
func (p *proxy) breaks(f fault) { p.next.Store(int32(f)) }

func (p *proxy) serve(client net.Conn, address string) {
	defer client.Close()
	p.conns.Add(1)
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	var asking, cut atomic.Bool // asking: the server has not answered since
	var back sync.WaitGroup
	back.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			asking.Store(false)
			time.Sleep(time.Duration(p.late.Load()))
			if err != nil || cut.Load() {
				_ = client.Close()
				_, _ = io.Copy(io.Discard, server)
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				_, _ = io.Copy(io.Discard, server)
				return
			}
		}
	})
	defer back.Wait()
	defer server.(*net.TCPConn).CloseWrite()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if !asking.Swap(true) {
			p.count(buffer[:n])
		}
		f := fault(p.next.Swap(int32(noFault)))
		if f != noFault {
			cut.Store(true)
		}
		if f == loseCall || f == leaveCall {
			_ = client.Close()
		}
		if f == loseCall {
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// count counts a round trip. What tells of events, or looks whether a connection is
// alive, comes at a time of its own, and is no call's.
func (p *proxy) count(request []byte) {
	switch {
	case bytes.Contains(request, []byte("pg_notify")), bytes.Contains(request, []byte("hangar_outbox")):
		p.told.Add(1)
	case !bytes.Contains(request, []byte("-- ping")):
		p.trips.Add(1)
	}
}
