package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hangar"
	"hangar/gateway"
)

// stuck is an order service whose reads end when they are told to.
type stuck struct {
	hangar.OrderService
	begun, finish chan struct{}
}

func (s stuck) Order(context.Context, int64) (hangar.Order, error) {
	s.begun <- struct{}{}
	<-s.finish
	return hangar.Order{}, hangar.NewOrderNotFound("1")
}

// newFullStore returns a store that works on as many requests as it may. They
// end, and it has room again, when free is called.
func newFullStore(t *testing.T, requests int) (_ *store, free func()) {
	t.Helper()
	s := newStore(t)
	s.want(t, 200, "POST", "/products", odyssey)
	slow := stuck{s.orders, make(chan struct{}), make(chan struct{})}
	s.serveWith(t, gateway.Config{Orders: slow, Products: s.products, MaxRequests: requests})
	statuses := make(chan int, requests)
	for range requests {
		go func() {
			resp, err := http.Get(s.url + "/orders/1")
			if err != nil {
				statuses <- 0
				return
			}
			defer resp.Body.Close()
			statuses <- resp.StatusCode
		}()
		<-slow.begun
	}
	free = sync.OnceFunc(func() {
		close(slow.finish)
		for range requests {
			if status := <-statuses; status != http.StatusNotFound {
				t.Errorf("a request that was in work when others were refused: %d, want 404", status)
			}
		}
	})
	t.Cleanup(free)
	return s, free
}

func TestFullGatewayRefusesAtOnce(t *testing.T) {
	s, free := newFullStore(t, 3)
	for _, method := range []string{"GET", "POST", "DELETE"} {
		r := s.want(t, 503, method, "/products/the_odyssey", odyssey)
		if r.code(t) != hangar.Unavailable || r.header.Get("Retry-After") != "1" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s while the gateway is full: %s with %v, want UNAVAILABLE as JSON and Retry-After: 1", method, r.body, r.header)
		}
	}
	if r := s.want(t, 503, "HEAD", "/products/the_odyssey", ""); r.body != "" {
		t.Errorf("HEAD was answered with the body %q, want none", r.body)
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if r := s.do(t, "GET", path, ""); r.status == http.StatusServiceUnavailable {
			t.Errorf("%s while the gateway is full: %d %s, want it not to count", path, r.status, r.body)
		}
	}
	free()
	s.want(t, 200, "GET", "/products/the_odyssey", "")
}

func TestFullGatewayHasAPageForTheConsole(t *testing.T) {
	s, _ := newFullStore(t, 1)
	s.client = http.DefaultClient // the document does not describe the console
	for _, method := range []string{"GET", "POST"} {
		r := s.want(t, 503, method, "/console/products", "a=b")
		if !strings.Contains(r.body, "<h1>The store is busy</h1>") || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") ||
			r.header.Get("Retry-After") != "1" || r.header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s of the console while the gateway is full: %s with %v, want a page that says so", method, r.body, r.header)
		}
	}
}

// A refusal does not wait for the body, and the connection goes on after it.
func TestRefusalDoesNotWaitForTheBody(t *testing.T) {
	s, free := newFullStore(t, 1)
	conn, answers := s.connect(t)
	fmt.Fprintf(conn, "POST /products HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(odyssey))
	if resp := readAnswer(t, answers); resp.StatusCode != 503 || resp.Close {
		t.Errorf("a body that is yet to come while the gateway is full: %d with %v, want 503 and more", resp.StatusCode, resp.Header)
	}
	free()
	fmt.Fprint(conn, odyssey+"GET /products/the_odyssey HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp := readAnswer(t, answers); resp.StatusCode != 200 {
		t.Errorf("the next request of that connection: %d, want 200", resp.StatusCode)
	}
}

// A body that is too large to be passed over costs its connection, and no more. Here
// it is never sent: one that is still being sent may cost its client the answer.
func TestRefusalOfALargeBody(t *testing.T) {
	s, _ := newFullStore(t, 1)
	conn, answers := s.connect(t)
	fmt.Fprintf(conn, "POST /products HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 900<<10)
	if resp := readAnswer(t, answers); resp.StatusCode != 503 || !resp.Close {
		t.Errorf("a large body while the gateway is full: %d with %v, want 503 and the end of the connection", resp.StatusCode, resp.Header)
	}
	if _, err := answers.ReadByte(); err != io.EOF {
		t.Errorf("after the answer: %v, want the end of the connection", err)
	}
}

func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		products := blockedProducts{asked: make(chan struct{}), goOn: make(chan struct{})}
		handler := gateway.New(gateway.Config{Products: products, MaxRequests: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
		get := func() {
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/products/x", nil))
		}
		var first sync.WaitGroup
		first.Go(get)
		<-products.asked
		for range 50 {
			get()
		}
		if n := strings.Count(log.String(), "requests are refused"); n != 1 {
			t.Errorf("50 refusals one after the other made %d lines of log, want 1:\n%s", n, &log)
		}
		time.Sleep(10 * time.Second)
		get()
		if !strings.Contains(log.String(), " refused=50\n") {
			t.Errorf("after 10 s another refusal made a log without one of 50:\n%s", &log)
		}
		close(products.goOn)
		first.Wait()
	})
}

// Who sends a request slowly does not count among those in work.
func TestSlowClientHoldsUpNobody(t *testing.T) {
	s := newStore(t)
	s.serveWith(t, gateway.Config{Orders: s.orders, Products: s.products, MaxRequests: 1})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /products HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(odyssey))
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the server answered %q, %v, want that it waits for the body", line, err)
	}
	s.want(t, 404, "GET", "/orders/1", "")
	io.WriteString(conn, odyssey)
	answers.ReadString('\n') // the end of the first answer
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "200 OK") {
		t.Errorf("the slow request was answered %q, %v, want 200", line, err)
	}
}
