package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hangar"
)

// together runs the writes in one batch, with a first one that keeps the writer busy
// until all of them wait.
func together(t *testing.T, w *writer, writes map[string]func(*tx) error) map[string]error {
	t.Helper()
	busy, free := make(chan struct{}), make(chan struct{})
	held := make(chan error, 1)
	isBusy := sync.OnceFunc(func() { close(busy) }) // it runs again where one of the others is bad
	go func() {
		held <- w.do(t.Context(), func(*tx) error {
			isBusy()
			<-free
			return nil
		})
	}()
	<-busy
	requests := map[string]*write{}
	for name, fn := range writes {
		requests[name] = &write{ctx: t.Context(), fn: fn, done: make(chan struct{})}
		w.waiting <- requests[name]
	}
	close(free)
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	errs := map[string]error{}
	for name, req := range requests {
		<-req.done
		errs[name] = req.err
	}
	return errs
}

func storedIDs(t *testing.T, s *Store) []string {
	t.Helper()
	list, err := s.Products.List(t.Context(), hangar.ProductQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, p := range list {
		ids = append(ids, p.ID)
	}
	return ids
}

func putRow(id string) func(*tx) error {
	return func(t *tx) error {
		return t.exec("INSERT INTO products ("+productColumns+") VALUES (?, 't', 0, 0, 1)", id)
	}
}

func TestOneBadWriteLeavesTheOthers(t *testing.T) {
	plain := errors.New("plain error")
	for name, test := range map[string]struct {
		bad  func(*tx) error
		want string
	}{
		"plain error":   {func(*tx) error { return plain }, "plain error"},
		"panic":         {func(*tx) error { panic("boom") }, "boom"},
		"nil pointer":   {func(t *tx) error { var p *hangar.Product; return t.exec("SELECT ?", p.ID) }, "nil pointer"},
		"broken SQL":    {func(t *tx) error { return t.exec("NONSENSE") }, "NONSENSE"},
		"constraint":    {func(t *tx) error { return t.exec("INSERT INTO products (id) VALUES ('x')") }, "NOT NULL"},
		"its own end":   {func(t *tx) error { return errors.Join(t.exec("ROLLBACK"), plain) }, "plain error"},
		"wrong type":    {func(t *tx) error { return t.exec("INSERT INTO products VALUES ('x', 't', 'a', 0, 0)") }, "TEXT"},
		"what it wrote": {func(t *tx) error { return errors.Join(putRow("half")(t), plain) }, "plain error"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t)
			refusal := hangar.Errorf(hangar.OutOfStock, "no")
			errs := together(t, s.writer, map[string]func(*tx) error{
				"good 1": putRow("a"),
				"bad":    test.bad,
				"answer": func(t *tx) error { return errors.Join(putRow("noted")(t), refusal) },
				"good 2": putRow("b"),
			})
			if err := errs["bad"]; err == nil || !strings.Contains(err.Error(), test.want) || hangar.CodeOf(err) != hangar.Unexpected {
				t.Errorf("the bad write: %v, want an unexpected error with %q", err, test.want)
			}
			for _, good := range []string{"good 1", "good 2"} {
				if errs[good] != nil {
					t.Errorf("%s, beside a bad one: %v, want no error", good, errs[good])
				}
			}
			if err := errs["answer"]; hangar.CodeOf(err) != hangar.OutOfStock {
				t.Errorf("a write that was answered with a refusal, beside a bad one: %v, want the refusal", err)
			}
			if diff := cmp.Diff([]string{"a", "b", "noted"}, storedIDs(t, s)); diff != "" {
				t.Errorf("what is stored (-want +got):\n%s", diff)
			}
			if err := s.Products.Put(t.Context(), hangar.Product{ID: "after", Title: "t"}); err != nil {
				t.Errorf("a write after the bad one: %v, want no error", err)
			}
		})
	}
}

func TestBatchOfMany(t *testing.T) {
	s := openTest(t)
	writes := map[string]func(*tx) error{}
	for i := range maxBatch - 1 {
		writes[fmt.Sprint(i)] = putRow(fmt.Sprintf("p%03d", i))
	}
	writes["bad"] = func(*tx) error { return errors.New("plain error") }
	for name, err := range together(t, s.writer, writes) {
		if (err != nil) != (name == "bad") {
			t.Errorf("write %s beside a bad one: %v", name, err)
		}
	}
	n := int64(0)
	err := s.readers.query(t.Context(), "SELECT count(*) FROM products", nil, func(r *row) error {
		n = r.ColumnInt64(0)
		return nil
	})
	if err != nil || n != maxBatch-1 {
		t.Errorf("%d products are stored, %v, want %d", n, err, maxBatch-1)
	}
}

func TestWritesJoinTheTransactionThatRuns(t *testing.T) {
	s := openTest(t)
	before := s.writer.commits.Load()
	for name, err := range together(t, s.writer, map[string]func(*tx) error{"a": putRow("a"), "b": putRow("b")}) {
		if err != nil {
			t.Errorf("write %s: %v", name, err)
		}
	}
	if n := s.writer.commits.Load() - before; n != 1 {
		t.Errorf("a write and two that came in while it ran took %d transactions, want one", n)
	}
}

func TestWriteThatNobodyWaitsFor(t *testing.T) {
	s := openTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	errs := together(t, s.writer, map[string]func(*tx) error{
		"good": putRow("a"),
		"late": func(*tx) error {
			req := &write{ctx: ctx, fn: putRow("late"), done: make(chan struct{})}
			cancel()
			ended <- req.run(&tx{w: s.writer})
			return nil
		},
	})
	if errs["good"] != nil || errs["late"] != nil {
		t.Fatalf("the batch: %v, want no errors", errs)
	}
	if err := <-ended; hangar.CodeOf(err) != hangar.Unavailable {
		t.Errorf("a write whose request has ended: %v, want UNAVAILABLE", err)
	}
	if diff := cmp.Diff([]string{"a"}, storedIDs(t, s)); diff != "" {
		t.Errorf("what is stored (-want +got):\n%s", diff)
	}
}
