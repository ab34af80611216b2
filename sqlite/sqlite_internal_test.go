package sqlite

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	lowlevel "zombiezen.com/go/sqlite"

	"hangar"
)

func openTest(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
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
	db := openTest(t)
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
	get := func(conn *lowlevel.Conn) func(pragma string) (string, error) {
		return func(pragma string) (got string, err error) {
			err = run(conn, "PRAGMA "+pragma, nil, func(r *row) error {
				got = r.ColumnText(0)
				return nil
			})
			return got, err
		}
	}
	check("the writer", "0", get(db.writer.conn))
	for _, reader := range db.readers.idle {
		check("a reader", "1", get(reader.conn))
		if err := run(reader.conn, "DELETE FROM orders", nil, nil); err == nil {
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

func pageOf(q hangar.ProductQuery) string {
	query, _ := selectProducts(q)
	return query
}

// No query reads more rows than it returns: none scans a table. What is scanned
// is a page that another step has found.
func TestQueriesUseIndexes(t *testing.T) {
	db := openTest(t).readers
	for _, test := range []struct {
		name  string
		query string
		steps []string // what the plan must have
	}{
		{"order", selectOrder, []string{"SEARCH o USING INTEGER PRIMARY KEY", "SEARCH d USING PRIMARY KEY"}},
		{"page", selectPage, []string{"SEARCH orders USING INTEGER PRIMARY KEY", "SEARCH d USING PRIMARY KEY"}},
		{"newest", selectNewest, []string{"SEARCH orders USING INTEGER PRIMARY KEY", "SEARCH d USING PRIMARY KEY"}},
		{"status", selectStatus, []string{"SEARCH orders USING COVERING INDEX orders_status (status=? AND rowid>?)", "SEARCH d USING PRIMARY KEY"}},
		{"newest of a status", selectNewestOf, []string{"SEARCH orders USING COVERING INDEX orders_status (status=? AND rowid<?)", "SEARCH d USING PRIMARY KEY"}},
		{"unsettled", selectUnsettled, []string{"SEARCH orders USING INDEX orders_unsettled", "SEARCH d USING PRIMARY KEY"}},
		{"key", "SELECT body_hash, order_id, refusal FROM idempotency_keys WHERE key = ?", []string{"SEARCH idempotency_keys USING PRIMARY KEY"}},
		{"refusal", "UPDATE idempotency_keys SET refusal = ? WHERE order_id = ?", []string{"SEARCH idempotency_keys USING INDEX idempotency_keys_order_id"}},
		{"sweep of keys", "SELECT key FROM idempotency_keys WHERE created_at < ? LIMIT ?", []string{"idempotency_keys_created_at"}},
		{"outbox", selectOutbox, []string{"SCAN outbox"}}, // by its primary key, from the lowest
		{"deletion of events", "DELETE FROM outbox WHERE id <= ?", []string{"SEARCH outbox USING INTEGER PRIMARY KEY"}},
		{"statistics of the outbox", selectStatistics, []string{"SEARCH outbox", "SCAN outbox", "SCAN parked_events"}}, // the one from the lowest, the other up to a bound
		{"parking", "SELECT type FROM outbox WHERE id = ?", []string{"SEARCH outbox USING INTEGER PRIMARY KEY"}},
		{"parked", selectParked, []string{"SEARCH parked_events USING INTEGER PRIMARY KEY"}},
		{"last line", "SELECT max(id) FROM order_details WHERE order_id = (SELECT max(order_id) FROM order_details)", []string{"SEARCH order_details USING PRIMARY KEY"}},
		{"deletion", "DELETE FROM order_details WHERE order_id = ?", []string{"SEARCH order_details USING PRIMARY KEY"}},
		{"product", "SELECT " + productColumns + " FROM products WHERE id = ?", []string{"SEARCH products USING PRIMARY KEY"}},
		{"page of products", pageOf(hangar.ProductQuery{After: "b"}), []string{"SEARCH products USING PRIMARY KEY (id>?)"}},
		{"first page of a prefix", pageOf(hangar.ProductQuery{Prefix: "b"}), []string{"SEARCH products USING PRIMARY KEY (id>? AND id<?)"}},
		{"next page of a prefix", pageOf(hangar.ProductQuery{Prefix: "b", After: "bc"}), []string{"SEARCH products USING PRIMARY KEY (id>? AND id<?)"}},
		{"hold", "SELECT version FROM holds WHERE id = ?", []string{"SEARCH holds USING PRIMARY KEY"}},
		{"sweep of holds", "SELECT id FROM holds WHERE changed_at < ? LIMIT ?", []string{"holds_changed_at"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := plan(t, db, test.query)
			for _, step := range test.steps {
				if !strings.Contains(got, step) {
					t.Errorf("the plan lacks %q:\n%s", step, got)
				}
			}
			for _, table := range []string{"orders", "d", "order_details", "idempotency_keys", "parked_events", "products", "holds"} {
				for line := range strings.Lines(got + "\n") {
					line = strings.TrimSpace(line)
					isScan := line == "SCAN "+table || strings.HasPrefix(line, "SCAN "+table+" ")
					if isScan && !slices.Contains(test.steps, line) {
						t.Errorf("the plan scans a table: %s\n%s", line, got)
					}
				}
			}
		})
	}
}
