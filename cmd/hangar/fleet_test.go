package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"hangar/hangartest"
)

// waitFor waits for a condition that servers bring about.
func waitFor(t *testing.T, what string, met func() bool) {
	t.Helper()
	const patience = 60 * time.Second
	for begin := time.Now(); !met(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// fleet is the services apart, on servers of their own.
type fleet struct {
	amqp, orders, products string // URLs
	services               map[string]*store
	cache                  []string // flags of all
}

func newFleet(t *testing.T) *fleet {
	return &fleet{
		amqp:     hangartest.RabbitMQ(t),
		orders:   hangartest.Postgres(t),
		products: hangartest.Redis(t),
		services: make(map[string]*store),
	}
}

// serve starts a process with the named services.
func (f *fleet) serve(t *testing.T, names ...string) *store {
	t.Helper()
	args := append(names, "--amqp", f.amqp, "--orders-db", f.orders, "--products-db", f.products, "--data", "/nowhere/at/all")
	args = append(args, f.cache...)
	s, stdout := startServe(t, args...)
	lines := bufio.NewReader(stdout)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("serve %v exited with %d before it served: %s", names, s.stop(), s.stderr)
	}
	if len(names) < len(services) {
		s.admin = readAdmin(t, lines)
	}
	go io.Copy(io.Discard, stdout) // ends with the process
	s.url = strings.TrimSpace(strings.TrimPrefix(first, "hangar serves "))
	for _, name := range names {
		f.services[name] = s
	}
	return s
}

// waitUntilServed waits until the gateway reaches the other services.
func (f *fleet) waitUntilServed(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/products", "/orders"} {
		waitFor(t, "GET "+path+" through the gateway", func() bool {
			status, _ := request(t, "GET", f.services["gateway"].url+path, "")
			return status == http.StatusOK
		})
	}
}

func startFleet(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t)
	for _, service := range []string{"gateway", "orders", "products"} {
		f.serve(t, service)
	}
	f.waitUntilServed(t)
	return f
}

func TestFleetSmokeAndDrain(t *testing.T) {
	f := startFleet(t)
	got := hangarCommand(t, environment{}, "smoke", f.services["gateway"].url)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("smoke exited with %d: %s%s", got.code, got.stdout, got.stderr)
	}
	for name, s := range f.services {
		if code := s.stop(); code != 0 {
			t.Errorf("serve %s exited with %d: %s", name, code, s.stderr)
		}
		if log := s.stderr.String(); strings.Contains(log, `"status":500`) || strings.Contains(log, "a call failed") {
			t.Errorf("the log of %s has failures:\n%s", name, log)
		}
	}
}

func TestFleetHTTPContract(t *testing.T) {
	f := startFleet(t)
	hangartest.TestHTTPContract(t, f.services["gateway"].url)
}

// Any services may share a process, and keep their data wherever they like.
func TestServicesTogetherOverAMQP(t *testing.T) {
	for _, together := range [][]string{
		{"gateway orders", "products"},
		{"gateway products", "orders"},
		{"gateway", "orders products"},
		{"gateway orders products"},
	} {
		t.Run(strings.Join(together, " | "), func(t *testing.T) {
			f := newFleet(t)
			f.orders, f.products = "", ""
			for _, names := range together {
				args := append(strings.Fields(names), "--amqp", f.amqp, "--data", t.TempDir())
				s, stdout := startServe(t, args...)
				first, err := bufio.NewReader(stdout).ReadString('\n')
				if err != nil {
					t.Fatalf("serve %s exited with %d before it served: %s", names, s.stop(), s.stderr)
				}
				go io.Copy(io.Discard, stdout) // ends with the process
				s.url = strings.TrimSpace(strings.TrimPrefix(first, "hangar serves "))
				f.services[strings.Fields(names)[0]] = s
			}
			f.waitUntilServed(t)
			if got := hangarCommand(t, environment{}, "smoke", f.services["gateway"].url); got.code != 0 {
				t.Errorf("smoke exited with %d: %s%s", got.code, got.stdout, got.stderr)
			}
			// The services that share the gateway's process are reached from outside too.
			waitFor(t, "products.list over the broker", func() bool {
				return hangarCommand(t, environment{"AMQP_URI": f.amqp}, "rpc", "products.list").code == 0
			})
		})
	}
}

func TestRPCCommand(t *testing.T) {
	f := startFleet(t)
	env := environment{"AMQP_URI": f.amqp}
	for _, test := range []struct {
		args []string
		code int
		want string // of stdout, or in stderr after a failure
	}{
		{[]string{"products.create", `{"id": "a", "title": "A ☃", "passenger_capacity": 1, "maximum_speed": 2, "in_stock": 3}`}, 0, "null\n"},
		{[]string{"products.get", "a"}, 0, "{\n  \"id\": \"a\",\n  \"title\": \"A ☃\",\n  \"passenger_capacity\": 1,\n  \"maximum_speed\": 2,\n  \"in_stock\": 3\n}\n"},
		{[]string{"products.get", "product_id=nope"}, 1, "hangar: products.exceptions.NotFound: Product ID nope does not exist\n"},
		{[]string{"products.get", "--", "product_id=nope"}, 1, "Product ID product_id=nope does not exist\n"},
		{[]string{"products.get"}, 1, "nameko.exceptions.IncorrectSignature: get() missing 1 required positional argument: 'product_id'\n"},
		{[]string{"products.nope"}, 1, "nameko.exceptions.MethodNotFound: nope\n"},
		{[]string{"nobody.home"}, 1, "hangar: call nobody.home: unknown service\n"},
		{[]string{"orders.get_order", "order_id=1"}, 1, "orders.exceptions.NotFound: Order with id 1 not found\n"},
	} {
		got := hangarCommand(t, env, append([]string{"rpc"}, test.args...)...)
		out := got.stdout
		if test.code != 0 {
			out = got.stderr
		}
		if got.code != test.code || !strings.HasSuffix(out, test.want) {
			t.Errorf("rpc %q exited with %d: %q %q, want %d and %q", test.args, got.code, got.stdout, got.stderr, test.code, test.want)
		}
	}
}

func TestEventsCommand(t *testing.T) {
	f := startFleet(t)
	ctx, cancel := context.WithCancel(t.Context())
	stdout, out := io.Pipe()
	exited := make(chan int, 1)
	log := new(bytes.Buffer)
	go func() {
		exited <- run(ctx, []string{"events", "orders", "order_created", "--amqp", f.amqp, "--log-level", "info"}, out, log, environment{}.get)
		out.Close()
	}()
	gateway := f.services["gateway"].url
	product := `{"id": "x", "title": "X", "passenger_capacity": 1, "maximum_speed": 1, "in_stock": 1000000}`
	if status, answer := request(t, "POST", gateway+"/products", product); status != 200 {
		t.Fatalf("POST /products: %d %s", status, answer)
	}
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		lines <- line
		io.Copy(io.Discard, stdout)
	}()
	var line string
	waitFor(t, "an event on stdout", func() bool { // it may not listen yet when the first orders come
		request(t, "POST", gateway+"/orders", `{"order_details": [{"product_id": "x", "price": "1.50", "quantity": 2}]}`)
		select {
		case line = <-lines:
			return true
		default:
			return false
		}
	})
	if !strings.HasPrefix(line, `{"order":{"id":`) || !strings.Contains(line, `"price":"1.50"`) {
		t.Errorf("events printed %q, want the order as JSON", line)
	}
	cancel()
	if code := <-exited; code != 0 {
		t.Errorf("events exited with %d: %s", code, log)
	}
}

// A file as the Python services have it needs no change.
func TestServeWithTheServicesOwnFile(t *testing.T) {
	f := newFleet(t)
	file := writeFile(t, "config.yml", fmt.Sprintf(`
AMQP_URI: ${AMQP_URI_OF_TEST:%s}
WEB_SERVER_ADDRESS: '127.0.0.1:${PORT_OF_TEST:0}'
rpc_exchange: 'nameko-rpc'
serializer: json
ACCEPT: [json]
HEARTBEAT: 30
PREFETCH_COUNT: 20
max_workers: 20
parent_calls_tracked: 5
AUTO_DELETE_EVENT_EXCHANGES: false
DECLARE_EVENT_EXCHANGES: true
TRANSPORT_OPTIONS: {max_retries: 3}
PRODUCT_IMAGE_ROOT: 'http://images.example.com'
DB_URIS:
  "orders:Base": "%s"
REDIS_URI: '%s'
LOGGING:
  version: 1
  handlers: {console: {class: logging.StreamHandler}}
  root: {level: DEBUG, handlers: [console]}
`, f.amqp, strings.Replace(f.orders, "postgres://", "postgresql+psycopg2://", 1), f.products))
	for _, service := range []string{"products", "orders", "gateway"} {
		s, stdout := startServe(t, service, "--addr", "127.0.0.1:0", "--config", file)
		first, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil {
			t.Fatalf("serve %s exited with %d before it served: %s", service, s.stop(), s.stderr)
		}
		go io.Copy(io.Discard, stdout) // ends with the process
		s.url = strings.TrimSpace(strings.TrimPrefix(first, "hangar serves "))
		f.services[service] = s
	}
	f.waitUntilServed(t)
	if got := hangarCommand(t, environment{}, "smoke", f.services["gateway"].url); got.code != 0 {
		t.Errorf("smoke exited with %d: %s%s", got.code, got.stdout, got.stderr)
	}
	for name, s := range f.services {
		if code := s.stop(); code != 0 || strings.Contains(s.stderr.String(), "unknown key") {
			t.Errorf("serve %s exited with %d: %s", name, code, s.stderr)
		}
	}
}
