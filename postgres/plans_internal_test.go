package postgres

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"hangar"
	"hangar/hangartest"
	"hangar/orders"
)

// No call reads a whole table, however many orders there are, and whatever the
// server knows of a table that was adopted just now.
func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := hangartest.Postgres(t)
	s, err := OpenOrders(ctx, url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `
		INSERT INTO orders (created_at, updated_at) SELECT now(), now() FROM generate_series(1, 20000);
		INSERT INTO order_details (order_id, product_id, price, quantity, created_at, updated_at) SELECT id, 'a', 1, 1, now(), now() FROM orders;
		INSERT INTO idempotency_keys (key, body_hash, order_id, created_at) SELECT id, '', id, now() FROM orders;
		INSERT INTO outbox (type, payload) SELECT 't', '{}' FROM orders;
		INSERT INTO parked_events (type, payload, reason, parked_at) SELECT 't', '{}', '', now() FROM orders;
		SET plan_cache_mode = force_generic_plan`)
	if err != nil {
		t.Fatal(err)
	}
	settlementOf := func(c orders.Settlement) string {
		query, _, err := settlement(1, 1, c)
		if err != nil {
			t.Fatal(err)
		}
		return query
	}
	for _, analyzed := range []bool{false, true} {
		for name, query := range map[string]struct{ statement, arguments string }{
			"Order":                    {selectOrder, "1"},
			"List":                     {selectPage, "1, 100"},
			"List newest":              {selectNewest, "1, 100"},
			"List of a status":         {selectStatus, "'confirmed', 1, 20000, 100"},
			"List of a status, newest": {selectNewestOf, "'confirmed', 1, 20000, 100"},
			"Unsettled":                {selectUnsettled, "1, 100"},
			"inserted":                 {selectInserted, "''"},
			"confirm":                  {settlementOf(orders.Settlement{Event: &orders.Event{}}), "1, 1, now()::timestamp, '', '', '', ''"},
			"reject":                   {settlementOf(orders.Settlement{Refusal: &hangar.Error{}}), "1, 1, now()::timestamp, '', ''"},
			"update":                   {settlementOf(orders.Settlement{Details: []hangar.OrderDetail{{}}}), "1, 1, now()::timestamp, '', '{1}', '{1}', '{1}'"},
			"delete":                   {settlementOf(orders.Settlement{Delete: true}), "1, 1"},
			"Relay":                    {selectOutbox, "100"},
			"relayed":                  {deleteEvents, "'{1,2,3}'"},
			"statistics":               {selectStatistics, "10000"},
			"park":                     {parkEvent, "1, '', now()::timestamp"},
			"Parked":                   {selectParked, "1, 100"},
			"Unpark":                   {unparkEvents, "'{1,2,3}'"},
			"SweepKeys":                {sweepKeys, "now()::timestamp, 1000"},
		} {
			if _, err := conn.Exec(ctx, "DEALLOCATE ALL; PREPARE q AS "+query.statement); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			rows, err := conn.Query(ctx, explained(query.arguments), pgx.QueryExecModeSimpleProtocol)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text := strings.Join(plan, "\n")
			if strings.HasPrefix(name, "List of a status") && !strings.Contains(text, "orders_status_id") {
				t.Errorf("the plan of %s, the tables being analyzed: %v, looks among all orders:\n%s", name, analyzed, text)
			}
			if strings.Contains(text, "Seq Scan") {
				t.Errorf("the plan of %s, the tables being analyzed: %v, reads a whole table:\n%s", name, analyzed, text)
			}
		}
		if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
			t.Fatal(err)
		}
	}
}

func explained(arguments string) string {
	if arguments == "" {
		return "EXPLAIN EXECUTE q"
	}
	return "EXPLAIN EXECUTE q(" + arguments + ")"
}
