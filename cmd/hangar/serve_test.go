package main

import (
	"bytes"
	"database/sql"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestServeAndSmoke(t *testing.T) {
	data := filepath.Join(t.TempDir(), "not", "there", "yet")
	s := serveStore(t, data, "--image-root", "https://images.example.com/a/", "--log-format", "json")
	if s.data != data {
		t.Errorf("data is in %s, want %s", s.data, data)
	}
	got := hangarCommand(t, environment{}, "smoke", s.url)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("smoke exited with %d: %s%s", got.code, got.stdout, got.stderr)
	}
	for _, part := range []string{
		"=== Creating a product id: the_odyssey ===\n{\n  \"id\": \"the_odyssey\"\n}\n",
		`"in_stock": 9`,
		`"image": "https://images.example.com/a/the_odyssey.jpg"`,
		`"product": null`,
		"PRODUCT_NOT_FOUND",
	} {
		if !strings.Contains(got.stdout, part) {
			t.Errorf("smoke printed %s\nwithout %s", got.stdout, part)
		}
	}
	checkEmpty(t, s.url)
	if code := s.stop(); code != 0 {
		t.Errorf("serve exited with %d: %s", code, s.stderr)
	}
	if log := s.stderr.String(); !strings.Contains(log, `"path":"/products/the_odyssey"`) {
		t.Errorf("log %s\nlacks the requests as JSON", log)
	}
}

// checkEmpty fails the test if the store has products or orders.
func checkEmpty(t *testing.T, url string) {
	t.Helper()
	for _, path := range []string{"/products", "/orders"} {
		if status, answer := request(t, "GET", url+path, ""); status != 200 || answer != "[]" {
			t.Errorf("GET %s: %d %s, want nothing left there", path, status, answer)
		}
	}
}

func TestSmokeOfLocalUsesTheAddressInForce(t *testing.T) {
	s := serveStore(t, t.TempDir())
	_, port, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), ":")
	for name, got := range map[string]result{
		"PORT":       hangarCommand(t, environment{"PORT": port}, "smoke", "local"),
		"--addr":     hangarCommand(t, environment{}, "smoke", "--addr", "0.0.0.0:"+port),
		"URL with /": hangarCommand(t, environment{}, "smoke", s.url+"/"),
	} {
		if got.code != 0 {
			t.Errorf("smoke by %s exited with %d: %s", name, got.code, got.stderr)
		}
	}
}

func TestDataSurvivesRestart(t *testing.T) {
	data := t.TempDir()
	s := serveStore(t, data)
	product := `{"id": "x", "title": "X", "passenger_capacity": 1, "maximum_speed": 1, "in_stock": 5}`
	if status, answer := request(t, "POST", s.url+"/products", product); status != 200 {
		t.Fatalf("POST /products: %d %s", status, answer)
	}
	if code := s.stop(); code != 0 {
		t.Fatalf("serve exited with %d: %s", code, s.stderr)
	}
	s = serveStore(t, data)
	if status, answer := request(t, "GET", s.url+"/products/x", ""); status != 200 || !strings.Contains(answer, `"in_stock":5`) {
		t.Errorf("GET /products/x after a restart: %d %s, want 5 in stock", status, answer)
	}
}

// The broker is away, and a million events lie between the oldest and the newest.
func TestOrdersAreRefusedWhileTooManyEventsWait(t *testing.T) {
	data := t.TempDir()
	s := serveStore(t, data)
	s.stop()
	execSQL(t, filepath.Join(data, "hangar.db"), `INSERT INTO outbox (id, type, payload) VALUES
		(1, 'order_created', '{"order": {"id": 1}}'), (1000001, 'order_created', '{"order": {"id": 2}}')`)
	s = serveStore(t, data, "--amqp", "amqp://127.0.0.1:1")
	const product = `{"id": "x", "title": "X", "passenger_capacity": 1, "maximum_speed": 1, "in_stock": 1000000}`
	if status, answer := request(t, "POST", s.url+"/products", product); status != 200 {
		t.Fatalf("POST /products: %d %s", status, answer)
	}
	waitFor(t, "orders to be refused", func() bool {
		status, answer := request(t, "POST", s.url+"/orders", `{"order_details": [{"product_id": "x", "price": 1, "quantity": 1}]}`)
		return status == 503 && strings.Contains(answer, "events of earlier orders cannot be delivered")
	})
	if status, answer := request(t, "GET", s.url+"/orders", ""); status != 200 {
		t.Errorf("GET /orders: %d %s, want 200", status, answer)
	}
}

func TestPortTaken(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	data := filepath.Join(t.TempDir(), "data")
	addr := other.Addr().String()
	got := hangarCommand(t, environment{"WEB_SERVER_ADDRESS": addr}, "serve", "--data", data)
	want := "hangar: " + addr + " (environment WEB_SERVER_ADDRESS) is in use by another program; stop that, or listen elsewhere with --addr"
	if got.code != 1 || !strings.HasPrefix(got.stderr, want) || got.stdout != "" {
		t.Errorf("exited with %d, stdout %q, stderr %swant 1, nothing, and %s", got.code, got.stdout, got.stderr, want)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the data folder was touched: %v", err)
	}
}

func TestDataFolderInUse(t *testing.T) {
	s := serveStore(t, t.TempDir())
	got := hangarCommand(t, environment{}, "serve", "--addr", "127.0.0.1:0", "--data", s.data)
	if got.code != 1 || !strings.HasPrefix(got.stderr, "hangar: "+s.data) ||
		!strings.Contains(got.stderr, "in use by another process; stop that process, or name another folder with --data") {
		t.Errorf("a second serve exited with %d: %s", got.code, got.stderr)
	}
	checkEmpty(t, s.url) // the first one is well
}

func TestFileThatIsNotOurs(t *testing.T) {
	otherDatabase := filepath.Join(t.TempDir(), "other.db")
	execSQL(t, otherDatabase, "CREATE TABLE notes (id INTEGER PRIMARY KEY)")
	database, err := os.ReadFile(otherDatabase)
	if err != nil {
		t.Fatal(err)
	}
	s := serveStore(t, t.TempDir())
	s.stop()
	newer := filepath.Join(s.data, "hangar.db")
	execSQL(t, newer, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
	fromNewer, err := os.ReadFile(newer)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, file string
		content    []byte
		want       string
	}{
		{"text", "hangar.db", []byte(strings.Repeat("dear diary, ", 100)), "not a SQLite database"},
		{"short text", "hangar.db", []byte("dear diary"), "not a SQLite database"},
		{"another program's", "hangar.db", database, "not a hangar database"},
		{"from a newer version", "hangar.db", fromNewer, "comes from a newer hangar"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data := t.TempDir()
			path := filepath.Join(data, test.file)
			if err := os.WriteFile(path, test.content, 0o644); err != nil {
				t.Fatal(err)
			}
			got := hangarCommand(t, environment{}, "serve", "--addr", "127.0.0.1:0", "--data", data)
			if got.code != 1 || !strings.HasPrefix(got.stderr, "hangar: "+path) || !strings.Contains(got.stderr, test.want) {
				t.Errorf("exited with %d, stderr %swant 1 and %s: %s", got.code, got.stderr, path, test.want)
			}
			if got.stdout != "" {
				t.Errorf("stdout is %q, want nothing", got.stdout)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, test.content) {
				t.Errorf("the file was touched: %d bytes, %v, want %d unchanged", len(after), err, len(test.content))
			}
		})
	}
}

func execSQL(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

func TestDataFolderIsAFile(t *testing.T) {
	data := writeFile(t, "data", "")
	got := hangarCommand(t, environment{}, "serve", "--addr", "127.0.0.1:0", "--data", data)
	if got.code != 1 || !strings.HasPrefix(got.stderr, "hangar: make the data folder: ") {
		t.Errorf("exited with %d: %s", got.code, got.stderr)
	}
}

func TestLogLevel(t *testing.T) {
	for level, want := range map[string]bool{"info": true, "warn": true, "error": false} {
		s := serveStore(t, t.TempDir(), "--workers", "3", "--log-level", level)
		s.stop()
		if got := strings.Contains(s.stderr.String(), "workers limits calls over AMQP"); got != want {
			t.Errorf("at level %s the log has the warning: %v, want %v:\n%s", level, got, want, s.stderr)
		}
		if got := strings.Contains(s.stderr.String(), "draining"); got != (level == "info") {
			t.Errorf("at level %s the log has the information: %v:\n%s", level, got, s.stderr)
		}
	}
}

func TestServeAllByName(t *testing.T) {
	s := serveStore(t, t.TempDir(), "products", "gateway", "orders")
	checkEmpty(t, s.url)
}

func TestServiceNamedMoreThanOnceIsOne(t *testing.T) {
	s, stdout := startServe(t, "orders", "orders", "orders", "--amqp", "amqp://127.0.0.1:1", "--data", t.TempDir())
	if admin := readAdmin(t, stdout); admin == "" {
		t.Errorf("no admin address is printed, want one as of the orders service alone")
	}
	if code := s.stop(); code != 0 {
		t.Errorf("serve exited with %d: %s", code, s.stderr)
	}
}

func TestServedURL(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:80": "http://127.0.0.1:80",
		"[::1]:80":     "http://[::1]:80",
		"0.0.0.0:80":   "http://127.0.0.1:80 and on every other interface",
		"[::]:80":      "http://127.0.0.1:80 and on every other interface",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := servedURL(tcp); got != want {
			t.Errorf("servedURL(%s) = %q, want %q", addr, got, want)
		}
	}
}
