package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"hangar/hangartest"
)

// wantAnswer fails the test unless a GET is answered so, with that in its body.
func wantAnswer(t *testing.T, url string, status int, part string) {
	t.Helper()
	got, answer := request(t, "GET", url, "")
	if got != status || !strings.Contains(answer, part) {
		t.Errorf("GET %s: %d %.300s, want %d and %q in it", url, got, answer, status, part)
	}
}

// waitForAnswer waits until a GET is answered so.
func waitForAnswer(t *testing.T, url string, status int, part string) {
	t.Helper()
	waitFor(t, part+" from "+url, func() bool {
		got, answer := request(t, "GET", url, "")
		return got == status && strings.Contains(answer, part)
	})
}

func TestMetricsOfOneProcess(t *testing.T) {
	s := serveStore(t, t.TempDir())
	wantAnswer(t, s.url+"/products", 200, "[]")
	wantAnswer(t, s.url+"/metrics", 200, `hangar_http_requests_total{code="200",method="GET",route="/products"} 1`)
	waitForAnswer(t, s.url+"/metrics", 200, `hangar_store_up{store="products"} 1`)
	waitForAnswer(t, s.url+"/readyz", 200, `{"ready":true,"checks":{"gateway":"serving","orders store":"ok","products store":"ok"}}`)
	wantAnswer(t, s.url+"/debug/pprof/", 404, "NOT_FOUND")
	if status, _ := request(t, "POST", s.url+"/metrics", "x"); status != 405 {
		t.Errorf("POST /metrics: %d, want 405", status)
	}
}

func TestAdminAddress(t *testing.T) {
	s, stdout := startServe(t, "--data", t.TempDir(), "--admin-addr", "127.0.0.1:0")
	lines := bufio.NewReader(stdout)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("serve exited with %d: %s", s.stop(), s.stderr)
	}
	s.url, s.admin = strings.TrimSpace(strings.TrimPrefix(first, "hangar serves ")), readAdmin(t, lines)
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		wantAnswer(t, s.url+path, 404, "NOT_FOUND")
	}
	wantAnswer(t, s.admin+"/metrics", 200, "hangar_build_info{")
	wantAnswer(t, s.admin+"/debug/pprof/", 200, "goroutine")
	wantAnswer(t, s.admin+"/debug/pprof/goroutine?debug=1", 200, "goroutine profile")
	wantAnswer(t, s.admin+"/livez", 200, `{"live":true}`)
	for _, url := range []string{s.url, s.admin} {
		waitForAnswer(t, url+"/readyz", 200, `{"ready":true,"checks":{"gateway":"serving","orders store":"ok","products store":"ok"}}`)
	}
	wantAnswer(t, s.admin+"/products", 404, "")

	// It answers until all else has ended.
	_, port, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), ":")
	slow := slowRequest(t, "127.0.0.1:"+port, "/products", "{}")
	ended := make(chan int)
	go func() { ended <- s.stop() }()
	waitForAnswer(t, s.admin+"/readyz", 503, `"gateway":"draining"`)
	waitFor(t, "the public port to be closed", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return true
		}
		conn.Close()
		return false
	})
	wantAnswer(t, s.admin+"/metrics", 200, "hangar_http_requests_in_flight")
	wantAnswer(t, s.admin+"/livez", 200, `{"live":true}`)
	io.WriteString(slow, "{}")
	io.Copy(io.Discard, slow)
	if code := <-ended; code != 0 {
		t.Errorf("serve exited with %d: %s", code, s.stderr)
	}
	if resp, err := http.Get(s.admin + "/livez"); err == nil {
		resp.Body.Close()
		t.Error("the admin address is served after the process has ended")
	}
}

func TestAdminAddressTaken(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	addr := other.Addr().String()
	got := hangarCommand(t, environment{"HANGAR_ADMIN_ADDR": addr}, "serve", "--addr", "127.0.0.1:0", "--data", t.TempDir())
	want := "hangar: " + addr + " (environment HANGAR_ADMIN_ADDR) is in use by another program; stop that, or listen elsewhere with --admin-addr"
	if got.code != 1 || !strings.HasPrefix(got.stderr, want) || got.stdout != "" {
		t.Errorf("exited with %d, stdout %q, stderr %q, want 1, nothing, and %s", got.code, got.stdout, got.stderr, want)
	}
}

// While a process waits for its database, it says that it is alive and not ready.
func TestAdminAddressBeforeTheStoresAreThere(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stderr, log := io.Pipe()
	exited := make(chan int, 1)
	go func() {
		args := []string{"serve", "orders", "--orders-db", "postgres://127.0.0.1:1/orders", "--amqp", "amqp://127.0.0.1:1"}
		exited <- run(ctx, args, io.Discard, log, environment{}.get)
		log.Close()
	}()
	url := ""
	for lines := bufio.NewScanner(stderr); url == "" && lines.Scan(); {
		_, rest, _ := strings.Cut(lines.Text(), `"metrics, probes and profiles are served","at":"`)
		url, _, _ = strings.Cut(rest, `"`)
	}
	go io.Copy(io.Discard, stderr) // ends with the process
	wantAnswer(t, url+"/livez", 200, `{"live":true}`)
	wantAnswer(t, url+"/readyz", 503, `"start":"not finished"`)
	wantAnswer(t, url+"/metrics", 200, "hangar_build_info{")
	stop()
	if code := <-exited; code != 0 {
		t.Errorf("serve exited with %d", code)
	}
}

// Whatever a process stands on hangs: who asks how it does is answered.
func TestAnswersWhileDependenciesHang(t *testing.T) {
	f := newFleet(t)
	broker, orders, products := newValve(t, f.amqp), newValve(t, f.orders), newValve(t, f.products)
	f.amqp, f.orders, f.products = broker.url, orders.url, products.url
	for _, service := range services {
		f.serve(t, service)
	}
	f.waitUntilServed(t)
	well := map[string]string{
		"gateway":  `{"broker":"ok","gateway":"serving","orders service":"ok","products service":"ok"}`,
		"orders":   `{"broker":"ok","orders":"serving","orders store":"ok","products service":"ok"}`,
		"products": `{"broker":"ok","products":"serving","products store":"ok"}`,
	}
	for service, state := range well {
		waitForAnswer(t, f.services[service].admin+"/readyz", 200, state)
	}
	for _, test := range []struct {
		valve         *valve
		service       string
		state, metric string
		missing       string // metric
	}{
		{orders, "orders", `"orders store":"no answer`, `hangar_store_up{store="orders"} 0`, "hangar_outbox_events"},
		{products, "products", `"products store":"no answer`, `hangar_store_up{store="products"} 0`, ""},
		{broker, "gateway", `"broker":"no answer`, `hangar_broker_up 0`, "hangar_rpc_queue_messages"},
	} {
		admin := f.services[test.service].admin
		waitForAnswer(t, admin+"/metrics", 200, test.missing) // which is read within a time
		test.valve.close()
		waitForAnswer(t, admin+"/readyz", 503, test.state)
		wantAnswer(t, admin+"/metrics", 200, test.metric)
		if _, answer := request(t, "GET", admin+"/metrics", ""); test.missing != "" && strings.Contains(answer, "\n"+test.missing) {
			t.Errorf("the metrics of %s have %s while what it is read from hangs", test.service, test.missing)
		}
		wantAnswer(t, admin+"/livez", 200, `{"live":true}`)
		test.valve.open()
		waitForAnswer(t, admin+"/readyz", 200, well[test.service])
	}
	for name, s := range f.services {
		s.stop()
		if log := s.stderr.String(); strings.Contains(log, "secret") {
			t.Errorf("the log of %s has a password:\n%s", name, log)
		}
	}
}

// A database that is away is named, without what would tell where it is.
func TestReadyzNamesWhatIsDown(t *testing.T) {
	server := hangartest.StartRedis(t)
	f := newFleet(t)
	f.products = server.URL
	s := f.serve(t, "products")
	waitForAnswer(t, s.admin+"/readyz", 200, `"products store":"ok"`)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "readyz to say so", func() bool {
		status, answer := request(t, "GET", s.admin+"/readyz", "")
		return status == 503 && strings.Contains(answer, `"products store":"down for`) && !strings.Contains(answer, "127.0.0.1")
	})
}
