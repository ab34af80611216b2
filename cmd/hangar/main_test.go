package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hangar/hangartest"
)

// asChild makes the test's binary behave as hangar itself, for the tests that
// need a real process.
const asChild = "HANGAR_TEST_AS_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		main()
	}
	code := hangartest.WithServers(m).Run()
	if code == 0 {
		code = leaks()
	}
	os.Exit(code)
}

// leaks returns 1 if goroutines are left that do not end. What was closed a moment
// ago may take its time, on a busy machine more than goleak has.
func leaks() int {
	const patience = time.Minute
	for begin := time.Now(); ; {
		err := goleak.Find()
		if err == nil {
			return 0
		}
		if time.Since(begin) > patience {
			fmt.Fprintln(os.Stderr, "goroutines are left after the tests:", err)
			return 1
		}
	}
}

// result is what a command did.
type result struct {
	code           int
	stdout, stderr string
}

// environment looks up variables as os.Getenv does.
type environment map[string]string

func (e environment) get(name string) string { return e[name] }

func hangarCommand(t *testing.T, env environment, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, &stdout, &stderr, env.get)
	return result{code, stdout.String(), stderr.String()}
}

// store is a running "hangar serve".
type store struct {
	url    string
	data   string
	admin  string        // URL of the admin address; "" without one
	stderr *bytes.Buffer // to be read after stop
	stop   func() int    // returns the exit code; may be called again
}

// serveStore runs "hangar serve" on a free port, in this process, with its data
// in a folder.
func serveStore(t *testing.T, data string, args ...string) *store {
	t.Helper()
	s, stdout := startServe(t, append([]string{"--data", data}, args...)...)
	s.url, s.data = readBanner(t, stdout)
	if s.url == "" {
		t.Fatalf("serve exited with %d before it served: %s", s.stop(), s.stderr)
	}
	return s
}

func startServe(t *testing.T, args ...string) (*store, io.Reader) {
	t.Helper()
	return startServeIn(t, environment{}, args...)
}

func startServeIn(t *testing.T, env environment, args ...string) (*store, io.Reader) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	stdout, out := io.Pipe()
	s := &store{stderr: new(bytes.Buffer)}
	exited, code := make(chan struct{}), 0
	go func() {
		defer close(exited)
		code = run(ctx, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...), out, s.stderr, env.get)
		out.Close()
	}()
	s.stop = func() int {
		cancel()
		<-exited
		return code
	}
	t.Cleanup(func() { s.stop() })
	return s, stdout
}

// readAdmin returns the URL of the admin address that serve prints last.
func readAdmin(t *testing.T, stdout io.Reader) string {
	t.Helper()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "its metrics, probes and profiles are at "); ok {
			return url
		}
	}
	t.Fatal("serve does not say where its metrics are")
	return ""
}

// readBanner returns what serve prints; "" if it ends before.
func readBanner(t *testing.T, stdout io.Reader) (url, data string) {
	t.Helper()
	lines := bufio.NewScanner(stdout)
	for data == "" && lines.Scan() {
		if after, ok := strings.CutPrefix(lines.Text(), "hangar serves "); ok && url == "" {
			url = after
		}
		if after, ok := strings.CutPrefix(lines.Text(), "its data is in "); ok {
			data = after
		}
	}
	return url, data
}

// request sends one on a connection of its own, so that none outlives a test.
func request(t *testing.T, method, url, body string, header ...string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func TestExitCodes(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yml")
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string // parts of it; "" is nothing at all
	}{
		{"", 0, "hangar serve", ""},
		{"--help", 0, "hangar serve", ""},
		{"help serve", 0, "--image-root", ""},
		{"serve --help", 0, "Examples:", ""},
		{"config --help", 0, "DB_URIS.orders:Base", ""},
		{"smoke --help", 0, "Examples:", ""},
		{"version", 0, "hangar ", ""},
		{"completion bash", 0, "__start_hangar", ""},
		{"completion zsh", 0, "#compdef hangar", ""},
		{"completion fish", 0, "complete -c hangar", ""},
		{"completion powershell", 0, "Register-ArgumentCompleter", ""},
		{"config", 0, "127.0.0.1:8000", ""},

		{"serv", 2, "", `unknown command "serv"; did you mean serve? (see hangar --help)`},
		{"help nonsense", 2, "", `unknown command "nonsense"`},
		{"--nonsense", 2, "", "unknown flag: --nonsense (see hangar --help)"},
		{"serve --nonsense", 2, "", "unknown flag: --nonsense (see hangar serve --help)"},
		{"serve --addr", 2, "", "flag needs an argument: --addr"},
		{"serve nonsense", 2, "", `invalid argument "nonsense"`},
		{"serve gateway", 2, "", "orders and products"},
		{"serve --admin-addr on", 2, "", `admin-addr is "on" (flag --admin-addr), want HOST:PORT, such as 127.0.0.1:8001, or off`},
		{"serve --addr 8000", 2, "", `addr is "8000" (flag --addr), want HOST:PORT`},
		{"config more", 2, "", "more"},
		{"config --config " + missing, 2, "", "missing.yml"},
		{"version more", 2, "", "more"},
		{"completion", 2, "", "arg(s)"},
		{"completion nonsense", 2, "", "nonsense"},
		{"smoke ftp://x", 2, "", "ftp://x"},
		{"smoke a b", 2, "", "arg(s)"},
		{"rpc --help", 0, "hangar rpc products.get the_odyssey", ""},
		{"rpc", 2, "", "arg(s)"},
		{"rpc products.get x", 2, "", "there is no message broker to ask; name one with --amqp or AMQP_URI"},
		{"rpc products --amqp amqp://127.0.0.1:1", 2, "", `"products" is no method, such as products.get`},
		{"shell --help", 0, "n.rpc.products.get", ""},
		{"shell", 2, "", "a store that is one process has none: ask it over HTTP"},
		{"shell products.list", 2, "", "unknown command"},
		{"shell --timeout 1m --amqp amqp://127.0.0.1:1", 2, "", "timeout is 1m0s, want more than 0s and at most 30s"},
		{"events orders", 2, "", "arg(s)"},
		{"events orders order_created", 2, "", "there is no message broker to ask"},
		{"events --help", 0, "hangar events replay", ""},
		{"events parked --help", 0, "--limit", ""},
		{"events replay --help", 0, "put back at most", ""},
		{"events parked", 2, "", "there is nothing to look into: no orders are in"},
		{"events parked a b", 2, "", "arg(s)"},
		{"events replay a b", 2, "", "arg(s)"},
		{"events parked --limit 0", 2, "", "limit is 0, want 1 or more (see hangar events parked --help)"},
		{"events replay --limit -1", 2, "", "limit is -1, want 0 or more"},
		{"events parked nonsense --amqp amqp://127.0.0.1:1", 2, "", `"nonsense" is neither products.handle_order_created nor orders.outbox nor the name of a queue`},
		{"serve --amqp amqp://u:secret@mq:x", 2, "", "amqp is \"amqp://u:***@mq:x\" (flag --amqp), want a URL"},
		{"serve --products-db redis:", 2, "", "products-db is \"redis:\" (flag --products-db), want a URL"},

		{"rpc products.get x --amqp amqp://u:secret@127.0.0.1:1", 1, "", "call products.get: no connection to the message broker"},
		{"events replay --amqp amqp://u:secret@127.0.0.1:1", 1, "products.handle_order_created: 0 replayed", "no connection to the message broker"},
		{"smoke http://127.0.0.1:1", 1, "the_odyssey", "POST http://127.0.0.1:1/products was not answered"},
	} {
		t.Run(test.args, func(t *testing.T) {
			got := hangarCommand(t, environment{}, strings.Fields(test.args)...)
			if got.code != test.code {
				t.Errorf("exit code %d, want %d", got.code, test.code)
			}
			checkOutput(t, "stdout", got.stdout, test.stdout)
			checkOutput(t, "stderr", got.stderr, test.stderr)
			isLine := strings.HasPrefix(got.stderr, "hangar: ") && strings.Count(got.stderr, "\n") == 1
			if test.stderr != "" && !isLine {
				t.Errorf("stderr is %q, want one line that begins with hangar:", got.stderr)
			}
		})
	}
}

func checkOutput(t *testing.T, name, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) || want == "" && got != "" {
		t.Errorf("%s is %q, want %q in it", name, got, want)
	}
}
