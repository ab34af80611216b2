package hangartest

import (
	"fmt"
	"sync"
	"testing"

	"hangar"
	"hangar/orders"
)

func testBegin(t *testing.T, s orders.Store) {
	stored := insertConfirmed(t, s, line("a", 1), line("b", 2))
	details := []hangar.OrderDetail{stored.Details[0], stored.Details[1]}
	details[0].Price, details[1].Quantity = hangar.MaxPrice, 7
	change := orders.Change{Kind: orders.Update, Details: details, HoldIsOld: true}
	begin(t, s, stored.ID, 1, change)
	got := getStored(t, s, stored.ID)
	if got.ChangedAt.Before(stored.ChangedAt) {
		t.Errorf("ChangedAt after Begin: %v, want %v or later", got.ChangedAt, stored.ChangedAt)
	}
	want := stored
	want.Version, want.Change, want.ChangedAt = 2, &change, got.ChangedAt
	wantEqual(t, "the order after Begin", got, want)
}

func testBeginConflicts(t *testing.T, s orders.Store) {
	pending := insert(t, s, newOrder(line("a", 1)), nil)
	confirmed := insertConfirmed(t, s, line("a", 1))
	for _, test := range []struct {
		name        string
		id, version int64
	}{
		{"an order with a change under way", pending.ID, 1},
		{"a version that is past", confirmed.ID, 0},
		{"a version that is not there yet", confirmed.ID, 2},
		{"an order that is not there", confirmed.ID + 1, 1},
	} {
		err := s.Begin(t.Context(), test.id, test.version, orders.Change{Kind: orders.Cancel})
		wantCode(t, "Begin of "+test.name, err, hangar.Conflict)
	}
	wantEqual(t, "the pending order", getStored(t, s, pending.ID), pending)
	wantEqual(t, "the confirmed order", getStored(t, s, confirmed.ID), confirmed)
}

func testBeginAtOnce(t *testing.T, s orders.Store) {
	stored := insertConfirmed(t, s, line("a", 1))
	errs := make([]error, 20)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = s.Begin(t.Context(), stored.ID, 1, orders.Change{Kind: orders.Cancel}) })
	}
	wg.Wait()
	begun := 0
	for _, err := range errs {
		if err == nil {
			begun++
			continue
		}
		wantCode(t, "Begin that came too late", err, hangar.Conflict)
	}
	if got := getStored(t, s, stored.ID); begun != 1 || got.Version != 2 {
		t.Errorf("20 Begins: %d succeeded and the version is %d, want 1 and 2", begun, got.Version)
	}
}

func testSettleCreate(t *testing.T, s orders.Store) {
	stored := insert(t, s, newOrder(line("a", 1)), nil)
	event := &orders.Event{Type: "some_type", Payload: []byte(`{"order":{"id":1}}`)}
	settle(t, s, stored.ID, 1, orders.Settlement{Status: hangar.Confirmed, Event: event})
	got := getStored(t, s, stored.ID)
	want := stored
	want.Status, want.Change, want.ChangedAt = hangar.Confirmed, nil, got.ChangedAt
	wantEqual(t, "the order after it was confirmed", got, want)
	events := relayed(t, s, 10)
	if len(events) != 1 {
		t.Fatalf("events in the outbox: %+v, want one", events)
	}
	wantEqual(t, "the event", orders.Event{Type: events[0].Type, Payload: events[0].Payload}, *event)
}

func testSettleReject(t *testing.T, s orders.Store) {
	refusals := map[string]*hangar.Error{
		"k1": hangar.NewOutOfStock(map[string]hangar.Shortage{"ü☃": {Requested: 1 << 40, InStock: hangar.MaxInteger}}),
		"k2": hangar.NewHeldProductNotFound("missing"),
	}
	other := insert(t, s, newOrder(line("a", 1)), &orders.Key{Key: "other", BodyHash: keyBody})
	for name, refusal := range refusals {
		stored := insert(t, s, newOrder(line("a", 1)), &orders.Key{Key: name, BodyHash: keyBody})
		settle(t, s, stored.ID, 1, orders.Settlement{Status: hangar.Rejected, Refusal: refusal})
		if got := getStored(t, s, stored.ID); got.Status != hangar.Rejected || got.Change != nil {
			t.Errorf("the order after it was rejected: %+v, want rejected, with no change under way", got)
		}
		key, err := s.Key(t.Context(), name)
		wantNil(t, "Key", err)
		if key == nil || key.Refusal == nil {
			t.Fatalf("key %s of a rejected order: %+v, want the refusal", name, key)
		}
		wantEqual(t, "the refusal", asSeen(t, key.Refusal), asSeen(t, refusal))
	}
	key, err := s.Key(t.Context(), "other")
	wantNil(t, "Key", err)
	wantEqual(t, "another order's key", key, &orders.Key{Key: "other", BodyHash: keyBody, OrderID: other.ID})
	unkeyed := insert(t, s, newOrder(line("a", 1)), nil)
	settle(t, s, unkeyed.ID, 1, orders.Settlement{Status: hangar.Rejected, Refusal: refusals["k1"]})
}

func testSettleUpdate(t *testing.T, s orders.Store) {
	other := insertConfirmed(t, s, line("a", 1), line("b", 1))
	stored := insertConfirmed(t, s, line("a", 1), line("b", 2), line("a", 3))
	details := append([]hangar.OrderDetail(nil), stored.Details...)
	details[0].Price, details[2].Quantity = 1, 9
	begin(t, s, stored.ID, 1, orders.Change{Kind: orders.Update, Details: details})
	wantEqual(t, "lines before the update is settled", getStored(t, s, stored.ID).Details, stored.Details)
	settle(t, s, stored.ID, 2, orders.Settlement{Status: hangar.Confirmed, Details: details})
	got := getStored(t, s, stored.ID)
	want := stored
	want.Version, want.Details, want.ChangedAt = 2, details, got.ChangedAt
	wantEqual(t, "the order after its update", got, want)
	wantEqual(t, "another order", getStored(t, s, other.ID), other)
}

func testSettleLeavesLines(t *testing.T, s orders.Store) {
	stored := insertConfirmed(t, s, line("a", 1), line("b", 2))
	begin(t, s, stored.ID, 1, orders.Change{Kind: orders.Cancel})
	settle(t, s, stored.ID, 2, orders.Settlement{Status: hangar.Cancelled})
	got := getStored(t, s, stored.ID)
	want := stored
	want.Version, want.Status, want.ChangedAt = 2, hangar.Cancelled, got.ChangedAt
	wantEqual(t, "the order after it was cancelled", got, want)
	if events := relayed(t, s, 10); len(events) != 0 {
		t.Errorf("events of settlements without one: %+v, want none", events)
	}
}

func testSettleDelete(t *testing.T, s orders.Store) {
	key := &orders.Key{Key: "k", BodyHash: keyBody}
	stored := insert(t, s, newOrder(line("a", 1), line("b", 2)), key)
	settle(t, s, stored.ID, 1, orders.Settlement{Status: hangar.Confirmed})
	other := insertConfirmed(t, s, line("a", 1))
	begin(t, s, stored.ID, 1, orders.Change{Kind: orders.Delete})
	settle(t, s, stored.ID, 2, orders.Settlement{Delete: true})
	_, err := s.Order(t.Context(), stored.ID)
	wantCode(t, "Order of a deleted one", err, hangar.OrderNotFound)
	wantEqual(t, "orders after a deletion", listed(t, s, hangar.OrderQuery{Limit: 10}), []int64{other.ID})
	wantEqual(t, "another order", getStored(t, s, other.ID), other)
	got, err := s.Key(t.Context(), "k")
	wantNil(t, "Key", err)
	wantEqual(t, "the key of a deleted order", got, &orders.Key{Key: "k", BodyHash: keyBody, OrderID: stored.ID})
	_, err = s.Insert(t.Context(), newOrder(line("a", 1)), key)
	wantCode(t, "Insert with the key of a deleted order", err, hangar.Conflict)
}

func testSettleOnce(t *testing.T, s orders.Store) {
	stored := insertConfirmed(t, s, line("a", 1))
	begin(t, s, stored.ID, 1, orders.Change{Kind: orders.Cancel})
	begun := getStored(t, s, stored.ID)
	event := &orders.Event{Type: hangar.OrderCreatedEvent, Payload: []byte("{}")}
	details := []hangar.OrderDetail{{ID: stored.Details[0].ID, ProductID: "a", Price: 1, Quantity: 99}}
	for _, test := range []struct {
		name        string
		id, version int64
		settlement  orders.Settlement
	}{
		{"a version that is past", stored.ID, 1, orders.Settlement{Status: hangar.Rejected, Event: event, Details: details}},
		{"a version that is past, with a deletion", stored.ID, 1, orders.Settlement{Delete: true}},
		{"a version that is not there yet", stored.ID, 3, orders.Settlement{Status: hangar.Rejected, Event: event}},
		{"an order that is not there", stored.ID + 1, 2, orders.Settlement{Status: hangar.Rejected, Event: event}},
	} {
		settled, err := s.Settle(t.Context(), test.id, test.version, test.settlement)
		if settled || err != nil {
			t.Errorf("Settle of %s = %v, %v, want false", test.name, settled, err)
		}
	}
	wantEqual(t, "the order after settlements that came too late", getStored(t, s, stored.ID), begun)
	settle(t, s, stored.ID, 2, orders.Settlement{Status: hangar.Cancelled})
	settled, err := s.Settle(t.Context(), stored.ID, 2, orders.Settlement{Status: hangar.Confirmed, Event: event, Details: details})
	if settled || err != nil {
		t.Errorf("Settle of what is settled = %v, %v, want false", settled, err)
	}
	got := getStored(t, s, stored.ID)
	if got.Status != hangar.Cancelled || got.Details[0] != stored.Details[0] {
		t.Errorf("the order after it was settled twice: %+v, want what the first said", got)
	}
	if events := relayed(t, s, 10); len(events) != 0 {
		t.Errorf("events of settlements that came too late: %+v, want none", events)
	}
}

func testSettleAtOnce(t *testing.T, s orders.Store) {
	stored := insert(t, s, newOrder(line("a", 1)), nil)
	event := &orders.Event{Type: hangar.OrderCreatedEvent, Payload: []byte("{}")}
	settled, errs := make([]bool, 20), make([]error, 20)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			settled[i], errs[i] = s.Settle(t.Context(), stored.ID, 1, orders.Settlement{Status: hangar.Confirmed, Event: event})
		})
	}
	wg.Wait()
	n := 0
	for i := range errs {
		wantNil(t, "Settle", errs[i])
		if settled[i] {
			n++
		}
	}
	if events := relayed(t, s, 10); n != 1 || len(events) != 1 {
		t.Errorf("20 Settles: %d reported true and %d events are stored, want 1 and 1", n, len(events))
	}
}

func testIDsAfterDeletion(t *testing.T, s orders.Store) {
	stored := insertConfirmed(t, s, line("a", 1))
	begin(t, s, stored.ID, 1, orders.Change{Kind: orders.Delete})
	settle(t, s, stored.ID, 2, orders.Settlement{Delete: true})
	next := insert(t, s, newOrder(line("a", 1)), nil)
	if next.ID <= stored.ID || next.Details[0].ID <= stored.Details[0].ID {
		t.Errorf("after order %d with line %d was deleted came order %d with line %d, want higher ids",
			stored.ID, stored.Details[0].ID, next.ID, next.Details[0].ID)
	}
}

func testUnsettled(t *testing.T, s orders.Store) {
	unsettled := func(after int64, limit int) []int64 {
		found, err := s.Unsettled(t.Context(), after, limit)
		wantNil(t, "Unsettled", err)
		ids := []int64{}
		for _, stored := range found {
			ids = append(ids, stored.ID)
			wantEqual(t, fmt.Sprintf("order %d among the unsettled", stored.ID), stored, getStored(t, s, stored.ID))
		}
		return ids
	}
	wantEqual(t, "unsettled of nothing", unsettled(0, 10), []int64{})
	var id [6]int64
	for i := range id {
		id[i] = insertConfirmed(t, s, line("a", 1), line("b", 1)).ID
	}
	wantEqual(t, "unsettled of settled ones", unsettled(0, 10), []int64{})
	begin(t, s, id[1], 1, orders.Change{Kind: orders.Cancel})
	begin(t, s, id[3], 1, orders.Change{Kind: orders.Delete, HoldIsOld: true})
	last := insert(t, s, newOrder(line("b", 1), line("a", 1)), nil).ID
	wantEqual(t, "all unsettled", unsettled(0, 10), []int64{id[1], id[3], last})
	wantEqual(t, "the first unsettled", unsettled(0, 1), []int64{id[1]})
	wantEqual(t, "unsettled after the first", unsettled(id[1], 1), []int64{id[3]})
	wantEqual(t, "unsettled after the last", unsettled(last, 1), []int64{})
	settle(t, s, id[3], 2, orders.Settlement{Delete: true})
	settle(t, s, id[1], 2, orders.Settlement{Status: hangar.Cancelled})
	wantEqual(t, "unsettled after some were settled", unsettled(0, 10), []int64{last})
}
