package hangartest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"hangar/backing"
)

// SharedServers names the environment variable with the folder of servers that
// run for all packages that are tested. Without it each package starts its own.
const SharedServers = "HANGAR_TEST_SERVERS"

// shared are the servers that the tests of a package share.
var shared = struct {
	mu     sync.Mutex
	dir    string
	own    []*backing.Server
	byName map[string]*backing.Server
}{byName: make(map[string]*backing.Server)}

// WithServers is for TestMain: what it returns runs the tests, and then stops
// the servers that Postgres and RabbitMQ have started.
func WithServers(m *testing.M) interface{ Run() int } { return withServers{m} }

type withServers struct{ m *testing.M }

func (w withServers) Run() int {
	code := w.m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for _, s := range shared.own {
		if s.Kill() != nil || s.Remove() != nil {
			code = 1
		}
	}
	if shared.dir != "" && os.RemoveAll(shared.dir) != nil {
		code = 1
	}
	return code
}

// Postgres returns the URL of a new, empty database.
func Postgres(t testing.TB) string {
	t.Helper()
	s := sharedServer(t, "postgres", backing.StartPostgres)
	name := "test_" + strings.ToLower(rand.Text())
	execPostgres(t, s.URL, "CREATE DATABASE "+name+" TEMPLATE template0") // which nobody connects to, unlike template1
	t.Cleanup(func() { execPostgres(t, s.URL, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func execPostgres(t testing.TB, url, query string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// RabbitMQ returns the URL of a new, empty vhost.
func RabbitMQ(t testing.TB) string {
	t.Helper()
	vhost, err := sharedServer(t, "rabbitmq", backing.StartRabbitMQ).NewVhost(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return vhost
}

// RabbitMQForExample is RabbitMQ for an example, which has no test. It reports
// false where RabbitMQ is missing.
func RabbitMQForExample(ctx context.Context) (url string, ok bool, err error) {
	if backing.Missing("rabbitmq") != nil {
		return "", false, nil
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	s, err := startShared(ctx, "rabbitmq", backing.StartRabbitMQ)
	if err != nil {
		return "", false, err
	}
	shared.byName["rabbitmq"] = s
	url, err = s.NewVhost(ctx)
	return url, err == nil, err
}

// Redis returns the URL of a new, empty Redis.
func Redis(t testing.TB) string {
	t.Helper()
	return StartRedis(t).URL
}

// StartPostgres starts a PostgreSQL of the test's own, to be killed.
func StartPostgres(t testing.TB) *backing.Server {
	t.Helper()
	return ownServer(t, "postgres", backing.StartPostgres)
}

// StartRedis starts a Redis of the test's own, to be killed.
func StartRedis(t testing.TB) *backing.Server {
	t.Helper()
	return ownServer(t, "redis", backing.StartRedis)
}

// StartRabbitMQ starts a RabbitMQ of the test's own, to be killed.
func StartRabbitMQ(t testing.TB) *backing.Server {
	t.Helper()
	return ownServer(t, "rabbitmq", backing.StartRabbitMQ)
}

type startServer func(ctx context.Context, dir string, life backing.Life) (*backing.Server, error)

func ownServer(t testing.TB, name string, start startServer) *backing.Server {
	t.Helper()
	require(t, name)
	s, err := start(context.WithoutCancel(t.Context()), t.TempDir(), backing.WithParent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func sharedServer(t testing.TB, name string, start startServer) *backing.Server {
	t.Helper()
	require(t, name)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if s := shared.byName[name]; s != nil {
		return s
	}
	ctx := context.WithoutCancel(t.Context())
	s, err := startShared(ctx, name, start)
	if err != nil {
		t.Fatal(err)
	}
	shared.byName[name] = s
	return s
}

func startShared(ctx context.Context, name string, start startServer) (*backing.Server, error) {
	if dir := os.Getenv(SharedServers); dir != "" {
		return backing.Attach(ctx, filepath.Join(dir, name), backing.WithParent)
	}
	if shared.dir == "" {
		dir, err := os.MkdirTemp("", "hangar-test-")
		if err != nil {
			return nil, err
		}
		shared.dir = dir
	}
	s, err := start(ctx, filepath.Join(shared.dir, name), backing.WithParent)
	if err == nil {
		shared.own = append(shared.own, s)
	}
	return s, err
}

// require skips the test where a server is missing; in CI it fails.
func require(t testing.TB, name string) {
	t.Helper()
	err := backing.Missing(name)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}
