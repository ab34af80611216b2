package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hangar"
)

func TestScriptsAreForgotten(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	wantNil(t, "Put", s.Put(t.Context(), product("a", 10)))
	for i := range int64(3) {
		for what, call := range map[string]func() error{
			"Put":        func() error { return s.Put(t.Context(), product("a", 10)) },
			"Hold":       func() error { return s.Hold(t.Context(), hold("h", i+1, map[string]int64{"a": i + 1})) },
			"Take":       func() error { return s.Take(t.Context(), hold("h", i+1, map[string]int64{"a": i + 1})) },
			"Insert":     func() error { return s.Insert(t.Context(), product("b"+strconv.FormatInt(i, 10), 10)) },
			"List":       func() error { _, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10}); return err },
			"SweepHolds": func() error { return s.SweepHolds(t.Context(), time.Unix(0, 0)) },
		} {
			db.do(t, "SCRIPT", "FLUSH")
			wantNil(t, what+" after the scripts were forgotten", call())
		}
		wantNil(t, "Delete", s.Delete(t.Context(), "b"+strconv.FormatInt(i, 10)))
	}
}

// An answer is cut off after the command took effect.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	p := newProxy(t, db.URL)
	s := openStore(t, p.url, (&logged{}).logger())
	lost := func(what string, call func() error) {
		t.Helper()
		p.loseAnswer()
		wantNil(t, what+", whose answer was lost", call())
	}
	for i := range int64(20) {
		id := "p" + strconv.FormatInt(i, 10)
		order := hold(id, 1, map[string]int64{id: 3})
		lost("Insert", func() error { return s.Insert(t.Context(), product(id, 10)) })
		lost("Hold", func() error { return s.Hold(t.Context(), order) })
		wantStock(t, "a hold", s, id, 7)
		lost("Take", func() error { return s.Take(t.Context(), hold("taken "+id, 1, map[string]int64{id: 1})) })
		wantStock(t, "a hold and a take", s, id, 6)
		lost("Product", func() error { _, err := s.Product(t.Context(), id); return err })
		lost("Products", func() error { _, err := s.Products(t.Context(), []string{id, id}); return err })
		lost("List", func() error { _, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10}); return err })
		p.loseAnswer()
		wantCode(t, "Hold beyond the stock, whose answer was lost",
			s.Hold(t.Context(), hold("much "+id, 1, map[string]int64{id: 7})), hangar.OutOfStock)
		p.loseAnswer()
		wantCode(t, "Insert of a product that is another, whose answer was lost",
			s.Insert(t.Context(), product(id, 10)), hangar.ProductExists)
		lost("Put", func() error { return s.Put(t.Context(), product(id, 4)) })
		wantStock(t, "a replacement", s, id, 4)
		lost("Delete", func() error { return s.Delete(t.Context(), id) })
		wantCode(t, "Delete of what is deleted", s.Delete(t.Context(), id), hangar.ProductNotFound)
	}
}

func TestConnectionsAreCut(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	p := newProxy(t, db.URL)
	s := openStore(t, p.url, (&logged{}).logger())
	wantNil(t, "Put", s.Put(t.Context(), product("a", 100_000)))
	stop, done := make(chan struct{}), make(chan struct{}, 1)
	var cutting, calling sync.WaitGroup
	cutting.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-done: // else a slow machine would never come to anything
				p.cut()
			}
		}
	})
	for i := range 8 {
		calling.Go(func() {
			for n := range 50 {
				h := hold(fmt.Sprint(i, " ", n), 1, map[string]int64{"a": 1})
				if err := s.Hold(t.Context(), h); err != nil {
					t.Errorf("Hold, while connections are cut: %v, want no error", err)
				}
				if _, err := s.Product(t.Context(), "a"); err != nil {
					t.Errorf("Product, while connections are cut: %v, want no error", err)
				}
				select {
				case done <- struct{}{}:
				default:
				}
			}
		})
	}
	calling.Wait()
	close(stop)
	cutting.Wait()
	wantStock(t, "400 holds of 1", s, "a", 100_000-400)
}

// A Redis that says nothing: calls end when their context does.
func TestSilence(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	p := newProxy(t, db.URL)
	s := openStore(t, p.url, (&logged{}).logger())
	wantNil(t, "Put", s.Put(t.Context(), product("a", 10)))
	p.hush()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := s.Product(ctx, "a")
			wantCode(t, "Product of a silent Redis", err, hangar.Unavailable)
			wantCode(t, "Hold of a silent Redis", s.Hold(ctx, hold("h", 1, map[string]int64{"a": 1})), hangar.Unavailable)
			if err := s.Put(ctx, product("b", 1)); !isUnavailable(err) {
				t.Errorf("Put of a silent Redis: %v, want an error that says that it is unavailable", err)
			}
		})
	}
	wg.Wait()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	wantCode(t, "Put of a request that has ended", s.Put(cancelled, product("b", 1)), hangar.Unavailable)
	short, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer end()
	wantCode(t, "Ping of a silent Redis", s.Ping(short), hangar.Unavailable)
	p.speak()
	wantNil(t, "Put", s.Put(t.Context(), product("a", 5)))
	wantNil(t, "Ping", s.Ping(t.Context()))
	// What was sent before the silence may have come first; not after the Put.
	wantStock(t, "the silence", s, "a", 5)
}

func isUnavailable(err error) bool {
	e, ok := errors.AsType[*hangar.Error](err)
	return ok && e.Code == hangar.Unavailable
}

// A Redis that is killed and restarted under load has all that was answered, and
// stock is exact when what was not is repeated.
func TestKilledAndRestarted(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	const clients, stock = 8, 1_000_000
	for i := range clients {
		wantNil(t, "Put", s.Put(t.Context(), product("stock"+strconv.Itoa(i), stock)))
	}
	stop := make(chan struct{})
	var held [clients]atomic.Int64
	var calling sync.WaitGroup
	for i := range clients {
		calling.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				h := hold(fmt.Sprintf("%d-%d", i, n), 1, map[string]int64{"stock" + strconv.Itoa(i): 2, "stock" + strconv.Itoa((i+1)%clients): 1})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				err := s.Hold(ctx, h)
				cancel()
				if err != nil {
					wantCode(t, "Hold while Redis is killed", err, hangar.Unavailable)
					for s.Hold(t.Context(), h) != nil {
					}
				}
				held[i].Add(1)
				id := fmt.Sprintf("p%d-%d", i, n%10)
				if err := patient(func() error { return s.Put(t.Context(), product(id, int64(n))) }); err != nil {
					t.Errorf("Put while Redis is killed: %v, want no error", err)
					continue
				}
				var p hangar.Product
				err = patient(func() (err error) { p, err = s.Product(t.Context(), id); return err })
				if err != nil || p.InStock != int64(n) {
					t.Errorf("Product after a Put of stock %d = %+v, %v", n, p, err)
				}
			}
		})
	}
	for range 3 {
		var before int64
		for i := range clients {
			before += held[i].Load()
		}
		until(t, "200 more holds", func() bool {
			var now int64
			for i := range clients {
				now += held[i].Load()
			}
			return now > before+200
		})
		wantNil(t, "Kill", db.Kill())
		until(t, "a call fails", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_, err := s.Product(ctx, "stock0")
			return hangar.CodeOf(err) == hangar.Unavailable
		})
		wantNil(t, "Restart", db.Restart(context.WithoutCancel(t.Context())))
	}
	close(stop)
	calling.Wait()
	for i := range clients {
		want := stock - 2*held[i].Load() - held[(i+clients-1)%clients].Load()
		wantStock(t, "kills", s, "stock"+strconv.Itoa(i), want)
	}
	wantCode(t, "another client's Hold", s.Hold(t.Context(), hold("0-0", 1, nil)), "")
}

// patient calls again while Redis is away for longer than a call waits: on a slow
// machine it may take that long to start.
func patient(call func() error) error {
	for {
		if err := call(); !isUnavailable(err) {
			return err
		}
	}
}

func TestRefusalsOfRedis(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		break_, mend func(t *testing.T, db *database)
		say          string
		reads        bool // go on
	}{
		"READONLY": {
			break_: func(t *testing.T, db *database) { db.do(t, "REPLICAOF", "127.0.0.1", "1") },
			mend:   func(t *testing.T, db *database) { db.do(t, "REPLICAOF", "NO", "ONE") },
			say:    "replica",
			reads:  true,
		},
		"MASTERDOWN": {
			break_: func(t *testing.T, db *database) {
				db.do(t, "CONFIG", "SET", "replica-serve-stale-data", "no")
				db.do(t, "REPLICAOF", "127.0.0.1", "1")
			},
			mend: func(t *testing.T, db *database) { db.do(t, "REPLICAOF", "NO", "ONE") },
			say:  "replica",
		},
		"OOM": {
			break_: func(t *testing.T, db *database) { db.do(t, "CONFIG", "SET", "maxmemory", "1") },
			mend:   func(t *testing.T, db *database) { db.do(t, "CONFIG", "SET", "maxmemory", "0") },
			say:    "no room",
			reads:  true,
		},
		"NOREPLICAS": {
			break_: func(t *testing.T, db *database) { db.do(t, "CONFIG", "SET", "min-replicas-to-write", "1") },
			mend:   func(t *testing.T, db *database) { db.do(t, "CONFIG", "SET", "min-replicas-to-write", "0") },
			say:    "too few replicas",
			reads:  true,
		},
		"MISCONF": {break_: failSnapshot, mend: mendSnapshot, say: "disk", reads: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t)
			s := db.open(t)
			wantNil(t, "Put", s.Put(t.Context(), product("a", 10)))
			wantNil(t, "Put", s.Put(t.Context(), product("b", 10)))
			wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 1, map[string]int64{"a": 1, "b": 1})))
			db.create(t, product("python's", 1)) // which the index lacks
			test.break_(t, db)
			patience := time.Minute
			if name == "MASTERDOWN" { // which calls wait to end
				patience = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for what, err := range map[string]error{
				"Put":    s.Put(ctx, product("c", 1)),
				"Insert": s.Insert(ctx, product("c", 1)),
				"Hold":   s.Hold(ctx, hold("h", 2, map[string]int64{"a": 2, "b": 2})),
				"Take":   s.Take(ctx, hold("i", 1, map[string]int64{"a": 2, "b": 2})),
			} {
				wantCode(t, what, err, hangar.Unavailable)
				if name != "MASTERDOWN" && !strings.Contains(err.Error(), test.say) {
					t.Errorf("%s: %q, want %q in it", what, err, test.say)
				}
			}
			if test.reads {
				wantStock(t, "refusals", s, "a", 9)
				for range 3 {
					wantIDs(t, "while Redis takes no writes", s, "a", "b")
				}
			}
			test.mend(t, db)
			wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 2, map[string]int64{"a": 2, "b": 2})))
			wantStock(t, "all is well again", s, "a", 8)
			wantStock(t, "all is well again", s, "b", 8)
			until(t, "the list has all, when all is well again", func() bool {
				list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10})
				wantNil(t, "List", err)
				return len(list) == 3
			})
		})
	}
}

// failSnapshot puts a folder where the snapshot has to go.
func failSnapshot(t *testing.T, db *database) {
	t.Helper()
	db.do(t, "CONFIG", "SET", "save", "3600 1")
	wantNil(t, "MkdirAll", os.MkdirAll(filepath.Join(db.snapshot(t), "full"), 0o755))
	db.do(t, "BGSAVE")
	until(t, "the snapshot failed", func() bool {
		return strings.Contains(db.text(t, "INFO", "persistence"), "rdb_last_bgsave_status:err")
	})
}

func mendSnapshot(t *testing.T, db *database) {
	t.Helper()
	wantNil(t, "RemoveAll", os.RemoveAll(db.snapshot(t)))
	db.do(t, "BGSAVE")
	until(t, "the snapshot is there", func() bool {
		return strings.Contains(db.text(t, "INFO", "persistence"), "rdb_last_bgsave_status:ok")
	})
}

func (db *database) snapshot(t *testing.T) string {
	t.Helper()
	config := db.do(t, "CONFIG", "GET", "dir")
	dir, err := config.AsStrMap()
	wantNil(t, "CONFIG GET dir", err)
	return filepath.Join(dir["dir"], "dump.rdb")
}

func TestClosed(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	wantNil(t, "Put", s.Put(t.Context(), product("a", 1)))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for {
				_, err := s.Product(t.Context(), "a")
				if err == nil {
					continue
				}
				wantCode(t, "Product of a store that is being closed", err, hangar.Unavailable)
				return
			}
		})
	}
	for range 2 {
		wantNil(t, "Close", s.Close())
	}
	wg.Wait()
	_, productErr := s.Product(t.Context(), "a")
	_, listErr := s.List(t.Context(), hangar.ProductQuery{Limit: 1})
	for what, err := range map[string]error{
		"Product": productErr, "List": listErr,
		"Put":    s.Put(t.Context(), product("a", 1)),
		"Delete": s.Delete(t.Context(), "a"),
		"Hold":   s.Hold(t.Context(), hold("h", 1, nil)),
	} {
		wantCode(t, what+" of a closed store", err, hangar.Unavailable)
	}
}

// A store whose Redis is gone is closed at once, and so are its calls.
func TestClosedWhileRedisIsGone(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	s := db.open(t)
	wantNil(t, "Kill", db.Kill())
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			wantCode(t, "Put", s.Put(t.Context(), product("a", 1)), hangar.Unavailable)
		})
	}
	wantNil(t, "Close", s.Close())
	wg.Wait()
}
