package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	maxConnections = 16

	// reserved is how many of them calls leave to the writers, the relay and its
	// notifications, which would else wait behind them.
	reserved = writers + 2

	// connectTimeout leaves room for the four round trips of a connection, if each
	// takes two seconds.
	connectTimeout = 10 * time.Second

	longestPause = 5 * time.Second
	sayEvery     = 30 * time.Second
)

// parseURL returns what url asks for. Its errors do not show url, in whose
// ruins nobody can tell the password from the rest.
func parseURL(url string) (*pgxpool.Config, error) {
	scheme, rest, isURL := strings.Cut(url, "://")
	scheme, _, _ = strings.Cut(scheme, "+")
	url = scheme + "://" + rest
	if !isURL || scheme != "postgres" && scheme != "postgresql" {
		return nil, errors.New("not a URL of a PostgreSQL database: want postgresql://user:password@host:port/database")
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the URL of the PostgreSQL database cannot be read: want postgresql://user:password@host:port/database, " +
			"with special characters of the password written as %XX")
	}
	if !strings.Contains(url, "pool_max_conns=") {
		config.MaxConns = maxConnections
	}
	// A call that meets a dead connection is made again anyway: looking first
	// would cost a round trip.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	c := config.ConnConfig
	c.Tracer = tracer{}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "hangar"
	}
	// What libpq knows, and the driver would send to the server.
	for _, name := range []string{
		"fallback_application_name", "gssencmode", "keepalives", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout",
	} {
		delete(c.RuntimeParams, name)
	}
	return config, nil
}

// prepare leaves a database that is up to date. It waits for a server that
// cannot be reached yet.
func prepare(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) (tables, error) {
	c := pool.Config().ConnConfig
	log = log.With("host", c.Host, "port", c.Port, "database", c.Database)
	var said time.Time
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, longestPause) {
		t, err := prepareOnce(ctx, pool, log)
		switch {
		case err == nil:
			if !said.IsZero() {
				log.Info("the orders' database is there")
			}
			return t, nil
		case ctx.Err() != nil:
			return t, fmt.Errorf("gave up waiting for the orders' database: %w (%w)", err, ctx.Err())
		case !isTransient(err):
			return t, explain(c, err)
		}
		if time.Since(said) > sayEvery {
			said = time.Now()
			log.Warn("waiting for the orders' database", "error", err)
		}
		sleep(ctx, pause/2+rand.N(pause/2))
	}
}

func prepareOnce(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) (tables, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return tables{}, err
	}
	defer conn.Release()
	if err := migrate(ctx, conn.Conn(), log); err != nil {
		return tables{}, err
	}
	return inspect(ctx, conn.Conn())
}

// explain says what to do about an error that waiting does not mend.
func explain(c *pgx.ConnConfig, err error) error {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return fmt.Errorf("open the orders' database: %w", err)
	}
	advice := ""
	switch failure.Code {
	case "28P01", "28000": // invalid_password, invalid_authorization_specification
		advice = fmt.Sprintf("the server does not let user %q in: check the user and the password, and the server's pg_hba.conf", c.User)
	case "3D000": // invalid_catalog_name
		advice = fmt.Sprintf("there is no database %q: make it, for example with createdb -h %s -p %d -U %s %s",
			c.Database, c.Host, c.Port, c.User, c.Database)
	case "42501": // insufficient_privilege
		advice = fmt.Sprintf("user %q lacks a right: start hangar once as the tables' owner, who may change them, "+
			"or grant what is missing", c.User)
	default:
		return fmt.Errorf("open the orders' database: %w", err)
	}
	return fmt.Errorf("open the orders' database: %s: %w", advice, err)
}

// isTransient reports whether the same call may have another outcome soon: the
// server or the connection to it was lost, has no room, or gave way to others.
func isTransient(err error) bool {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch failure.Code[:2] {
		case "08", "40", "53", "57": // connection, rollback, resources, intervention
			return true
		}
		return failure.Code == "55P03" // lock_not_available
	}
	return isLost(err)
}

// sleep reports whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
