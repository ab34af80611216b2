package redis_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hangar"
	"hangar/redis"
)

func TestListSeesWhatPythonDoes(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	for i := range 50 { // each at once, and also right after the last
		db.create(t, product(fmt.Sprintf("p%02d", i), 1))
		list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 100})
		wantNil(t, "List", err)
		if len(list) != i+1 {
			t.Fatalf("%d products are listed after Python created product %d, want %d", len(list), i, i+1)
		}
	}
	// The number of keys stays the same.
	for i := range 49 {
		db.do(t, "DEL", fmt.Sprintf("products:p%02d", i))
		db.create(t, product(fmt.Sprintf("q%02d", i), 1))
		list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 100})
		wantNil(t, "List", err)
		if len(list) != 50 || list[len(list)-1].ID != fmt.Sprintf("q%02d", i) {
			t.Fatalf("%d products are listed, the last is %+v, want 50 and q%02d: one was deleted and one created",
				len(list), list[len(list)-1], i)
		}
	}
	for i := range 49 {
		db.do(t, "DEL", fmt.Sprintf("products:q%02d", i))
	}
	wantIDs(t, "after Python deleted all but one", s, "p49")
	db.do(t, "FLUSHDB")
	wantIDs(t, "of an empty database", s)
}

// What changed while no store was open shows, also if the number of keys is the
// same.
func TestOpenLooksForChanges(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	wantNil(t, "Put", s.Put(t.Context(), product("y", 1)))
	wantNil(t, "Put", s.Put(t.Context(), product("z", 1)))
	wantIDs(t, "at first", s, "y", "z")
	wantNil(t, "Close", s.Close())
	db.do(t, "DEL", "products:z")
	db.create(t, product("a", 1))
	s = db.open(t)
	list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 1}) // a page that does not come to z
	wantNil(t, "List", err)
	if len(list) != 1 || list[0].ID != "a" {
		t.Errorf("List = %+v, want the product that was created meanwhile", list)
	}
}

// Products that are gone do not wait in the index until somebody lists them.
func TestDeletedProductsLeaveTheIndex(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		wantNil(t, "Put", s.Put(t.Context(), product(id, 1)))
	}
	wantIDs(t, "at first", s, "a", "b", "c", "d")
	db.do(t, "DEL", "products:b", "products:d")
	if _, err := s.List(t.Context(), hangar.ProductQuery{Limit: 1}); err != nil {
		t.Fatalf("List: %v", err)
	}
	if n := db.number(t, "ZCARD", "hangar:index"); n != 2 {
		t.Errorf("the index has %d products after a page of those before the two that were deleted, want 2", n)
	}
}

func TestIndexIsRebuilt(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	var want []string
	for i := range 2500 { // several parts of a pass
		id := fmt.Sprintf("p%04d", i)
		want = append(want, id)
		db.create(t, product(id, 1))
	}
	db.do(t, "SET", "somebody's", "x")
	db.do(t, "SET", "products", "x")
	s := db.open(t)
	wantAll := func(what string) {
		t.Helper()
		got, after := []string{}, ""
		for {
			list, err := s.List(t.Context(), hangar.ProductQuery{After: after, Limit: 1000})
			wantNil(t, what+": List", err)
			if len(list) == 0 {
				break
			}
			for _, p := range list {
				got = append(got, p.ID)
			}
			after = got[len(got)-1]
		}
		wantEqual(t, "ids of the list "+what, got, want)
	}
	wantAll("at first")
	for _, keys := range [][]string{{"hangar:index"}, {"hangar:index:note"}, {"hangar:index", "hangar:index:note"}} {
		db.do(t, "DEL", keys...)
		wantAll("after " + strings.Join(keys, " and ") + " were lost")
	}
	db.do(t, "ZADD", "hangar:index", "0", "gone", "0", "p0000x")
	db.do(t, "ZREM", "hangar:index", "p0007", "p2000")
	wantAll("after the index was spoilt")
	db.do(t, "FLUSHDB")
	wantIDs(t, "of an empty database", s)
}

// A product that cannot be asked for has no place in a list.
func TestProductWithoutID(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	db.create(t, product("", 1))
	db.create(t, product("a", 1))
	wantIDs(t, "beside a product without an id", s, "a")
	db.create(t, product("b", 1))
	wantIDs(t, "beside a product without an id", s, "a", "b")
	db.do(t, "DEL", "products:")
	wantIDs(t, "after it was deleted", s, "a", "b")
}

// What Python creates behind the back of a pass is found by the next.
func TestCreatedDuringPasses(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for i := range 3000 {
		db.create(t, product("old"+strconv.Itoa(i), 1))
	}
	s := db.open(t)
	created := 0
	for i := range 30 {
		var listing sync.WaitGroup
		stop := make(chan struct{})
		listing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := s.List(t.Context(), hangar.ProductQuery{After: "z", Limit: 1000}); err != nil {
					t.Errorf("List: %v, want no error", err)
				}
			}
		})
		for n := range 20 {
			db.create(t, product(fmt.Sprintf("z%03d-%02d", i, n), 1))
			created++
		}
		close(stop)
		listing.Wait()
		until(t, "the list has all that Python created", func() bool {
			list, err := s.List(t.Context(), hangar.ProductQuery{After: "z", Limit: 1000})
			wantNil(t, "List", err)
			return len(list) == created
		})
	}
}

// Writes of all kinds while passes run: none may be lost in the index.
func TestWritesDuringPasses(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	stores := []*redis.ProductStore{db.open(t), db.open(t)}
	for i := range 2000 {
		db.create(t, product("old"+strconv.Itoa(i), 1))
	}
	stop := make(chan struct{})
	var listing, writing sync.WaitGroup
	for _, s := range stores {
		listing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10}); err != nil {
					t.Errorf("List: %v, want no error", err)
				}
			}
		})
	}
	for w := range 6 {
		writing.Go(func() {
			s := stores[w%2]
			for i := range 300 {
				id := fmt.Sprintf("p%d-%d", w, i%20)
				switch {
				case w < 3 && i%3 == 2:
					if err := s.Delete(t.Context(), id); err != nil && !strings.Contains(err.Error(), "does not exist") {
						t.Errorf("Delete: %v", err)
					}
				case w < 3:
					if err := s.Put(t.Context(), product(id, 1)); err != nil {
						t.Errorf("Put: %v", err)
					}
				case i%3 == 2:
					db.do(t, "DEL", "products:"+id)
				default:
					db.create(t, product(id, 1))
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	listing.Wait()
	want := db.keys(t, "products:*")
	for i := range want {
		want[i] = strings.TrimPrefix(want[i], "products:")
	}
	slices.Sort(want)
	for i, s := range stores {
		var got []string
		until(t, fmt.Sprintf("store %d lists all %d products that there are, without losing one", i, len(want)), func() bool {
			got = nil
			for after := ""; ; after = got[len(got)-1] {
				list, err := s.List(t.Context(), hangar.ProductQuery{After: after, Limit: 1000})
				wantNil(t, "List", err)
				if len(list) == 0 {
					break
				}
				for _, p := range list {
					got = append(got, p.ID)
				}
			}
			return slices.Equal(got, want)
		})
	}
}

var scans = regexp.MustCompile(`cmdstat_scan:calls=(\d+)`)

// passes returns how often the database was walked over, if it is small.
func (db *database) passes(t *testing.T) int {
	t.Helper()
	match := scans.FindStringSubmatch(db.text(t, "INFO", "commandstats"))
	if match == nil {
		return 0
	}
	n, err := strconv.Atoi(match[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPassesAreFew(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	wantNil(t, "Put", s.Put(t.Context(), product("a", 1)))
	for i := range 100 {
		db.do(t, "HINCRBY", "products:ghost"+strconv.Itoa(i), "in_stock", "-1")
	}
	db.do(t, "SET", "somebody's", "x")
	wantIDs(t, "at first", s, "a")
	before, began := db.passes(t), time.Now()
	for i := range 100 {
		id := strconv.Itoa(i)
		wantNil(t, "Put", s.Put(t.Context(), product(id, 1)))
		wantNil(t, "Put of a ghost", s.Put(t.Context(), product("ghost"+id, 1)))
		wantNil(t, "Hold", s.Hold(t.Context(), hold(id, 1, map[string]int64{id: 1})))
		if _, err := s.List(t.Context(), hangar.ProductQuery{After: "~", Limit: 10}); err != nil { // meets none that a Delete left
			t.Fatalf("List: %v", err)
		}
		wantNil(t, "Delete", s.Delete(t.Context(), id))
		wantNil(t, "Delete of a ghost", s.Delete(t.Context(), "ghost"+id))
	}
	minutes := int(time.Since(began).Minutes()) // after each the index is looked at anyway
	if n := db.passes(t) - before; n > minutes {
		t.Errorf("%d passes in %d minutes while nobody else wrote, want one a minute at most", n, minutes)
	}
	// Keys of other programs that change all the time.
	for i := range 500 {
		db.do(t, "SET", "session"+strconv.Itoa(i), "x")
		if _, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10}); err != nil {
			t.Fatalf("List: %v", err)
		}
	}
	if n := db.passes(t) - before; n > 250 {
		t.Errorf("%d passes for 500 lists while somebody else's keys changed, want far fewer", n)
	}
	db.create(t, product("python's", 1))
	until(t, "the list has Python's product, beside keys of other programs", func() bool {
		list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10})
		wantNil(t, "List", err)
		return slices.ContainsFunc(list, func(p hangar.Product) bool { return p.ID == "python's" })
	})
}
