package redis_test

import (
	"math"
	"strconv"
	"testing"
	"time"

	"hangar"
)

func hold(id string, version int64, quantities map[string]int64) hangar.Hold {
	return hangar.Hold{ID: id, Version: version, Quantities: quantities}
}

// Numbers that a double does not hold exactly.
func TestHoldsOfLargeNumbers(t *testing.T) {
	t.Parallel()
	const most = hangar.MaxInteger
	db := newDatabase(t)
	s := db.open(t)
	for _, test := range []struct {
		stock, hold int64
		held        bool
	}{
		{most, most, true},
		{most, most - 1, true},
		{most - 1, most, false},
		{most + 1, most, true},
		{most + 2, most, true},
		{most + 2, 1, true},
		{-most, 1, false},
		{-1, 1, false},
		{0, 1, false},
		{math.MaxInt64, most, true},
		{math.MaxInt64, 1, true},
		{math.MaxInt64 - 1, 1, true},
		{math.MinInt64, 1, false},
		{math.MinInt64 + 1, most, false},
		{1<<62 + 1, 3, true},
	} {
		t.Run(strconv.FormatInt(test.stock, 10)+" less "+strconv.FormatInt(test.hold, 10), func(t *testing.T) {
			db.flush(t)
			db.create(t, product("a", test.stock))
			err := s.Hold(t.Context(), hold("h", 1, map[string]int64{"a": test.hold}))
			if !test.held {
				want := hangar.NewOutOfStock(map[string]hangar.Shortage{"a": {Requested: test.hold, InStock: test.stock}})
				if err == nil || err.Error() != want.Error() {
					t.Errorf("Hold: %v, want %v", err, want)
				}
				wantStock(t, "a refusal", s, "a", test.stock)
				return
			}
			wantNil(t, "Hold", err)
			wantStock(t, "a hold", s, "a", test.stock-test.hold)
			wantNil(t, "Hold of less", s.Hold(t.Context(), hold("h", 2, map[string]int64{"a": 1})))
			wantStock(t, "a hold of 1", s, "a", test.stock-1)
		})
	}
}

// What would leave 64 bits is left alone, and whatever else is held with it is
// moved all the same.
func TestHoldsAtTheBrink(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	db.create(t, product("a", 10))
	db.create(t, product("b", 10))
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 1, map[string]int64{"a": 2, "b": 2})))
	db.create(t, product("a", math.MaxInt64-1))
	wantNil(t, "Hold of nothing", s.Hold(t.Context(), hold("h", 2, nil)))
	wantStock(t, "giving back beyond 64 bits", s, "a", math.MaxInt64-1)
	wantStock(t, "giving back beside it", s, "b", 10)
	db.create(t, product("a", math.MinInt64+1))
	wantNil(t, "Take", s.Take(t.Context(), hold("i", 1, map[string]int64{"a": 2, "b": 2})))
	wantStock(t, "taking beyond 64 bits", s, "a", math.MinInt64+1)
	wantStock(t, "taking beside it", s, "b", 8)
}

func TestVersionsOfHolds(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	db.create(t, product("a", 100))
	for i, version := range []int64{1, 2, 9, 10, 99, 1 << 53, 1<<53 + 1, math.MaxInt64 - 1, math.MaxInt64} {
		wantNil(t, "Hold", s.Hold(t.Context(), hold("h", version, map[string]int64{"a": int64(i + 1)})))
		wantStock(t, "version "+strconv.FormatInt(version, 10), s, "a", 100-int64(i+1))
		if version > 1 {
			wantCode(t, "the version before", s.Hold(t.Context(), hold("h", version-1, nil)), hangar.Conflict)
		}
	}
}

// Any bytes may be a product's id to the Python services.
func TestHoldsOfAnyID(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	quantities := map[string]int64{}
	for _, id := range []string{"1", "2", "3", " ", "a b", "\n", "\x00", "a\x00b", "\xff\xfe", "☃", "take", "missing"} {
		db.create(t, product(id, 5))
		quantities[id] = 2
	}
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h\x00\n", 1, quantities)))
	quantities["1"] = 3
	delete(quantities, "2")
	wantNil(t, "Hold of the next version", s.Hold(t.Context(), hold("h\x00\n", 2, quantities)))
	for id := range quantities {
		want := int64(3)
		if id == "1" {
			want = 2
		}
		wantStock(t, "two versions", s, id, want)
	}
	wantStock(t, "two versions", s, "2", 5)
}

func TestSweepOfManyHolds(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	wantNil(t, "Put", s.Put(t.Context(), product("a", 10_000)))
	for i := range 3000 {
		wantNil(t, "Hold", s.Hold(t.Context(), hold(strconv.Itoa(i), 1, map[string]int64{"a": 1})))
	}
	wantEqual(t, "keys of 3000 holds", db.keys(t, "*"), []string{"hangar:holds", "hangar:index", "hangar:index:note", "products:a"})
	wantNil(t, "SweepHolds", s.SweepHolds(t.Context(), time.Now().Add(-time.Minute)))
	if n := db.number(t, "HLEN", "hangar:holds"); n != 3000 {
		t.Errorf("%d holds are left after a sweep of older ones, want 3000", n)
	}
	wantNil(t, "SweepHolds", s.SweepHolds(t.Context(), time.Now().Add(time.Minute)))
	wantEqual(t, "keys after a sweep of all", db.keys(t, "*"), []string{"hangar:index", "hangar:index:note", "products:a"})
	wantIDs(t, "after a sweep", s, "a")
}
