package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite/sqlitex"
)

func openTestOrders(t *testing.T) *OrderStore {
	t.Helper()
	s, err := OpenOrders(t.Context(), filepath.Join(t.TempDir(), "orders.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestEveryConnectionHasThePragmas(t *testing.T) {
	db := openTestOrders(t).db
	want := map[string]string{
		"journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000", "foreign_keys": "1", "temp_store": "2",
	}
	check := func(name, queryOnly string, get func(pragma string) (string, error)) {
		want["query_only"] = queryOnly
		for pragma, value := range want {
			if got, err := get(pragma); err != nil || got != value {
				t.Errorf("PRAGMA %s of %s: %q, %v, want %q", pragma, name, got, err, value)
			}
		}
	}
	check("the writer", "0", func(pragma string) (got string, err error) {
		err = db.writer.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got)
		return got, err
	})
	for range db.readers.opened {
		conn := <-db.readers.idle
		defer func() { db.readers.idle <- conn }() // at the end, so that each is another one
		check("a reader", "1", func(pragma string) (got string, err error) {
			err = sqlitex.ExecuteTransient(conn, "PRAGMA "+pragma, &sqlitex.ExecOptions{ResultFunc: func(r *row) error {
				got = r.ColumnText(0)
				return nil
			}})
			return got, err
		})
		if err := sqlitex.ExecuteTransient(conn, "DELETE FROM orders", nil); err == nil {
			t.Error("a reader could write")
		}
	}
}

// plan returns how SQLite runs a query, a line a step.
func plan(t *testing.T, db *readers, query string) string {
	t.Helper()
	var steps []string
	err := db.query(t.Context(), "EXPLAIN QUERY PLAN "+query, nil, func(r *row) error {
		steps = append(steps, r.ColumnText(3))
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return strings.Join(steps, "\n")
}

// No query reads more rows than it returns: none scans a table. What is scanned
// is a page that another step has found.
func TestQueriesUseIndexes(t *testing.T) {
	orders, products := openTestOrders(t).db.readers, openTest(t).db.readers
	for _, test := range []struct {
		name  string
		db    *readers
		query string
		steps []string // what the plan must have
	}{
		{"order", orders, selectOrder, []string{"SEARCH o USING INTEGER PRIMARY KEY", "SEARCH d USING PRIMARY KEY"}},
		{"page", orders, selectPage, []string{"SEARCH orders USING INTEGER PRIMARY KEY", "SEARCH d USING PRIMARY KEY"}},
		{"newest", orders, selectNewest, []string{"SEARCH orders USING INTEGER PRIMARY KEY", "SEARCH d USING PRIMARY KEY"}},
		{"unsettled", orders, selectUnsettled, []string{"SEARCH orders USING INDEX orders_unsettled", "SEARCH d USING PRIMARY KEY"}},
		{"key", orders, "SELECT body_hash, order_id, refusal FROM idempotency_keys WHERE key = ?", []string{"SEARCH idempotency_keys USING PRIMARY KEY"}},
		{"refusal", orders, "UPDATE idempotency_keys SET refusal = ? WHERE order_id = ?", []string{"SEARCH idempotency_keys USING INDEX idempotency_keys_order_id"}},
		{"sweep of keys", orders, "SELECT key FROM idempotency_keys WHERE created_at < ? LIMIT ?", []string{"idempotency_keys_created_at"}},
		{"outbox", orders, selectOutbox, []string{"SCAN outbox"}}, // by its primary key, from the lowest
		{"deletion of events", orders, "DELETE FROM outbox WHERE id <= ?", []string{"SEARCH outbox USING INTEGER PRIMARY KEY"}},
		{"waiting", orders, selectWaiting, []string{"SEARCH outbox", "SEARCH outbox"}},
		{"parking", orders, "SELECT type FROM outbox WHERE id = ?", []string{"SEARCH outbox USING INTEGER PRIMARY KEY"}},
		{"parked", orders, selectParked, []string{"SEARCH parked_events USING INTEGER PRIMARY KEY"}},
		{"last line", orders, "SELECT max(id) FROM order_details WHERE order_id = (SELECT max(order_id) FROM order_details)", []string{"SEARCH order_details USING PRIMARY KEY"}},
		{"deletion", orders, "DELETE FROM order_details WHERE order_id = ?", []string{"SEARCH order_details USING PRIMARY KEY"}},
		{"product", products, "SELECT " + productColumns + " FROM products WHERE id = ?", []string{"SEARCH products USING PRIMARY KEY"}},
		{"page of products", products, "SELECT " + productColumns + " FROM products WHERE id > +? ORDER BY id LIMIT +?", []string{"SEARCH products USING PRIMARY KEY"}},
		{"hold", products, "SELECT version FROM holds WHERE id = ?", []string{"SEARCH holds USING PRIMARY KEY"}},
		{"sweep of holds", products, "SELECT id FROM holds WHERE changed_at < ? LIMIT ?", []string{"holds_changed_at"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := plan(t, test.db, test.query)
			for _, step := range test.steps {
				if !strings.Contains(got, step) {
					t.Errorf("the plan lacks %q:\n%s", step, got)
				}
			}
			for _, table := range []string{"orders", "d", "order_details", "idempotency_keys", "parked_events", "products", "holds"} {
				for line := range strings.Lines(got + "\n") {
					if line = strings.TrimSpace(line); line == "SCAN "+table || strings.HasPrefix(line, "SCAN "+table+" ") {
						t.Errorf("the plan scans a table: %s\n%s", line, got)
					}
				}
			}
		})
	}
}
