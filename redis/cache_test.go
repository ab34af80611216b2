package redis_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"hangar"
	"hangar/cache"
	"hangar/hangartest"
	"hangar/redis"
)

func openCache(t testing.TB, url string, log *slog.Logger) *redis.Cache {
	t.Helper()
	c, err := redis.NewCache(url, log)
	wantNil(t, "NewCache", err)
	t.Cleanup(func() { wantNil(t, "Close", errors.Join(c.Close(), c.Close())) })
	return c
}

// get asks until the cache answers: on a busy machine it may take a pause.
func get(t testing.TB, c *redis.Cache, keys ...string) []string {
	t.Helper()
	var got [][]byte
	until(t, "the cache to answer", func() (answered bool) {
		var err error
		got, err = c.Get(t.Context(), keys)
		return err == nil
	})
	texts := make([]string, len(got))
	for i, value := range got {
		texts[i] = string(value)
	}
	return texts
}

func add(t testing.TB, c *redis.Cache, key, value string, age time.Duration) {
	t.Helper()
	until(t, "the cache to take an entry", func() bool { return c.Add(t.Context(), key, []byte(value), age) == nil })
}

func drop(t testing.TB, c *redis.Cache, key string) {
	t.Helper()
	until(t, "the cache to drop an entry", func() bool { return c.Drop(t.Context(), key) == nil })
}

func TestCacheKeepsAndDrops(t *testing.T) {
	db := newDatabase(t)
	a, b := openCache(t, db.URL, slog.New(slog.DiscardHandler)), openCache(t, db.URL, slog.New(slog.DiscardHandler))
	wantEqual(t, "nothing", get(t, a, "order:1", "order:2"), []string{"", ""})
	add(t, a, "order:1", "one", time.Hour)
	add(t, b, "order:1", "later", time.Hour)
	add(t, b, "order:2", "\x00\xff", time.Hour)
	wantEqual(t, "both", get(t, b, "order:2", "order:1", "order:2"), []string{"\x00\xff", "one", "\x00\xff"})
	wantEqual(t, "keys", db.keys(t, "*"), []string{"hangar:cache:order:1", "hangar:cache:order:2"})
	if left := db.number(t, "PTTL", "hangar:cache:order:1"); left <= 0 || left > time.Hour.Milliseconds() {
		t.Errorf("an entry expires in %d ms, want up to an hour", left)
	}
	drop(t, b, "order:1")
	drop(t, b, "order:3")
	add(t, a, "order:1", "old", time.Hour)
	add(t, a, "order:3", "old", time.Hour)
	wantEqual(t, "after they were dropped", get(t, a, "order:1", "order:2", "order:3"), []string{"", "\x00\xff", ""})
	if left := db.number(t, "PTTL", "hangar:cache:order:3"); left <= 0 || left > cache.DropTime.Milliseconds() {
		t.Errorf("what was dropped is refused for %d ms, want up to %v", left, cache.DropTime)
	}
	db.do(t, "DEL", "hangar:cache:order:3") // as time does
	add(t, a, "order:3", "new", time.Hour)
	db.do(t, "DEL", "hangar:cache:order:1")
	db.do(t, "HSET", "hangar:cache:order:1", "a", "b")
	wantEqual(t, "with what is no entry", get(t, a, "order:1", "order:3"), []string{"", "new"})
	drop(t, a, "order:1")
}

func TestCacheExpires(t *testing.T) {
	db := newDatabase(t)
	c := openCache(t, db.URL, slog.New(slog.DiscardHandler))
	add(t, c, "order:1", "one", time.Millisecond)
	add(t, c, "order:2", "two", 0) // is so short that it counts as a millisecond
	until(t, "the entries to expire", func() bool { return db.number(t, "DBSIZE") == 0 })
}

// While Redis is away the cache says so at once, in the log once, and it comes back
// by itself. It need not be there at the beginning.
func TestCacheWithoutRedis(t *testing.T) {
	server := hangartest.StartRedis(t)
	wantNil(t, "Stop", server.Stop())
	log, began := new(logged), time.Now()
	c := openCache(t, server.URL, log.logger())
	for range 100 {
		if _, err := c.Get(t.Context(), []string{"order:1"}); err == nil {
			t.Fatal("Get without Redis: no error")
		}
		wantCode(t, "Ping without Redis", c.Ping(t.Context()), hangar.Unavailable)
		if err := c.Drop(t.Context(), "order:1"); err == nil {
			t.Fatal("Drop without Redis: no error")
		}
	}
	wantNil(t, "Restart", server.Restart(t.Context()))
	add(t, c, "order:1", "one", time.Hour)
	until(t, "the cache to answer a ping", func() bool { return c.Ping(t.Context()) == nil })
	wantEqual(t, "when it is there", get(t, c, "order:1"), []string{"one"})
	wantNil(t, "Kill", server.Kill())
	until(t, "the cache to fail", func() bool { _, err := c.Get(t.Context(), []string{"order:1"}); return err != nil })
	wantNil(t, "Restart", server.Restart(t.Context()))
	get(t, c, "order:1")
	minutes := 1 + int(time.Since(began).Minutes())
	if n := strings.Count(log.String(), "level=WARN"); n < 1 || n > minutes { // of so many calls
		t.Errorf("%d warnings, want one, or one a minute:\n%s", n, log)
	}
}

// A Redis that does not answer holds up a caller only for a moment, and the others
// not at all.
func TestCacheOfSilentRedis(t *testing.T) {
	p := newProxy(t, hangartest.Redis(t))
	c := openCache(t, p.url, slog.New(slog.DiscardHandler))
	add(t, c, "order:1", "one", time.Hour)
	p.hush()
	for range 50 { // which the test's own time limit bounds: each would wait for ever
		if _, err := c.Get(t.Context(), []string{"order:1"}); err == nil {
			t.Fatal("Get of a silent Redis: no error")
		}
	}
	p.speak()
	wantEqual(t, "when it answers", get(t, c, "order:1"), []string{"one"})
}

func TestCacheURL(t *testing.T) {
	if _, err := redis.NewCache("redis://u:secret@h:x", slog.Default()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("NewCache of a broken URL: %v, want an error without the password", err)
	}
	c := openCache(t, "redis://a:6379/1", slog.Default())
	for url, want := range map[string]bool{
		"redis://a/1": true, "redis://:pw@a:6379?db=1": true, "redis://a": false, "redis://b/1": false, "": false,
	} {
		if got := c.IsIn(url); got != want {
			t.Errorf("IsIn(%q) = %t, want %t", url, got, want)
		}
	}
}
