package postgres_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"

	"hangar"
	"hangar/hangartest"
	"hangar/postgres"
)

func TestURLs(t *testing.T) {
	t.Parallel()
	database := hangartest.Postgres(t)
	_, rest, _ := strings.Cut(database, "://")
	for _, u := range []string{
		"postgres://" + rest,
		"postgresql://" + rest,
		"postgresql+psycopg2://" + rest,
		"postgresql+asyncpg://" + rest + "?sslmode=prefer&connect_timeout=10&keepalives=1&gssencmode=disable",
		"postgres://" + rest + "?sslmode=disable&application_name=shop",
	} {
		s := openOrders(t, u)
		if _, err := s.List(t.Context(), hangar.OrderQuery{Limit: 1}); err != nil {
			t.Errorf("List at %s: %v", u, err)
		}
		want := "hangar"
		if strings.Contains(u, "application_name") {
			want = "shop"
		}
		named := false
		err := connect(t, database).QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = $1`, want).Scan(&named)
		if err != nil || !named {
			t.Errorf("a connection of %s is called %s: %v, %v, want true", u, want, named, err)
		}
	}
}

func TestBadURLs(t *testing.T) {
	t.Parallel()
	for _, u := range []string{
		"", "secret", "mysql://user:secret@localhost/orders", "host=localhost password=secret", "postgres:secret",
		"postgresql+psycopg2:/user:secret@localhost", "sqlite+secret://x",
	} {
		wantOpenError(t, u, "not a URL of a PostgreSQL database")
	}
	for _, u := range []string{
		"postgres://user:sec%ret secret@localhost/orders", "postgres://user:secret@localhost:port/orders",
		"postgres://user:secret/secret@localhost/orders", "postgres://user:secret@localhost/orders?sslmode=secret",
		"postgres://user:secret@localhost/orders?pool_max_conns=secret",
	} {
		wantOpenError(t, u, "cannot be read")
	}
}

// What waiting does not mend is an error at once, which says what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(hangartest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	wrong := *u
	wrong.User = url.UserPassword(u.User.Username(), "secret")
	wantOpenError(t, wrong.String(), "check the user and the password")
	wrong = *u
	wrong.Path = "/missing"
	wantOpenError(t, wrong.String(), `there is no database "missing": make it`)
	wantOpenError(t, u.String()+"?sslmode=require", "refused TLS")
}

func TestWaitsForServer(t *testing.T) {
	t.Parallel()
	server := hangartest.StartPostgres(t)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	var said log
	opened := make(chan error)
	go func() {
		s, err := postgres.OpenOrders(t.Context(), server.URL, slog.New(slog.NewTextHandler(&said, nil)))
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	waitFor(t, "OpenOrders to say that it waits", func() bool { return strings.Contains(said.String(), "waiting for the orders' database") })
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("OpenOrders after the server came: %v", err)
	}
	if strings.Contains(said.String(), "hangar:hangar") {
		t.Errorf("the log shows the password:\n%s", &said)
	}
}

func TestGivesUpWaiting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var said log
	opened := make(chan error)
	go func() {
		_, err := postgres.OpenOrders(ctx, "postgres://user:secret@127.0.0.1:1/orders", slog.New(slog.NewTextHandler(&said, nil)))
		opened <- err
	}()
	waitFor(t, "OpenOrders to say that it waits", func() bool { return strings.Contains(said.String(), "waiting for the orders' database") })
	cancel()
	err := <-opened
	if err == nil || !strings.Contains(err.Error(), "gave up waiting") || strings.Contains(err.Error()+said.String(), "secret") {
		t.Errorf("OpenOrders that was cancelled: %v, want that it gave up, and no password; the log:\n%s", err, &said)
	}
}

// log is what was logged, for many goroutines.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
