package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hangar"
	"hangar/gateway"
	"hangar/hangartest/openapi"
	"hangar/orders"
	"hangar/products"
	"hangar/sqlite"
)

// store is a whole store behind a gateway that serves on loopback.
type store struct {
	url      string
	orders   *orders.Service
	products *products.Service
	ready    *gateway.Readiness
	log      *lockedBuffer
	client   *http.Client // holds answers against openapi.yaml
}

func newStore(t *testing.T) *store {
	t.Helper()
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &store{products: products.NewService(file.Products, slog.New(slog.DiscardHandler))}
	s.orders = orders.NewService(file.Orders, s.products, slog.New(slog.DiscardHandler))
	s.orders.CreateWith(file.Orders)
	s.serve(t, s.orders, s.products)
	return s
}

func (s *store) serve(t *testing.T, o hangar.OrderService, p hangar.ProductService) {
	t.Helper()
	s.serveWith(t, gateway.Config{Orders: o, Products: p})
}

// serveWith serves what is configured there; the rest is the store's.
func (s *store) serveWith(t *testing.T, c gateway.Config) {
	t.Helper()
	s.log = &lockedBuffer{}
	s.client = openapi.Client(t)
	s.ready = new(gateway.Readiness)
	log := slog.New(slog.NewJSONHandler(s.log, nil))
	c.Log, c.ImageRoot, c.Readiness = log, "http://www.example.com/airship/images", s.ready
	server := gateway.NewServer(gateway.New(c), log)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
}

// reply is what a request was answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request; headers are "Name: value".
func (s *store) do(t *testing.T, method, path, body string, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header[name] = append(req.Header[name], value)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// want sends a request and fails unless it is answered with that status.
func (s *store) want(t *testing.T, status int, method, path, body string, headers ...string) reply {
	t.Helper()
	r := s.do(t, method, path, body, headers...)
	if r.status != status {
		t.Fatalf("%s %s %.200q answered %d %s, want %d", method, path, body, r.status, r.body, status)
	}
	return r
}

func (r reply) decode(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), v); err != nil {
		t.Fatalf("answer %q: %v", r.body, err)
	}
}

// code returns the error code of an answer.
func (r reply) code(t *testing.T) hangar.Code {
	t.Helper()
	var e hangar.Error
	r.decode(t, &e)
	return e.Code
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// connect returns a connection to the store, and what comes over it.
func (s *store) connect(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}

// readAnswer reads an answer, and its body away.
func readAnswer(t *testing.T, answers *bufio.Reader) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}
