package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"hangar"
	"hangar/hangartest"
	"hangar/orders"
	"hangar/postgres"
)

func newOrder(productIDs ...string) hangar.Order {
	o := hangar.Order{Status: hangar.Pending, Version: 1, Hold: uuid.NewString(), CreatedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	for _, id := range productIDs {
		o.Details = append(o.Details, hangar.OrderDetail{ProductID: id, Price: 10000099, Quantity: 1})
	}
	return o
}

// confirmed inserts an order and confirms it.
func confirmed(t testing.TB, s orders.Store, o hangar.Order) orders.Stored {
	t.Helper()
	stored, err := s.Insert(t.Context(), o, nil)
	if err != nil {
		t.Fatalf("Insert: %v", err)
	}
	settle(t, s, stored.ID, 1, orders.Settlement{Status: hangar.Confirmed, Event: &orders.Event{Type: "t", Payload: []byte("{}")}})
	return stored
}

func settle(t testing.TB, s orders.Store, id, version int64, c orders.Settlement) {
	t.Helper()
	if settled, err := s.Settle(t.Context(), id, version, c); !settled || err != nil {
		t.Fatalf("Settle(%d, version %d) = %v, %v, want true", id, version, settled, err)
	}
}

func TestPythonDatabaseIsAdopted(t *testing.T) {
	for productIDs, id := range map[string]string{"VARCHAR": "'7'", "INTEGER": "7"} {
		t.Run(productIDs, func(t *testing.T) {
			t.Parallel()
			url := hangartest.Postgres(t)
			p := python{t, connect(t, url)}
			execute(t, p.conn, alembic(productIDs))
			first, firstLine := p.create(id, "100000.99", 1)
			second, secondLine := p.create(id, "-0.50", -3)
			execute(t, p.conn, "INSERT INTO orders (created_at, updated_at) VALUES ('2026-03-01', '2026-03-01')") // without lines
			var said log
			for range 2 { // the second time, nothing is left to do
				s, err := postgres.OpenOrders(t.Context(), url, slog.New(slog.NewTextHandler(&said, nil)))
				if err != nil {
					t.Fatalf("OpenOrders: %v", err)
				}
				got, err := s.List(t.Context(), hangar.OrderQuery{Limit: 10})
				if err != nil {
					t.Fatalf("List: %v", err)
				}
				created := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
				want := []hangar.Order{
					{
						ID: first, Status: hangar.Confirmed, Version: 1, CreatedAt: created,
						Details: []hangar.OrderDetail{{ID: firstLine, ProductID: "7", Price: 10000099, Quantity: 1}},
					},
					{
						ID: second, Status: hangar.Confirmed, Version: 1, CreatedAt: created,
						Details: []hangar.OrderDetail{{ID: secondLine, ProductID: "7", Price: -50, Quantity: -3}},
					},
					{ID: second + 1, Status: hangar.Confirmed, Version: 1, CreatedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("orders of a Python service (-want +got):\n%s", diff)
				}
				stored, err := s.Order(t.Context(), first)
				if err != nil || stored.Change != nil || !stored.ChangedAt.Equal(created) {
					t.Errorf("Order(%d) = %+v, %v, want no change, and changed when it was created", first, stored, err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			s := openOrders(t, url)
			stored := confirmed(t, s, newOrder("7", "8"))
			if want := second + 2; stored.ID != want || stored.Details[0].ID != secondLine+1 {
				t.Errorf("after order %d came order %d with line %d, want %d with %d", want-1, stored.ID, stored.Details[0].ID, want, secondLine+1)
			}
			if got, want := p.lines(stored.ID), "7 100000.99 1\n8 100000.99 1\n"; got != want {
				t.Errorf("a Python service reads %q, want %q", got, want)
			}
			var version string
			if err := p.conn.QueryRow(t.Context(), "SELECT version_num FROM alembic_version").Scan(&version); err != nil || version != "de23f0d0f3d7" {
				t.Errorf("Alembic's version is %q, %v, want it as it was", version, err)
			}
		})
	}
}

func TestIntegerProductIDs(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	execute(t, connect(t, url), alembic("INTEGER"))
	s := openOrders(t, url)
	for _, id := range []string{"the_odyssey", "007", "+7", "7.0", "2147483648", " 7", "-0"} {
		_, err := s.Insert(t.Context(), newOrder("1", id), nil)
		e := &hangar.Error{}
		want := map[string]any{"order_details": map[string]any{"1": map[string]any{"product_id": []string{"Not a valid integer."}}}}
		if as, ok := err.(*hangar.Error); ok {
			e = as
		}
		if diff := cmp.Diff(want, e.Details); e.Code != hangar.ValidationError || diff != "" {
			t.Errorf("Insert of product %q: %v with details (-want +got):\n%s", id, err, diff)
		}
	}
	confirmed(t, s, newOrder("-1", "0", "2147483647"))
}

func TestUnreadablePrice(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	p := python{t, connect(t, url)}
	execute(t, p.conn, alembic("VARCHAR"))
	ghost, line := p.create("'a'", "'NaN'", 1)
	p.create("'b'", "1", 1)
	var said log
	s, err := postgres.OpenOrders(t.Context(), url, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		list, err := s.List(t.Context(), hangar.OrderQuery{Limit: 10})
		if err != nil || len(list) != 2 || list[0].Details[0].Price != 0 || list[1].Details[0].Price != 100 {
			t.Errorf("List = %+v, %v, want the price NaN as 0 and another as it is", list, err)
		}
	}
	report := fmt.Sprintf("order=%d line=%d price=NaN", ghost, line)
	if n := strings.Count(said.String(), report); n != 1 {
		t.Errorf("the log has %q %d times, want once:\n%s", report, n, &said)
	}
}

// A Python service goes on as it did, before, while and after hangar uses its
// database.
func TestBesidePython(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	p := python{t, connect(t, url)}
	execute(t, p.conn, alembic("VARCHAR"))
	before, _ := p.create("'a'", "1.50", 2)
	s := openOrders(t, url)
	var running sync.WaitGroup
	running.Go(func() {
		for range 50 {
			stored := confirmed(t, s, newOrder("a", "b"))
			if err := s.Begin(t.Context(), stored.ID, 1, orders.Change{Kind: orders.Delete}); err != nil {
				t.Errorf("Begin: %v", err)
			}
			settle(t, s, stored.ID, 2, orders.Settlement{Delete: true})
		}
	})
	for n := range 50 {
		order, line := p.create("'b'", "2.25", n+1)
		p.update(line, "3.75", n+2)
		if got, want := p.lines(order), fmt.Sprintf("b 3.75 %d\n", n+2); got != want {
			t.Errorf("a Python service reads %q, want %q", got, want)
		}
		stored, err := s.Order(t.Context(), order)
		want := []hangar.OrderDetail{{ID: line, ProductID: "b", Price: 375, Quantity: int64(n + 2)}}
		if err != nil || !cmp.Equal(want, stored.Details) || stored.Status != hangar.Confirmed || stored.HoldID() != fmt.Sprint("order-", order) {
			t.Errorf("Order(%d) = %+v, %v, want it confirmed with %+v and without a hold of its own", order, stored, err, want)
		}
	}
	running.Wait()
	// What hangar changes, Python sees, with a new time.
	stored, err := s.Order(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	stored.Details[0].Price, stored.Details[0].Quantity = 99, 7
	if err := s.Begin(t.Context(), before, 1, orders.Change{Kind: orders.Update, Details: stored.Details}); err != nil {
		t.Fatal(err)
	}
	settle(t, s, before, 2, orders.Settlement{Status: hangar.Confirmed, Details: stored.Details})
	if got := p.lines(before); got != "a 0.99 7\n" {
		t.Errorf("a Python service reads %q, want %q", got, "a 0.99 7\n")
	}
	var fresh bool
	err = p.conn.QueryRow(t.Context(), `SELECT bool_and(o.updated_at > o.created_at AND d.updated_at = o.updated_at)
		FROM orders o JOIN order_details d ON d.order_id = o.id WHERE o.id = $1`, before).Scan(&fresh)
	if err != nil || !fresh {
		t.Errorf("updated_at is new: %v, %v, want true", fresh, err)
	}
}

// What hangar makes in an empty database is what a Python service expects.
func TestEmptyDatabase(t *testing.T) {
	t.Parallel()
	const columns = `SELECT string_agg(concat_ws(' ', table_name, column_name, data_type, character_maximum_length, numeric_precision,
			numeric_scale, is_nullable, column_default), E'\n' ORDER BY table_name, ordinal_position)
		FROM information_schema.columns WHERE table_name IN ('orders', 'order_details')
			AND column_name NOT IN ('status', 'version', 'hold', 'change', 'changed_at')`
	const constraints = `SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), E'\n' ORDER BY conname)
		FROM pg_constraint WHERE conrelid IN ('orders'::regclass, 'order_details'::regclass)`
	ours, theirs := hangartest.Postgres(t), hangartest.Postgres(t)
	openOrders(t, ours)
	execute(t, connect(t, theirs), alembic("VARCHAR"))
	for _, query := range []string{columns, constraints} {
		var got, want string
		if err := connect(t, ours).QueryRow(t.Context(), query).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if err := connect(t, theirs).QueryRow(t.Context(), query).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the tables in an empty database (-Alembic's +hangar's):\n%s", diff)
		}
	}
	var alembics bool
	err := connect(t, ours).QueryRow(t.Context(), "SELECT to_regclass('alembic_version') IS NOT NULL").Scan(&alembics)
	if err != nil || alembics {
		t.Errorf("there is a table alembic_version: %v, %v, want none", alembics, err)
	}
}

func TestManyOpenAtOnce(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	conn := connect(t, url)
	execute(t, conn, alembic("VARCHAR"))
	openAtOnce(t, url)
	execute(t, conn, `DELETE FROM hangar_schema WHERE version_id > 2;
		DROP INDEX order_details_order_id; DROP INDEX orders_hold; DROP INDEX orders_unsettled; DROP INDEX orders_status_id;
		DROP TABLE parked_events; ALTER TABLE outbox DROP COLUMN created_at, DROP COLUMN origin`)
	openAtOnce(t, url)
	var versions string
	err := conn.QueryRow(t.Context(), "SELECT string_agg(version_id::text, ' ' ORDER BY id) FROM hangar_schema").Scan(&versions)
	if err != nil || versions != "0 1 2 3 4 5 6 7 8 9" {
		t.Errorf("migrations that were made: %q, %v, want each once and in order", versions, err)
	}
}

func openAtOnce(t *testing.T, url string) {
	t.Helper()
	var opening sync.WaitGroup
	for range 4 {
		opening.Go(func() {
			s, err := postgres.OpenOrders(t.Context(), url, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Errorf("OpenOrders beside others: %v", err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	opening.Wait()
}

func TestInterruptedIndexIsMadeAgain(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	if err := openOrders(t, url).Close(); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, url)
	execute(t, conn, `DELETE FROM hangar_schema WHERE version_id >= 4;
		UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('orders_hold'::regclass, 'orders_status_id'::regclass);
		DROP INDEX orders_unsettled; DROP TABLE parked_events; ALTER TABLE outbox DROP COLUMN created_at, DROP COLUMN origin`)
	s := openOrders(t, url)
	confirmed(t, s, newOrder("a"))
	var valid int
	err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid IN
		('orders_hold'::regclass, 'orders_unsettled'::regclass, 'order_details_order_id'::regclass, 'orders_status_id'::regclass)`).Scan(&valid)
	if err != nil || valid != 4 {
		t.Errorf("valid indexes after an interruption: %d, %v, want 4", valid, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	if err := openOrders(t, url).Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, connect(t, url), "INSERT INTO hangar_schema (version_id, is_applied) VALUES (99, true)")
	wantOpenError(t, url, "comes from a newer hangar")
}

func TestForeignTablesAreRefused(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	execute(t, connect(t, url), "CREATE TABLE orders (id serial PRIMARY KEY, title text)")
	wantOpenError(t, url, "not as the Python services make them")
}

// wantOpenError fails unless OpenOrders fails, says so, and does not show the
// password.
func wantOpenError(t *testing.T, url, complaint string) {
	t.Helper()
	s, err := postgres.OpenOrders(t.Context(), url, slog.New(slog.DiscardHandler))
	if err == nil {
		t.Fatalf("OpenOrders: no error, want %q; closing it: %v", complaint, s.Close())
	}
	if !strings.Contains(err.Error(), complaint) {
		t.Errorf("OpenOrders: %v, want %q in it", err, complaint)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("OpenOrders: %v, want no password in it", err)
	}
}

// newUser makes a user with few rights, and returns the URL with it.
func newUser(t *testing.T, conn *pgx.Conn, database, grants string) string {
	t.Helper()
	name := "user_" + strings.ToLower(rand.Text())
	execute(t, conn, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'secret'", name))
	t.Cleanup(func() {
		_, err := conn.Exec(context.Background(), fmt.Sprintf("DROP OWNED BY %s; DROP ROLE %s", name, name))
		if err != nil {
			t.Error(err)
		}
	})
	execute(t, conn, strings.ReplaceAll(grants, "$user", name))
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, "secret")
	return u.String()
}

func TestUserWithoutRightsToMigrate(t *testing.T) {
	t.Parallel()
	database := hangartest.Postgres(t)
	conn := connect(t, database)
	wantOpenError(t, newUser(t, conn, database, ""), "lacks a right")
	if err := openOrders(t, database).Close(); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, newUser(t, conn, database, "GRANT SELECT ON hangar_schema, orders TO $user"),
		"lacks DELETE on orders, INSERT on orders, UPDATE on orders, DELETE on order_details")
	s := openOrders(t, newUser(t, conn, database, `GRANT SELECT ON hangar_schema TO $user;
		GRANT SELECT, INSERT, UPDATE, DELETE ON orders, order_details, outbox, parked_events, idempotency_keys TO $user;
		GRANT USAGE ON orders_id_seq, order_details_id_seq TO $user`))
	confirmed(t, s, newOrder("a"))
	if n, err := s.Relay(t.Context(), 10, func(context.Context, []orders.Event) error { return nil }); n != 1 || err != nil {
		t.Errorf("Relay = %d, %v, want 1", n, err)
	}
}

// A relay, a Python service and others that use the tables, for however long,
// do not keep the table of parked events from being made.
func TestParkedEventsAreAddedBesideOthers(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	s := openOrders(t, url)
	confirmed(t, s, newOrder("a"))
	conn, long := connect(t, url), connect(t, url)
	execute(t, conn, `DELETE FROM hangar_schema WHERE version_id >= 6; DROP TABLE parked_events;
		DROP INDEX orders_status_id; ALTER TABLE outbox DROP COLUMN created_at, DROP COLUMN origin`)
	execute(t, long, `BEGIN; LOCK TABLE orders, order_details, idempotency_keys IN ROW EXCLUSIVE MODE;
		SELECT id FROM outbox FOR UPDATE; UPDATE orders SET updated_at = now()`)
	var (
		migrated *postgres.OrderStore
		openErr  error
		opening  sync.WaitGroup
	)
	opening.Go(func() { migrated, openErr = postgres.OpenOrders(t.Context(), url, slog.New(slog.DiscardHandler)) })
	waitFor(t, "the table of parked events", func() bool {
		var made bool
		err := conn.QueryRow(t.Context(), "SELECT to_regclass('parked_events') IS NOT NULL").Scan(&made)
		return made && err == nil
	})
	execute(t, long, "COMMIT") // the later migrations do wait for it
	opening.Wait()
	if openErr != nil {
		t.Fatal(openErr)
	}
	closeAtEnd(t, migrated.Close)
	_, err := migrated.Relay(t.Context(), 10, func(_ context.Context, events []orders.Event) error {
		return orders.BadEvents{{ID: events[0].ID, Err: errors.New("bad")}}
	})
	if _, ok := errors.AsType[orders.BadEvents](err); !ok {
		t.Errorf("Relay: %v, want what publish said", err)
	}
	if parked, err := migrated.Parked(t.Context(), 0, 10); err != nil || len(parked) != 1 {
		t.Errorf("parked events: %+v, %v, want one", parked, err)
	}
}

// A transaction that has the orders locked keeps hangar from migrating; but
// others, who need not wait for it, do not wait for hangar either.
func TestMigrationStandsBack(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	p := python{t, connect(t, url)}
	execute(t, p.conn, alembic("VARCHAR"))
	long := connect(t, url)
	execute(t, long, "BEGIN; SELECT count(*) FROM orders")
	var opening sync.WaitGroup
	opening.Go(func() {
		s, err := postgres.OpenOrders(t.Context(), url, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("OpenOrders: %v", err)
			return
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	watch := connect(t, url)
	for range 3 {
		waitFor(t, "hangar to wait for a lock on orders", func() bool {
			var waiting bool
			err := watch.QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_locks
				WHERE relation = 'orders'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted`).Scan(&waiting)
			return waiting && err == nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := p.conn.Exec(ctx, "INSERT INTO orders (created_at, updated_at) VALUES (now(), now())")
		cancel()
		if err != nil {
			t.Fatalf("a Python service's INSERT beside a migration that waits: %v", err)
		}
	}
	execute(t, long, "COMMIT")
	opening.Wait()
}

// waitFor waits until the condition holds.
func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
