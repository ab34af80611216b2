package hangartest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Between stands between the server at that URL and those who use it, until the
// test ends, and returns the URL that leads through there. Each connection is served
// in a goroutine of its own, with the server's host:port. When no more are accepted,
// end is called, and must let those that are open end.
func Between(t testing.TB, server string, serve func(client net.Conn, addr string), end func()) *url.URL {
	t.Helper()
	through, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := through.Host
	through.Host = listener.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serve(client, addr) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		end()
		serving.Wait()
	})
	return through
}

// FreeAddr returns an address of the loopback interface where nothing listens, and
// which stays a program's own however often it is started: it lies below those that
// systems give to clients, and to who listens at port 0.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		listener, err := net.Listen("tcp", addr)
		if err == nil {
			listener.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}
