//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hangar/gateway"
)

// child is "hangar serve" in a process of its own.
type child struct {
	cmd    *exec.Cmd
	addr   string
	stderr *bufio.Scanner
}

func startChild(t *testing.T, data string) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "serve", "--addr", "127.0.0.1:0", "--data", data)
	cmd.Env = []string{asChild + "=1"}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // does nothing after a test that waited for it
		cmd.Process.Kill()
		cmd.Wait()
	})
	url, _ := readBanner(t, stdout)
	if url == "" {
		message, _ := io.ReadAll(stderr)
		t.Fatalf("serve ended before it served: %s", message)
	}
	return &child{cmd, strings.TrimPrefix(url, "http://"), bufio.NewScanner(stderr)}
}

// drain sends the first signal and waits until the child acts on it.
func (c *child) drain(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	for c.stderr.Scan() {
		if strings.Contains(c.stderr.Text(), "draining") {
			return
		}
	}
	t.Fatalf("the child does not say that it drains: %v", c.stderr.Err())
}

// wait returns how the child ended.
func (c *child) wait(t *testing.T) *os.ProcessState {
	t.Helper()
	var rest strings.Builder
	for c.stderr.Scan() { // to the end: Wait closes the pipe
		rest.WriteString(c.stderr.Text() + "\n")
	}
	if err := c.cmd.Wait(); err != nil {
		t.Logf("child: %v\n%s", err, rest.String())
	}
	return c.cmd.ProcessState
}

// slowRequest sends a request but for its body, and returns when the server
// waits for that.
func slowRequest(t *testing.T, addr, path, body string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", path, len(body))
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	answer := make([]byte, len(goOn))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != goOn {
		t.Fatalf("the server answered %q, %v, want %q", answer, err, goOn)
	}
	return conn
}

// idleConnection returns a connection that was answered and asks nothing more.
func idleConnection(t *testing.T, addr string) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, "GET /products HTTP/1.1\r\nHost: x\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDrainFinishesWhatWasAccepted(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			data := t.TempDir()
			c := startChild(t, data)
			product := `{"id": "x", "title": "X", "passenger_capacity": 1, "maximum_speed": 1, "in_stock": 5}`
			if status, answer := request(t, "POST", "http://"+c.addr+"/products", product); status != 200 {
				t.Fatalf("POST /products: %d %s", status, answer)
			}
			order := `{"order_details": [{"product_id": "x", "price": "1.50", "quantity": 2}]}`
			conn := slowRequest(t, c.addr, "/orders", order)
			idle := idleConnection(t, c.addr)
			c.drain(t, signal)
			// Idle connections are closed when nothing is waited for but requests.
			if b, err := idle.ReadByte(); err != io.EOF {
				t.Fatalf("the idle connection has %q, %v, want its end", b, err)
			}
			if conn, err := net.Dial("tcp", c.addr); err == nil {
				conn.Close()
				t.Error("the child still listens while it drains")
			}
			io.WriteString(conn, order)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("the order in flight was not answered: %v", err)
			}
			defer resp.Body.Close()
			answer, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 200 {
				t.Errorf("the order in flight was answered %d %s, %v, want 200", resp.StatusCode, answer, err)
			}
			if state := c.wait(t); state.ExitCode() != 0 {
				t.Errorf("the child ended with %v, want 0", state)
			}

			s := serveStore(t, data)
			if _, answer := request(t, "GET", s.url+"/orders/1", ""); !strings.Contains(answer, `"confirmed"`) {
				t.Errorf("the order after a restart: %s, want it confirmed", answer)
			}
			if _, answer := request(t, "GET", s.url+"/products/x", ""); !strings.Contains(answer, `"in_stock":3`) {
				t.Errorf("the product after a restart: %s, want 3 in stock", answer)
			}
		})
	}
}

// Clients that keep their connections busy lose no request: each is answered,
// or finds that nothing listens any more.
func TestDrainLosesNoRequestOnOpenConnections(t *testing.T) {
	c := startChild(t, t.TempDir())
	const clients = 16
	connected := make(chan struct{}, clients)
	lost := make(chan error, clients)
	for range clients {
		go func() { lost <- postUntilRefused(t, "http://"+c.addr+"/products", connected) }()
	}
	for range clients {
		<-connected
	}
	c.drain(t, syscall.SIGTERM)
	for range clients {
		if err := <-lost; err != nil {
			t.Errorf("a request was lost: %v", err)
		}
	}
	if state := c.wait(t); state.ExitCode() != 0 {
		t.Errorf("the child ended with %v, want 0", state)
	}
}

// postUntilRefused sends requests over one connection until it cannot connect
// again. It reports to connected once, when the first is answered.
func postUntilRefused(t *testing.T, url string, connected chan<- struct{}) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for first := true; ; first = false {
		req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader("{}"))
		if err != nil {
			return err
		}
		req.GetBody = nil // or the transport would hide a loss behind a retry
		resp, err := transport.RoundTrip(req)
		if first {
			connected <- struct{}{}
		}
		if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "dial" {
			return nil // nothing was sent
		}
		if err != nil {
			return err
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

// Whoever watches /readyz is told before requests are refused, and has a moment.
func TestDrainTellsLoadBalancersFirst(t *testing.T) {
	c := startChild(t, t.TempDir())
	url := "http://" + c.addr
	if status, answer := request(t, "GET", url+"/readyz", ""); status != 200 {
		t.Fatalf("GET /readyz: %d %s, want 200", status, answer)
	}
	c.drain(t, syscall.SIGTERM)
	for status := 200; status != 503; {
		var answer string
		if status, answer = request(t, "GET", url+"/readyz", ""); status != 200 && status != 503 {
			t.Fatalf("GET /readyz while draining: %d %s, want 503 in the end", status, answer)
		}
	}
	// Whoever connects in the second that follows is served, however long that takes.
	paths := []string{"/livez", "/products"}
	conns := make([]net.Conn, len(paths))
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", c.addr); err != nil {
			t.Fatalf("connect while load balancers act: %v", err)
		}
		defer conns[i].Close()
	}
	for i, path := range paths {
		fmt.Fprintf(conns[i], "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		resp, err := http.ReadResponse(bufio.NewReader(conns[i]), nil)
		if err != nil {
			t.Fatalf("GET %s while load balancers act: %v", path, err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("GET %s while load balancers act: %s, want 200", path, resp.Status)
		}
	}
	if state := c.wait(t); state.ExitCode() != 0 {
		t.Errorf("the child ended with %v, want 0", state)
	}
}

// Whoever has connected when the listener is closed is served, accepted or not.
func TestDrainServesThoseWhoWaitToBeAccepted(t *testing.T) {
	l, err := listen(t.Context(), &Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	const clients = 50
	var waiting []net.Conn
	for range clients {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		waiting = append(waiting, conn)
	}
	log := slog.New(slog.DiscardHandler)
	p := &process{readiness: new(gateway.Readiness), stores: new(stores), log: log}
	served := 0
	var mu sync.Mutex
	p.server = gateway.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		served++
	}), log)
	p.clients = watchClients(p.server)
	drained, drain := context.WithCancel(t.Context())
	drain() // before any is accepted
	if err := p.run(drained, l); err != nil {
		t.Errorf("run: %v", err)
	}
	if served != clients {
		t.Errorf("when all had ended %d requests were served, want %d", served, clients)
	}
	for _, conn := range waiting {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("one that had connected was not answered: %v", err)
			continue
		}
		resp.Body.Close()
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	c := startChild(t, t.TempDir())
	slowRequest(t, c.addr, "/products", "{}")
	c.drain(t, syscall.SIGTERM)
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	state := c.wait(t)
	if status, ok := state.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("the child ended with %v, want by the second signal", state)
	}
}
