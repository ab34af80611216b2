package redis_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"hangar"
	"hangar/backing"
	"hangar/hangartest"
	"hangar/redis"
)

// database is a Redis of the test's own, and a way to do there what the Python
// services do.
type database struct {
	*backing.Server
	client rueidis.Client
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	server := hangartest.StartRedis(t)
	return &database{Server: server, client: dial(t, server.URL)}
}

// dial returns a client that sends what the test says.
func dial(t testing.TB, url string) rueidis.Client {
	t.Helper()
	option := rueidis.MustParseURL(url)
	option.DisableCache = true
	option.ForceSingleClient = true
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// open opens a store that is closed when the test ends.
func (db *database) open(t testing.TB) *redis.ProductStore {
	t.Helper()
	return openStore(t, db.URL, slog.New(slog.DiscardHandler))
}

func openStore(t testing.TB, url string, log *slog.Logger) *redis.ProductStore {
	t.Helper()
	s, err := redis.OpenProducts(t.Context(), url, log)
	if err != nil {
		t.Fatalf("OpenProducts(%q): %v", url, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// do sends a command and returns its reply.
func (db *database) do(t testing.TB, command string, args ...string) rueidis.RedisMessage {
	t.Helper()
	m, err := db.client.Do(context.WithoutCancel(t.Context()), db.client.B().Arbitrary(command).Args(args...).Build()).ToMessage()
	if err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("%s %q: %v", command, args, err)
	}
	return m
}

// number returns a number that a command replies.
func (db *database) number(t testing.TB, command string, args ...string) int64 {
	t.Helper()
	m := db.do(t, command, args...)
	n, err := m.AsInt64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// text returns a text that a command replies.
func (db *database) text(t testing.TB, command string, args ...string) string {
	t.Helper()
	m := db.do(t, command, args...)
	s, err := m.ToString()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (db *database) flush(t testing.TB) {
	t.Helper()
	db.do(t, "FLUSHDB")
}

// hash returns what HGETALL does.
func (db *database) hash(t testing.TB, key string) map[string]string {
	t.Helper()
	m := db.do(t, "HGETALL", key)
	h, err := m.AsStrMap()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// keys returns the keys that match, sorted.
func (db *database) keys(t testing.TB, pattern string) []string {
	t.Helper()
	m := db.do(t, "KEYS", pattern)
	keys, err := m.AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

// create does what the Python products service does to create a product.
func (db *database) create(t testing.TB, p hangar.Product) {
	t.Helper()
	args := []string{"products:" + p.ID}
	for field, value := range fieldsOf(p) {
		args = append(args, field, value)
	}
	db.do(t, "HMSET", args...)
}

func fieldsOf(p hangar.Product) map[string]string {
	return map[string]string{
		"id":                 p.ID,
		"title":              p.Title,
		"passenger_capacity": strconv.FormatInt(p.PassengerCapacity, 10),
		"maximum_speed":      strconv.FormatInt(p.MaximumSpeed, 10),
		"in_stock":           strconv.FormatInt(p.InStock, 10),
	}
}

// list does what the Python products service does to list products. It fails
// where that dies.
func (db *database) list(t testing.TB) map[string]hangar.Product {
	t.Helper()
	list := make(map[string]hangar.Product)
	for _, key := range db.keys(t, "products:*") {
		h := db.hash(t, key)
		p := hangar.Product{ID: h["id"], Title: h["title"]}
		for field, n := range map[string]*int64{
			"passenger_capacity": &p.PassengerCapacity, "maximum_speed": &p.MaximumSpeed, "in_stock": &p.InStock,
		} {
			var err error
			if *n, err = strconv.ParseInt(h[field], 10, 64); err != nil {
				t.Errorf("%s has %s %q, of which the Python service dies", key, field, h[field])
			}
		}
		if len(h) < 5 {
			t.Errorf("%s has the fields %v, of which the Python service dies", key, slices.Sorted(maps.Keys(h)))
		}
		list[p.ID] = p
	}
	return list
}

func product(id string, inStock int64) hangar.Product {
	return hangar.Product{ID: id, Title: "Title of " + id, PassengerCapacity: 101, MaximumSpeed: 5, InStock: inStock}
}

func wantEqual(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wantNil(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v, want no error", what, err)
	}
}

func wantCode(t testing.TB, what string, err error, want hangar.Code) {
	t.Helper()
	if got := hangar.CodeOf(err); got != want {
		t.Errorf("%s: code %q of error %v, want %q", what, got, err, want)
	}
}

func wantIDs(t testing.TB, what string, s *redis.ProductStore, want ...string) {
	t.Helper()
	list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 1000})
	wantNil(t, what+": List", err)
	var got []string
	for _, p := range list {
		got = append(got, p.ID)
	}
	wantEqual(t, "ids of the list "+what, got, want)
}

func wantStock(t testing.TB, what string, s *redis.ProductStore, id string, want int64) {
	t.Helper()
	p, err := s.Product(t.Context(), id)
	wantNil(t, what+": Product "+id, err)
	if p.InStock != want {
		t.Errorf("in stock of %s after %s: %d, want %d", id, what, p.InStock, want)
	}
}

// until fails if the condition does not come true within a minute.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after a minute still not: %s", what)
		}
	}
}

// logged is a log that a test reads.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
