package redis_test
import ("testing";"time";"context")
func TestOneOff(t *testing.T) {
	db := newDatabase(t)
	p := newProxy(t, db.URL)
	s := openStore(t, p.url, (&logged{}).logger())
	wantNil(t, "Put", s.Put(t.Context(), product("a", 10)))
	p.hush()
	began := time.Now()
	_, err := s.Product(t.Context(), "a")
	t.Log("no deadline:", time.Since(began), err)
	began = time.Now()
	for range 5 {
	ctx, c := context.WithTimeout(t.Context(), 300*time.Millisecond)
	_, err = s.Product(ctx, "a")
	c()
	}
	t.Log("5 x 300ms:", time.Since(began), err)
	p.mu.Lock(); old := p.silent; p.silent = nil; p.mu.Unlock()
	began = time.Now()
	for { ctx, c := context.WithTimeout(t.Context(), 300*time.Millisecond); _, err = s.Product(ctx, "a"); c(); if err == nil { break } }
	t.Log("back after:", time.Since(began))
	close(old)
}
