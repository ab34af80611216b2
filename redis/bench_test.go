package redis_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"hangar"
)

// BenchmarkProduct reads products with 64 callers, beside what the client can do
// without a store.
func BenchmarkProduct(b *testing.B) {
	db := newDatabase(b)
	s := db.open(b)
	for i := range 1000 {
		wantNil(b, "Put", s.Put(b.Context(), product("p"+strconv.Itoa(i), 10)))
	}
	b.Run("client alone", func(b *testing.B) {
		callers(b, func(n int) error {
			_, err := db.client.Do(b.Context(), db.client.B().Hgetall().Key("products:p"+strconv.Itoa(n%1000)).Build()).AsStrMap()
			return err
		})
	})
	b.Run("store", func(b *testing.B) {
		callers(b, func(n int) error {
			_, err := s.Product(b.Context(), "p"+strconv.Itoa(n%1000))
			return err
		})
	})
}

// BenchmarkHold holds one product for one order with 64 callers, beside one
// HINCRBY.
func BenchmarkHold(b *testing.B) {
	db := newDatabase(b)
	s := db.open(b)
	for i := range 1000 {
		wantNil(b, "Put", s.Put(b.Context(), product("p"+strconv.Itoa(i), hangar.MaxInteger)))
	}
	b.Run("client alone", func(b *testing.B) {
		callers(b, func(n int) error {
			return db.client.Do(b.Context(), db.client.B().Hincrby().Key("products:p"+strconv.Itoa(n%1000)).Field("in_stock").Increment(-1).Build()).Error()
		})
	})
	began := strconv.FormatInt(time.Now().UnixNano(), 36)
	b.Run("store", func(b *testing.B) {
		callers(b, func(n int) error {
			return s.Hold(b.Context(), hold(fmt.Sprintf("%s-%036d-%d", began, n, b.N), 1, map[string]int64{"p" + strconv.Itoa(n%1000): 1}))
		})
	})
	holds := db.number(b, "HLEN", "hangar:holds")
	b.Logf("%d bytes for each of %d holds", db.number(b, "MEMORY", "USAGE", "hangar:holds", "SAMPLES", "1000")/max(1, holds), holds)
}

// BenchmarkList lists a page of 100 of 200,000 products.
func BenchmarkList(b *testing.B) {
	db := newDatabase(b)
	s := db.open(b)
	var commands rueidis.Commands
	for i := range 200_000 {
		id := fmt.Sprintf("p%06d", i)
		commands = append(commands, db.client.B().Hmset().Key("products:"+id).FieldValue().FieldValueIter(func(yield func(string, string) bool) {
			for field, value := range fieldsOf(product(id, 10)) {
				if !yield(field, value) {
					return
				}
			}
		}).Build())
	}
	for _, r := range db.client.DoMulti(b.Context(), commands...) {
		wantNil(b, "HMSET", r.Error())
	}
	began := time.Now()
	if _, err := s.List(b.Context(), hangar.ProductQuery{Limit: 100}); err != nil {
		b.Fatal(err)
	}
	b.Logf("the index of 200,000 products took %v", time.Since(began))
	db.do(b, "DEL", "hangar:index:note")
	began = time.Now()
	if _, err := s.List(b.Context(), hangar.ProductQuery{Limit: 100}); err != nil {
		b.Fatal(err)
	}
	b.Logf("another pass took %v", time.Since(began))
	b.Run("page of 100", func(b *testing.B) {
		callers(b, func(n int) error {
			list, err := s.List(b.Context(), hangar.ProductQuery{After: fmt.Sprintf("p%06d", n*7919%190_000), Limit: 100})
			if err == nil && len(list) != 100 {
				err = fmt.Errorf("%d products, want 100", len(list))
			}
			return err
		})
	})
}

// callers has 64 of them make b.N calls.
func callers(b *testing.B, call func(n int) error) {
	b.Helper()
	b.ReportAllocs()
	b.SetParallelism(32) // for each of 2 processors
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := call(int(next.Add(1))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
