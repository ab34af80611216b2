package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
)

const orderCreatedQueue = "evt-orders-order_created--products.handle_order_created"

// publishEvent publishes an event of the orders service as any other may, as soon
// as there is a queue for it.
func publishEvent(t *testing.T, url, body string) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	waitFor(t, "a queue for the event", func() bool {
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		defer ch.Close() // says no more than that it is closed, if there is no exchange
		if err := ch.Confirm(false); err != nil {
			t.Fatal(err)
		}
		returned := ch.NotifyReturn(make(chan amqp.Return, 1))
		message := amqp.Publishing{ContentType: "application/json", Body: []byte(body)}
		confirmed, err := ch.PublishWithDeferredConfirm("orders.events", "order_created", true, false, message)
		return err == nil && confirmed.Wait() && len(returned) == 0
	})
}

func TestParkedAndReplayCommands(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	env := environment{"AMQP_URI": url}
	command := func(want string, args ...string) {
		t.Helper()
		got := hangarCommand(t, env, append([]string{"events"}, args...)...)
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, want) {
			t.Errorf("events %q exited with %d: %q %q, want %q", args, got.code, got.stdout, got.stderr, want)
		}
	}
	command("no events are parked\n", "parked")
	command("products.handle_order_created: 0 replayed\n", "replay")

	s, stdout := startServe(t, "products", "--amqp", url, "--data", t.TempDir())
	go io.Copy(io.Discard, stdout) // ends with the process
	waitFor(t, "the service takes calls", func() bool {
		return hangarCommand(t, env, "rpc", "products.list").code == 0
	})
	areParked := func(n int) func() bool {
		return func() bool {
			lines := hangarCommand(t, env, "events", "parked", "--json").stdout
			return strings.Count(lines, "\n") == n
		}
	}
	publishEvent(t, url, `{"order": null}`)
	waitFor(t, "an event is parked", areParked(1))
	publishEvent(t, url, "not\x1b[2J\njson")
	waitFor(t, "two events are parked", areParked(2))

	command("HANDLER ", "parked")
	command("#   EVENT           PARKED", "parked")
	command("products.handle_order_created   1   order_created   20", "parked")
	command("unusable event: it names no order", "parked")
	command("not [2J json", "parked")
	command("and 1 more; --limit shows them\n", "parked", "products.handle_order_created", "--limit", "1")
	command("   1   order_created   20", "parked", orderCreatedQueue)
	command("no events are parked\n", "parked", "evt-orders-order_created--mailer.on_order")

	lines := strings.Split(hangarCommand(t, env, "events", "parked", "--json").stdout, "\n")
	var first parkedEvent
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatalf("the first line is %q: %v", lines[0], err)
	}
	if first.ParkedAt.IsZero() || first.FailedAt.IsZero() {
		t.Errorf("the first line is %q, want both times", lines[0])
	}
	first.ParkedAt, first.FailedAt = time.Time{}, time.Time{}
	want := parkedEvent{Handler: "products.handle_order_created", Position: 1, Event: "order_created", Tries: 1,
		Reason: "unusable event: it names no order", Body: `{"order": null}`, Size: 15}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("the first line (-want +got):\n%s", diff)
	}

	command("products.handle_order_created: 1 replayed\n", "replay", "products.handle_order_created", "--limit", "1")
	waitFor(t, "it is parked again", areParked(2))
	if code := s.stop(); code != 0 {
		t.Errorf("serve exited with %d: %s", code, s.stderr)
	}
	command("products.handle_order_created: 2 replayed\n", "replay")
	command("no events are parked\n", "parked")
}

// parkedFake holds events in memory, or fails.
type parkedFake struct {
	events []parkedEvent
	err    error
}

func (p *parkedFake) list(_ context.Context, most int) ([]parkedEvent, int, error) {
	return p.events[:min(most, len(p.events))], len(p.events), p.err
}

func (p *parkedFake) replay(_ context.Context, most int) (int, error) {
	return min(most, len(p.events)), p.err
}

// One source that fails does not hide the others.
func TestParkedOfSeveralSources(t *testing.T) {
	sources := []parkedSource{
		{"a", &parkedFake{events: []parkedEvent{{Event: "x"}, {Event: "y"}}}},
		{"b", &parkedFake{err: errors.New("b is away")}},
		{"c", &parkedFake{events: []parkedEvent{{Event: "z"}}}},
	}
	var out bytes.Buffer
	err := listParked(t.Context(), sources, 1, &out, showLines)
	const none = `"tries":0,"reason":"","body":"","size":0}`
	want := `{"handler":"a","position":1,"event":"x",` + none + "\n" + `{"handler":"c","position":1,"event":"z",` + none + "\n"
	if out.String() != want || err == nil || !strings.Contains(err.Error(), "b: b is away") {
		t.Errorf("list printed %q and %v, want %q and that b is away", &out, err, want)
	}
	out.Reset()
	if err := listParked(t.Context(), sources[1:2], 1, &out, showTable); err == nil || out.Len() > 0 {
		t.Errorf("list of b printed %q and %v, want just the error", &out, err)
	}
	out.Reset()
	err = replayParked(t.Context(), sources, 0, &out)
	if want := "a: 2 replayed\nb: 0 replayed\nc: 1 replayed\n"; out.String() != want || err == nil {
		t.Errorf("replay printed %q and %v, want %q and that b is away", &out, err, want)
	}
}

func TestOutboxThatIsNotThere(t *testing.T) {
	data := t.TempDir()
	for _, command := range []string{"parked", "replay"} {
		got := hangarCommand(t, environment{}, "events", command, outboxName, "--amqp", "amqp://127.0.0.1:1", "--data", data)
		if want := "no orders are in " + data; got.code != 2 || !strings.Contains(got.stderr, want) || strings.Contains(got.stderr, "broker") {
			t.Errorf("events %s %s exited with %d: %s, want 2 and %s, and no advice to name a broker", command, outboxName, got.code, got.stderr, want)
		}
	}
}

func TestTextsThatFitIntoATable(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"a\tb\nc\x1b[31m\u202ed":      "a b c [31m d",
		strings.Repeat("☃", 60):       strings.Repeat("☃", 60),
		strings.Repeat("☃", 61):       strings.Repeat("☃", 59) + "…",
		`{"order": {"id": 1}}` + "\r": `{"order": {"id": 1}} `,
	} {
		if got := onOneLine(text); got != want {
			t.Errorf("onOneLine(%q) is %q, want %q", text, got, want)
		}
	}
}
