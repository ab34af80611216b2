package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar/hangartest"
	"hangar/nameko"
)

// shellProcess returns a "hangar shell" that is to be started as a process of its
// own, with its state in a folder.
func shellProcess(t *testing.T, amqp, state string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"shell", "--amqp", amqp}, args...)...)
	cmd.Env = append(os.Environ(), asChild+"=1", "XDG_STATE_HOME="+state, "TERM=xterm")
	return cmd
}

// runShell gives lines to a shell's standard input.
func runShell(t *testing.T, amqp, lines string, args ...string) result {
	t.Helper()
	cmd := shellProcess(t, amqp, t.TempDir(), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(lines), &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestShellRunsLines(t *testing.T) {
	f := startFleet(t)
	got := runShell(t, f.amqp, `# a product, and an order that another service has taken
products.create {"id": "a", "title": "A ☃", "passenger_capacity": 1, "maximum_speed": 2, "in_stock": 30}

n.rpc.products.get('a')
n.dispatch_event("orders", "order_created", {'order': {'id': 4711, 'order_details': [{'id': 1, 'product_id': 'a', 'price': '1.00', 'quantity': 12}]}})
orders.create_order order_details=[{"product_id":"a","price":"100.99","quantity":1}]`)
	stdout := "null\n" + `{"id":"a","title":"A ☃","passenger_capacity":1,"maximum_speed":2,"in_stock":30}` + "\n"
	if got.code != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, stdout+`{"id":1,"order_details":[{`) || strings.Count(got.stdout, "\n") != 3 {
		t.Errorf("exit code %d, stdout %q, stderr %q, want 0, %q and the order", got.code, got.stdout, got.stderr, stdout)
	}
	waitFor(t, "the event to take effect", func() bool {
		_, product := request(t, "GET", f.services["gateway"].url+"/products/a", "")
		return strings.Contains(product, `"in_stock":17}`)
	})
}

func TestShellStopsAtTheFirstLineThatFails(t *testing.T) {
	f := startFleet(t)
	for _, test := range []struct {
		lines          string
		stdout, stderr string
	}{
		{"products.list\nproducts.get nope\nproducts.list", "[]\n", "line 2: products.exceptions.NotFound: Product ID nope does not exist"},
		{"\n\nproducts.get [1\nproducts.list", "", "line 3: column 14: [ is never closed"},
		{"products.get", "", "line 1: nameko.exceptions.IncorrectSignature: get() missing 1 required positional argument: 'product_id'"},
		{"products.nope", "", "line 1: nameko.exceptions.MethodNotFound: nope"},
		{"nobody.home", "", "line 1: call nobody.home: unknown service"},
		{"dispatch orders nobody_waits_for_it {}", "", "line 1: publish events of orders: a message reached no queue"},
		{"help nobody", "", `line 1: "nobody" is no service or method of hangar's`},
		{"products.list\n" + strings.Repeat("x", maxLine+1), "[]\n", "line 2: it has more than 1048575 bytes"},
	} {
		got := runShell(t, f.amqp, test.lines)
		if got.code != 1 || got.stdout != test.stdout || !strings.HasPrefix(got.stderr, "hangar: "+test.stderr) {
			t.Errorf("after %.50q: exit code %d, stdout %q, stderr %q, want 1, %q and %q", test.lines, got.code, got.stdout, got.stderr, test.stdout, test.stderr)
		}
	}
}

// Nothing of this needs a broker that is there.
func TestShellExplains(t *testing.T) {
	const nowhere = "amqp://127.0.0.1:1"
	got := runShell(t, nowhere, "help products.get\nservices\nhelp\nexit\nnonsense")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "products.get product_id\n") || !strings.Contains(got.stdout, "cancel_order, ") ||
		!strings.Contains(got.stdout, shellHelp) {
		t.Errorf("exit code %d, stdout %q, stderr %q, want help", got.code, got.stdout, got.stderr)
	}
	if got := runShell(t, nowhere, "products.list"); got.code != 1 || !strings.Contains(got.stderr, "line 1: call products.list: no connection to the message broker") {
		t.Errorf("without a broker: exit code %d, stderr %q", got.code, got.stderr)
	}
}

func TestCompletion(t *testing.T) {
	for _, test := range []struct {
		before, after string // the cursor
		head          string
		want          []string
	}{
		{"", "", "", []string{"dispatch ", "exit", "help ", "orders.", "products.", "services"}},
		{"pro", "", "", []string{"products."}},
		{"products.get", " é", "", []string{"products.get ", "products.get_many "}},
		{"products.get ", "", "products.get ", []string{"product_id="}},
		{"products.get product_id=", "x", "products.get ", []string{"product_id="}},
		{"é ☃", "", "é ", nil},
		{"help products.g", "", "help ", []string{"products.get", "products.get_many"}},
		{"help ord", "", "help ", []string{"orders", "orders."}},
		{"n", "", "", []string{"n.dispatch_event(", "n.rpc.orders.", "n.rpc.products."}},
		{"n.rpc.products.d", "", "", []string{"n.rpc.products.delete("}},
		{"dispatch ", "", "dispatch ", []string{"orders "}},
		{"dispatch orders ", "", "dispatch orders ", []string{"order_created "}},
		{"dispatch mailer ", "", "dispatch mailer ", nil},
		{"dispatch orders order_created ", "", "dispatch orders order_created ", nil},
		{"nobody.home ", "", "nobody.home ", nil},
	} {
		head, words, tail := complete(test.before+test.after, len([]rune(test.before)))
		if diff := cmp.Diff(test.want, words); diff != "" || head != test.head || tail != test.after {
			t.Errorf("complete(%q|%q) has %q before and %q behind (-want +got):\n%s", test.before, test.after, head, tail, diff)
		}
	}
}

func TestShellInATerminal(t *testing.T) {
	f := startFleet(t)
	product := `{"id": "a", "title": "A", "passenger_capacity": 1, "maximum_speed": 2, "in_stock": 3}`
	if status, answer := request(t, "POST", f.services["gateway"].url+"/products", product); status != http.StatusOK {
		t.Fatalf("POST /products: %d %s", status, answer)
	}
	state := t.TempDir()
	first := startInTerminal(t, shellProcess(t, f.amqp, state))
	first.expect(t, "help explains, Tab completes, Ctrl-D ends")
	first.expect(t, shellPrompt)
	first.press(t, "pro\tge\t a\r") // get may become get_many, and stays as it is
	first.expect(t, "\r\n{\r\n  \"id\": \"a\",\r\n")
	first.expect(t, "}\r\n(") // how long it took
	first.expect(t, shellPrompt)
	first.press(t, "products.get nope\r")
	first.expect(t, "products.exceptions.NotFound: Product ID nope does not exist\r\n(")
	first.expect(t, shellPrompt)
	first.press(t, "not finished")
	first.expect(t, "not finished") // before that, Ctrl-C may not be a key yet
	first.press(t, ctrlC)
	first.expect(t, "^C\r\n")
	first.expect(t, shellPrompt)
	first.press(t, "products.get [\r")
	first.expect(t, "column 14: [ is never closed")
	first.expect(t, shellPrompt)
	first.press(t, ctrlD)
	first.exit(t, 0)

	file := filepath.Join(state, "hangar", "shell_history")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s may be read with %v, want 0600", file, info.Mode())
	}
	second := startInTerminal(t, shellProcess(t, f.amqp, state))
	second.expect(t, shellPrompt)
	second.press(t, up+up+up+"\r")
	second.expect(t, "products.get a")
	second.expect(t, "\"id\": \"a\",\r\n")
	second.expect(t, shellPrompt)
	if err := second.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	second.exit(t, 0)
}

func TestShellGivesUpACall(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker, err := nameko.NewBroker(nameko.Config{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan struct{}, 1)
	server := nameko.NewServer(broker, "slow", 0, 0)
	server.Handle("wait", nameko.Params(), func(ctx context.Context, _ nameko.Args) (any, error) {
		called <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	server.Handle("echo", nameko.Params("value"), func(_ context.Context, args nameko.Args) (any, error) { return args["value"], nil })
	stage := startStage(t.Context(), make(chan struct{}, 1), []task{broker.Run, server.Run})
	t.Cleanup(func() {
		if err := stage.end(time.Minute); err != nil {
			t.Error(err)
		}
	})
	<-server.Ready()

	term := startInTerminal(t, shellProcess(t, url, t.TempDir(), "--timeout", "30s"))
	term.expect(t, shellPrompt)
	for range 2 {
		term.press(t, "slow.wait\r")
		<-called
		term.press(t, ctrlC)
		term.expect(t, "given up; what was asked for may happen all the same")
		term.expect(t, shellPrompt)
	}
	term.press(t, "slow.echo [1.10]\r")
	term.expect(t, "  1.10\r\n]")
	term.expect(t, shellPrompt)
	term.press(t, "exit\r")
	term.exit(t, 0)

	got := runShell(t, url, "slow.wait", "--timeout", "5s") // in which it connects first
	if got.code != 1 || !strings.Contains(got.stderr, "line 1: call slow.wait: no reply by the deadline") {
		t.Errorf("a call that takes too long: exit code %d, stderr %q", got.code, got.stderr)
	}
}

// Whoever cannot write a file still has a shell.
func TestShellWithoutHistory(t *testing.T) {
	file := writeFile(t, "state", "")
	term := startInTerminal(t, shellProcess(t, "amqp://127.0.0.1:1", file))
	term.expect(t, "lines are not remembered: mkdir "+file)
	term.expect(t, shellPrompt)
	term.press(t, "help\r")
	term.expect(t, "n.dispatch_event")
	term.press(t, "exit\r")
	term.exit(t, 0)
}

func TestHistoryIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hangar", "shell_history")
	for range 3 {
		h, lines, err := openHistory(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(lines) > 1000 {
			t.Fatalf("%d lines are remembered, want 1000 at most", len(lines))
		}
		for i := range 2500 {
			if err := h.add(fmt.Sprint("line ", i)); err != nil {
				t.Fatal(err)
			}
		}
		for _, line := range []string{"", "  ", "\xff", strings.Repeat("x", maxRemembered+1)} {
			if err := h.add(line); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, lines, err := openHistory(path)
	if err != nil || len(lines) != 1000 || lines[0] != "line 1500" || lines[999] != "line 2499" {
		t.Fatalf("%d lines are remembered, %v, want the last thousand", len(lines), err)
	}
	text, err := os.ReadFile(path)
	if n := strings.Count(string(text), "\n"); err != nil || n != 1000 {
		t.Errorf("the file has %d lines, %v, want 1000", n, err)
	}
}
