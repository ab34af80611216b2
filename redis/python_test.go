package redis_test

import (
	"strings"
	"testing"

	"hangar"
)

// The Python services and the store use one database at the same time.
func TestPythonServices(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	ctx := t.Context()
	db.create(t, product("before", 10))
	s := db.open(t)
	wantIDs(t, "on the Python services' data", s, "before")

	want := product("ours ☃", 7)
	wantNil(t, "Put", s.Put(ctx, want))
	wantEqual(t, "the hash of a Put", db.hash(t, "products:ours ☃"), fieldsOf(want))
	wantNil(t, "Insert", s.Insert(ctx, product("inserted", 1)))
	wantEqual(t, "the hash of an Insert", db.hash(t, "products:inserted"), fieldsOf(product("inserted", 1)))
	db.create(t, product("during", 3))
	wantIDs(t, "after Python created a product", s, "before", "during", "inserted", "ours ☃")

	// Orders of both.
	wantNil(t, "Hold", s.Hold(ctx, hangar.Hold{ID: "h", Version: 1, Quantities: map[string]int64{"before": 4, "ours ☃": 2}}))
	db.do(t, "HINCRBY", "products:before", "in_stock", "-5")
	wantStock(t, "an order of ours and one of Python's", s, "before", 1)
	wantNil(t, "Hold of nothing", s.Hold(ctx, hangar.Hold{ID: "h", Version: 2}))
	wantStock(t, "giving back", s, "before", 5)
	list := map[string]hangar.Product{
		"before": product("before", 5), "ours ☃": product("ours ☃", 7), "during": product("during", 3), "inserted": product("inserted", 1),
	}
	wantEqual(t, "Python's list", db.list(t), list)

	// Fields of somebody else's stay, as they do when Python creates a product.
	db.do(t, "HSET", "products:before", "color", "red")
	wantNil(t, "Put", s.Put(ctx, product("before", 8)))
	if color := db.hash(t, "products:before")["color"]; color != "red" {
		t.Errorf("a field that hangar does not know is %q after a Put, want it as it was, red", color)
	}
	db.create(t, product("before", 9)) // and replaces ours
	wantStock(t, "Python's replacement", s, "before", 9)

	db.do(t, "DEL", "products:during")
	wantIDs(t, "after Python deleted a product", s, "before", "inserted", "ours ☃")
	wantNil(t, "Delete", s.Delete(ctx, "before"))
	wantEqual(t, "Python's keys", db.keys(t, "products:*"), []string{"products:inserted", "products:ours ☃"})
	for _, key := range db.keys(t, "*") {
		if !strings.HasPrefix(key, "products:") && !strings.HasPrefix(key, "hangar:") {
			t.Errorf("there is a key %q, want none but products:… and hangar:…", key)
		}
	}
}

// What is no whole product is passed over, whatever it is, until it is made
// whole.
func TestBrokenProducts(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	broken := map[string][]string{ // by id, the command that makes it and the rest of its arguments
		"ghost":        {"HINCRBY", "in_stock", "-3"},
		"string":       {"SET", "x"},
		"list":         {"RPUSH", "x"},
		"zset":         {"ZADD", "1", "x"},
		"other fields": {"HSET", "id", "other fields", "color", "red"},
		"no title":     {"HSET", "id", "no title", "passenger_capacity", "1", "maximum_speed", "1", "in_stock", "9"},
		"no speed":     {"HSET", "id", "no speed", "title", "t", "passenger_capacity", "1", "in_stock", "9"},
	}
	for _, number := range []string{
		"", "x", "1.0", "1.5", "1e3", "007", "-0", "+5", " 5", "5 ", "0x10", "1_000", "--1", "-",
		"9223372036854775808", "-9223372036854775809", "99999999999999999999", "５", "5\x00",
	} {
		for _, field := range []string{"passenger_capacity", "maximum_speed", "in_stock"} {
			id := field + " " + number
			command := []string{"HSET", "title", "t"}
			for _, f := range []string{"passenger_capacity", "maximum_speed", "in_stock"} {
				value := "9"
				if f == field {
					value = number
				}
				command = append(command, f, value)
			}
			broken[id] = command
		}
	}
	var log logged
	s := openStore(t, db.URL, log.logger())
	wantNil(t, "Put", s.Put(t.Context(), product("good", 5)))
	for id, command := range broken {
		db.do(t, command[0], append([]string{"products:" + id}, command[1:]...)...)
	}
	for range 3 {
		wantIDs(t, "beside broken ones", s, "good")
	}
	version := int64(0)
	for id := range broken {
		was := db.text(t, "DUMP", "products:"+id)
		_, err := s.Product(t.Context(), id)
		wantCode(t, "Product of "+id, err, hangar.ProductNotFound)
		version++
		h := hangar.Hold{ID: "h", Version: version, Quantities: map[string]int64{id: 1, "good": 1}}
		wantCode(t, "Hold of "+id, s.Hold(t.Context(), h), hangar.ProductNotFound)
		version++
		h = hangar.Hold{ID: "h", Version: version, Quantities: map[string]int64{id: 1, "good": 1}}
		wantNil(t, "Take of "+id, s.Take(t.Context(), h))
		wantStock(t, "taking it and "+id, s, "good", 4)
		version++
		wantNil(t, "Hold of nothing", s.Hold(t.Context(), hangar.Hold{ID: "h", Version: version}))
		wantStock(t, "giving it and "+id+" back", s, "good", 5)
		if is := db.text(t, "DUMP", "products:"+id); is != was {
			t.Errorf("a Hold changed %s, which is no product", id)
		}
	}
	found, err := s.Products(t.Context(), []string{"ghost", "good", "string", "missing", "good"})
	wantNil(t, "Products", err)
	wantEqual(t, "Products beside broken ones", found, []hangar.Product{product("good", 5), product("good", 5)})

	for id := range broken {
		if id != "ghost" {
			wantNil(t, "Insert over "+id, s.Insert(t.Context(), product(id, 1)))
			continue
		}
		wantNil(t, "Put over "+id, s.Put(t.Context(), product(id, 1)))
	}
	for id := range broken {
		wantStock(t, "it was made whole", s, id, 1)
		wantCode(t, "Insert of what is whole", s.Insert(t.Context(), product(id, 2)), hangar.ProductExists)
	}
	list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 1000})
	wantNil(t, "List", err)
	if len(list) != len(broken)+1 {
		t.Errorf("%d products are listed after all were made whole, want %d", len(list), len(broken)+1)
	}
	for id := range broken {
		if n := strings.Count(log.String(), "products:"+id+`"`+"\n") + strings.Count(log.String(), "products:"+id+"\n"); n > 1 {
			t.Errorf("%s is reported %d times, want once at most", id, n)
		}
	}
	if n := strings.Count(log.String(), "not whole"); n < len(broken) && n < 100 || n > len(broken)+1 {
		t.Errorf("%d reports of %d broken products:\n%s", n, len(broken), log.String())
	}
	db.do(t, "HINCRBY", "products:new ghost", "in_stock", "1")
	wantNil(t, "Delete of what is not whole", s.Delete(t.Context(), "new ghost"))
	wantEqual(t, "keys of a ghost that was deleted", db.keys(t, "products:new*"), []string{})
}

// Reports are bounded, and pages are full beside any number of broken products.
func TestManyBrokenProducts(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for i := range 300 {
		db.do(t, "HINCRBY", "products:ghost "+string(rune('A'+i)), "in_stock", "-1")
	}
	db.create(t, product("a", 1))
	db.create(t, product("z", 1))
	var log logged
	s := openStore(t, db.URL, log.logger())
	for range 3 {
		list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 2})
		wantNil(t, "List", err)
		wantEqual(t, "the list", list, []hangar.Product{product("a", 1), product("z", 1)})
	}
	if n := strings.Count(log.String(), "not whole"); n != 101 {
		t.Errorf("%d reports of 300 broken products, want 100 and one that there are more", n)
	}
}
