package orders_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"hangar"
	"hangar/orders"
	"hangar/sqlite"
)

// A change that nobody can read is settled by nobody's guess, and keeps no other
// order from being settled or shown.
func TestUnreadableChange(t *testing.T) {
	for name, change := range map[string]string{"damaged": "{", "of a later version": `{"kind": "merge"}`} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hangar.db")
			file, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			store := file.Orders
			stock := &breakable{}
			stock.down.Store(true)
			s := orders.NewService(store, stock, noLog)
			for range 3 {
				_, err := s.CreateOrder(t.Context(), oneLine(1))
				wantCode(t, "CreateOrder while the stock is down", err, hangar.Unavailable)
			}
			keyed := oneLine(1)
			keyed.IdempotencyKey = "k"
			_, err = s.CreateOrder(t.Context(), keyed)
			wantCode(t, "CreateOrder with a key while the stock is down", err, hangar.Unavailable)
			damage(t, path, change, 2, 4)

			stock.down.Store(false)
			for range 3 { // each goes on behind an order that stays unsettled
				_, _ = s.Recover(t.Context()) // which says what is wrong with that
			}
			wantStatus(t, s, 1, hangar.Confirmed)
			wantStatus(t, s, 2, hangar.Pending)
			wantStatus(t, s, 3, hangar.Confirmed)
			page, err := s.ListOrders(t.Context(), hangar.OrderQuery{Limit: 10})
			if err != nil || len(page.Items) != 4 {
				t.Errorf("ListOrders = %d orders, %v, want 4", len(page.Items), err)
			}
			_, err = s.CreateOrder(t.Context(), keyed)
			wantCode(t, "CreateOrder with the key of a damaged order", err, hangar.Unexpected)
			_, err = s.CancelOrder(t.Context(), 2)
			wantCode(t, "CancelOrder of a damaged order", err, hangar.Unexpected)
		})
	}
}

func damage(t *testing.T, path, change string, ids ...int64) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, id := range ids {
		if _, err := db.Exec("UPDATE orders SET change = ? WHERE id = ?", change, id); err != nil {
			t.Fatal(err)
		}
	}
}
