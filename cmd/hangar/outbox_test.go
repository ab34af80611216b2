package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// An event of the outbox that nobody can make anything of is seen and put back
// while the store runs.
func TestParkedInTheOutbox(t *testing.T) {
	data := t.TempDir()
	events := func(args ...string) result {
		return hangarCommand(t, nil, append(append([]string{"events"}, args...), "--data", data)...)
	}
	if got := events("parked"); got.code != exitUsage || !strings.Contains(got.stderr, data) {
		t.Errorf("events parked without a store exited with %d: %q, want %d and the folder", got.code, got.stderr, exitUsage)
	}
	serveStore(t, data).stop()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "hangar.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO outbox (type, payload) VALUES ('order_created', '{"order": {')`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := serveStore(t, data)
	defer s.stop()
	parked := func() bool {
		return strings.Contains(events("parked").stdout, "orders.outbox   1   order_created   20")
	}
	waitFor(t, "the event is parked", parked)
	if got := events("parked", "orders.outbox", "--json"); got.code != exitOK || !strings.Contains(got.stdout, `"body":"{\"order\": {"`) {
		t.Errorf("events parked exited with %d: %q %q, want the body", got.code, got.stdout, got.stderr)
	}
	if got := events("replay"); got.code != exitOK || got.stdout != "orders.outbox: 1 replayed\n" {
		t.Errorf("events replay exited with %d: %q %q, want 1 replayed", got.code, got.stdout, got.stderr)
	}
	waitFor(t, "the event is parked again", parked)
	if got := events("replay", "nobody"); got.code != exitUsage {
		t.Errorf("events replay of an unknown handler exited with %d: %q, want %d", got.code, got.stderr, exitUsage)
	}
}
