package hangartest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"hangar"
	"hangar/orders"
)

// TestOrderStore tests what orders.Store promises.
func TestOrderStore(t *testing.T, open func(t *testing.T) orders.Store) {
	runAll(t, open, []subtest[orders.Store]{
		{"Insert gives rising ids and Order returns what was stored", testInsert},
		{"Insert with a known key is a conflict and stores nothing", testInsertKnownKey},
		{"Insert with one key from many sides stores one order", testInsertSameKeyAtOnce},
		{"an order of 1000 lines keeps their order", testManyLines},
		{"any text is kept as it is", testOrderTexts},
		{"the largest amounts are kept exactly", testLargestAmounts},
		{"an unknown order is not found", testUnknownOrder},
		{"an unknown key is nil", testUnknownKey},
		{"List returns pages in both orders", testListOrders},
		{"List returns pages of a status", testListStatus},
		{"Begin makes the next version", testBegin},
		{"Begin is conditional", testBeginConflicts},
		{"Begin at once from many sides succeeds once", testBeginAtOnce},
		{"Settle confirms a creation and stores its event", testSettleCreate},
		{"Settle rejects a creation and stores the refusal with the key", testSettleReject},
		{"Settle replaces prices and quantities", testSettleUpdate},
		{"Settle without lines leaves them", testSettleLeavesLines},
		{"Settle deletes an order, not its key", testSettleDelete},
		{"Settle is conditional and says when others were faster", testSettleOnce},
		{"Settle at once from many sides stores one event", testSettleAtOnce},
		{"ids are not given again after a deletion", testIDsAfterDeletion},
		{"Unsettled returns pages of orders with a change", testUnsettled},
		{"Relay passes events in their order and deletes them", testRelay},
		{"Events keep their origin", testOrigins},
		{"Relay keeps what could not be published", testRelayFailure},
		{"Relay of an empty outbox publishes nothing", testRelayEmpty},
		{"Relay loses no event that is added meanwhile", testRelayMeanwhile},
		{"Relay at once from many sides loses no event", testRelayAtOnce},
		{"Added hints at new events", testAdded},
		{"BadEvents are parked and the others stay", testPark},
		{"BadEvents that are all there is are parked", testParkAll},
		{"BadEvents of events that were not passed park nothing", testParkUnknown},
		{"Parked returns pages of parked events", testParkedPages},
		{"Unpark puts events at the end of the outbox", testUnpark},
		{"Unpark at once from many sides puts each event back once", testUnparkAtOnce},
		{"OutboxStatistics says how full the outbox is", testOutboxStatistics},
		{"SweepKeys forgets what is older", testSweepKeys},
		{"SweepKeys forgets thousands", testSweepManyKeys},
	})
}

var keyBody = bytes.Repeat([]byte{0, 0xff}, 16)

func newOrder(lines ...hangar.OrderDetail) hangar.Order {
	return hangar.Order{
		Details:   lines,
		Status:    hangar.Pending,
		Version:   1,
		Hold:      uuid.NewString(), // no two orders have the same
		CreatedAt: noon,
	}
}

func insert(t *testing.T, s orders.Store, o hangar.Order, key *orders.Key) orders.Stored {
	t.Helper()
	stored, err := s.Insert(t.Context(), o, key)
	wantNil(t, "Insert", err)
	return stored
}

// insertConfirmed inserts an order and settles it without an event.
func insertConfirmed(t *testing.T, s orders.Store, lines ...hangar.OrderDetail) orders.Stored {
	t.Helper()
	stored := insert(t, s, newOrder(lines...), nil)
	settle(t, s, stored.ID, 1, orders.Settlement{Status: hangar.Confirmed})
	return getStored(t, s, stored.ID)
}

func settle(t *testing.T, s orders.Store, id, version int64, c orders.Settlement) {
	t.Helper()
	settled, err := s.Settle(t.Context(), id, version, c)
	if err != nil || !settled {
		t.Fatalf("Settle(%d, version %d) = %v, %v, want true", id, version, settled, err)
	}
}

func begin(t *testing.T, s orders.Store, id, version int64, c orders.Change) {
	t.Helper()
	wantNil(t, fmt.Sprintf("Begin(%d, version %d)", id, version), s.Begin(t.Context(), id, version, c))
}

func getStored(t *testing.T, s orders.Store, id int64) orders.Stored {
	t.Helper()
	stored, err := s.Order(t.Context(), id)
	wantNil(t, fmt.Sprintf("Order(%d)", id), err)
	return stored
}

// listed returns the ids of a page.
func listed(t *testing.T, s orders.Store, q hangar.OrderQuery) []int64 {
	t.Helper()
	list, err := s.List(t.Context(), q)
	wantNil(t, fmt.Sprintf("List(%+v)", q), err)
	ids := []int64{}
	for _, o := range list {
		ids = append(ids, o.ID)
	}
	return ids
}

func testInsert(t *testing.T, s orders.Store) {
	lastOrder, lastLine := int64(0), int64(0)
	for range 3 {
		want := newOrder(line("b", 2), line("a", 1), line("b", 3))
		given := want
		given.Details = slices.Clone(want.Details)
		stored := insert(t, s, given, nil)
		wantEqual(t, "the order that was passed to Insert, afterwards", given, want)
		if stored.ID <= lastOrder {
			t.Errorf("id of an order after %d: %d, want a higher one", lastOrder, stored.ID)
		}
		lastOrder = stored.ID
		if len(stored.Details) != 3 {
			t.Fatalf("lines of an order of 3: %+v", stored.Details)
		}
		want.ID = stored.ID
		for i := range want.Details {
			if id := stored.Details[i].ID; id <= lastLine {
				t.Errorf("id of a line after %d: %d, want a higher one", lastLine, id)
			}
			lastLine = stored.Details[i].ID
			want.Details[i].ID = lastLine
		}
		wantEqual(t, "the order that Insert returned", stored.Order, want)
		wantEqual(t, "the change of a new order", stored.Change, &orders.Change{Kind: orders.Create})
		got := getStored(t, s, stored.ID)
		if !got.ChangedAt.Equal(stored.ChangedAt) {
			t.Errorf("ChangedAt of order %d: %v, want %v as Insert returned", got.ID, got.ChangedAt, stored.ChangedAt)
		}
		wantEqual(t, "the order that Order returned", got, stored)
		if zone, _ := got.CreatedAt.Zone(); zone != "UTC" {
			t.Errorf("CreatedAt is in the zone %s, want UTC", zone)
		}
	}
}

func testInsertKnownKey(t *testing.T, s orders.Store) {
	first := insert(t, s, newOrder(line("a", 1)), &orders.Key{Key: "k", BodyHash: keyBody})
	want := &orders.Key{Key: "k", BodyHash: keyBody, OrderID: first.ID}
	for _, key := range []*orders.Key{{Key: "k", BodyHash: keyBody}, {Key: "k", BodyHash: []byte("other")}} {
		_, err := s.Insert(t.Context(), newOrder(line("b", 1)), key)
		wantCode(t, "Insert with a known key", err, hangar.Conflict)
	}
	got, err := s.Key(t.Context(), "k")
	wantNil(t, "Key", err)
	wantEqual(t, "the key after others tried to use it", got, want)
	wantEqual(t, "orders after the conflicts", listed(t, s, hangar.OrderQuery{Limit: 10}), []int64{first.ID})
	insert(t, s, newOrder(line("b", 1)), &orders.Key{Key: "K", BodyHash: keyBody})
	insert(t, s, newOrder(line("b", 1)), nil)
	insert(t, s, newOrder(line("b", 1)), nil)
}

func testInsertSameKeyAtOnce(t *testing.T, s orders.Store) {
	var wg sync.WaitGroup
	errs := make([]error, 50)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = s.Insert(t.Context(), newOrder(line("a", 1)), &orders.Key{Key: "k", BodyHash: keyBody})
		})
	}
	wg.Wait()
	inserted := 0
	for _, err := range errs {
		if err == nil {
			inserted++
			continue
		}
		wantCode(t, "Insert with a key that others use", err, hangar.Conflict)
	}
	if ids := listed(t, s, hangar.OrderQuery{Limit: 100}); inserted != 1 || len(ids) != 1 {
		t.Errorf("50 inserts with one key: %d succeeded and %d orders are stored, want 1 and 1", inserted, len(ids))
	}
}

func testManyLines(t *testing.T, s orders.Store) {
	lines := make([]hangar.OrderDetail, hangar.MaxOrderLines)
	for i := range lines {
		lines[i] = line(fmt.Sprint("p", (i*7)%1000), int64(i+1))
	}
	stored := insert(t, s, newOrder(lines...), nil)
	got := getStored(t, s, stored.ID)
	if len(got.Details) != len(lines) {
		t.Fatalf("an order of %d lines came back with %d", len(lines), len(got.Details))
	}
	for i, d := range got.Details {
		lines[i].ID = d.ID
	}
	wantEqual(t, "the lines", got.Details, lines)
	insert(t, s, newOrder(line("a", 1)), nil)
	list, err := s.List(t.Context(), hangar.OrderQuery{Limit: 1})
	wantNil(t, "List", err)
	if len(list) != 1 || len(list[0].Details) != len(lines) {
		t.Errorf("List with the limit 1 returned %d orders, want 1 with all its lines", len(list))
	}
}

func testOrderTexts(t *testing.T, s orders.Store) {
	for _, id := range []string{"ü/é ☃", "🚀", "a'b\"c\\d", "%_", "e\u0301", "123", " ", "'; DROP TABLE orders; --"} {
		stored := insert(t, s, newOrder(line(id, 1)), &orders.Key{Key: "key " + id, BodyHash: keyBody})
		if got := getStored(t, s, stored.ID).Details[0].ProductID; got != id {
			t.Errorf("product id %q came back as %q", id, got)
		}
		key, err := s.Key(t.Context(), "key "+id)
		if err != nil || key == nil || key.OrderID != stored.ID {
			t.Errorf("Key(%q) = %+v, %v, want order %d", "key "+id, key, err, stored.ID)
		}
	}
}

func testLargestAmounts(t *testing.T, s orders.Store) {
	want := hangar.OrderDetail{ProductID: "a", Price: hangar.MaxPrice, Quantity: hangar.MaxQuantity}
	free := hangar.OrderDetail{ProductID: "a", Price: 0, Quantity: 1}
	stored := insert(t, s, newOrder(want, free), nil)
	got := getStored(t, s, stored.ID)
	want.ID, free.ID = stored.Details[0].ID, stored.Details[1].ID
	wantEqual(t, "the lines", got.Details, []hangar.OrderDetail{want, free})
}

func testUnknownOrder(t *testing.T, s orders.Store) {
	known := insert(t, s, newOrder(line("a", 1)), nil)
	for _, id := range []int64{known.ID + 1, 0, -1, 1<<63 - 1} {
		_, err := s.Order(t.Context(), id)
		wantCode(t, fmt.Sprintf("Order(%d)", id), err, hangar.OrderNotFound)
		if want := fmt.Sprintf("Order with id %d not found", id); err.Error() != want {
			t.Errorf("Order(%d): %q, want %q", id, err, want)
		}
	}
}

func testUnknownKey(t *testing.T, s orders.Store) {
	insert(t, s, newOrder(line("a", 1)), &orders.Key{Key: "k", BodyHash: keyBody})
	for _, key := range []string{"", "K", "k ", "unknown"} {
		if got, err := s.Key(t.Context(), key); got != nil || err != nil {
			t.Errorf("Key(%q) = %+v, %v, want nil", key, got, err)
		}
	}
}

func testListOrders(t *testing.T, s orders.Store) {
	for _, newest := range []bool{false, true} {
		q := hangar.OrderQuery{Limit: 10, NewestFirst: newest}
		wantEqual(t, fmt.Sprintf("List(%+v) of nothing", q), listed(t, s, q), []int64{})
	}
	var id [6]int64
	for i := range id {
		id[i] = insertConfirmed(t, s, line("b", 1), line("a", 2)).ID
	}
	for _, test := range []struct {
		q    hangar.OrderQuery
		want []int64
	}{
		{hangar.OrderQuery{Limit: 10}, id[:]},
		{hangar.OrderQuery{Limit: 2}, id[:2]},
		{hangar.OrderQuery{Limit: 2, After: id[1]}, id[2:4]},
		{hangar.OrderQuery{Limit: 2, After: id[4]}, id[5:]},
		{hangar.OrderQuery{Limit: 2, After: id[5]}, []int64{}},
		{hangar.OrderQuery{Limit: 2, NewestFirst: true}, []int64{id[5], id[4]}},
		{hangar.OrderQuery{Limit: 3, After: id[4], NewestFirst: true}, []int64{id[3], id[2], id[1]}},
		{hangar.OrderQuery{Limit: 3, After: id[1], NewestFirst: true}, []int64{id[0]}},
		{hangar.OrderQuery{Limit: 3, After: id[0], NewestFirst: true}, []int64{}},
	} {
		wantEqual(t, fmt.Sprintf("ids of List(%+v)", test.q), listed(t, s, test.q), test.want)
	}
	list, err := s.List(t.Context(), hangar.OrderQuery{Limit: 10, NewestFirst: true})
	wantNil(t, "List", err)
	for _, o := range list {
		wantEqual(t, fmt.Sprintf("order %d in the list", o.ID), o, getStored(t, s, o.ID).Order)
	}
}

func testListStatus(t *testing.T, s orders.Store) {
	statuses := []hangar.OrderStatus{hangar.Pending, hangar.Confirmed, hangar.Rejected, hangar.Cancelled}
	of := map[hangar.OrderStatus][]int64{}
	var all []int64
	for _, i := range []int{1, 1, 0, 3, 1, 2, 1, 3, 3, 1, 0, 1} {
		status := statuses[i]
		stored := insert(t, s, newOrder(line("b", 1), line("a", 2)), nil)
		if status != hangar.Pending {
			settle(t, s, stored.ID, 1, orders.Settlement{Status: status})
		}
		of[status] = append(of[status], stored.ID)
		all = append(all, stored.ID)
	}
	for _, status := range statuses {
		for _, newest := range []bool{false, true} {
			for _, after := range append([]int64{0}, all...) {
				want := []int64{}
				for _, id := range of[status] {
					if after == 0 || id != after && id > after != newest {
						want = append(want, id)
					}
				}
				if newest {
					slices.Reverse(want)
				}
				for _, limit := range []int{1, 2, 100} {
					q := hangar.OrderQuery{Status: status, After: after, Limit: limit, NewestFirst: newest}
					wantEqual(t, fmt.Sprintf("ids of List(%+v)", q), listed(t, s, q), want[:min(limit, len(want))])
				}
			}
		}
	}
	list, err := s.List(t.Context(), hangar.OrderQuery{Status: hangar.Confirmed, Limit: 1})
	wantNil(t, "List", err)
	wantEqual(t, "an order in the list", list, []hangar.Order{getStored(t, s, of[hangar.Confirmed][0]).Order})
}

func testSweepKeys(t *testing.T, s orders.Store) {
	var ids []int64
	for i, key := range []string{"old", "limit", "new"} {
		o := newOrder(line("a", 1))
		o.CreatedAt = noon.Add(time.Duration(i-1) * time.Second)
		ids = append(ids, insert(t, s, o, &orders.Key{Key: key, BodyHash: keyBody}).ID)
	}
	wantNil(t, "SweepKeys", s.SweepKeys(t.Context(), noon))
	for key, want := range map[string]bool{"old": false, "limit": true, "new": true} {
		got, err := s.Key(t.Context(), key)
		wantNil(t, "Key", err)
		if (got != nil) != want {
			t.Errorf("key %s after sweeping up to its neighbour: %+v, want it kept: %v", key, got, want)
		}
	}
	wantEqual(t, "orders after keys were swept", listed(t, s, hangar.OrderQuery{Limit: 10}), ids)
	insert(t, s, newOrder(line("a", 1)), &orders.Key{Key: "old", BodyHash: []byte("other")})
	wantNil(t, "SweepKeys of nothing", s.SweepKeys(t.Context(), noon.Add(-time.Hour)))
}

func testSweepManyKeys(t *testing.T, s orders.Store) {
	const keys = 2050
	var wg sync.WaitGroup
	for from := range 50 {
		wg.Go(func() {
			for n := from; n < keys; n += 50 {
				_, err := s.Insert(t.Context(), newOrder(line("a", 1)), &orders.Key{Key: fmt.Sprint("k", n), BodyHash: keyBody})
				if err != nil {
					t.Errorf("Insert: %v, want no error", err)
				}
			}
		})
	}
	wg.Wait()
	wantNil(t, "SweepKeys", s.SweepKeys(t.Context(), noon.Add(time.Second)))
	for n := range keys {
		if got, err := s.Key(t.Context(), fmt.Sprint("k", n)); got != nil || err != nil {
			t.Fatalf("key %d of %d after all were swept: %+v, %v, want none", n, keys, got, err)
		}
	}
}
