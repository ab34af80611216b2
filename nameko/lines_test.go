package nameko_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
	"hangar/nameko"
)

// lines returns what was logged of calls and events, without what differs each
// time.
func (l *logged) lines(t *testing.T) (lines []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.text.Bytes()) {
		var members map[string]any
		must(t, json.Unmarshal(line, &members))
		if members["msg"] != "call" && members["msg"] != "event" {
			continue
		}
		if took, _ := members["took"].(float64); took <= 0 {
			t.Errorf("the line %s says that it took %v, want more than no time", line, members["took"])
		}
		id, _ := members["call_id"].(string)
		members["call_id"] = id[:max(0, strings.LastIndexByte(id, '.'))]
		delete(members, "took")
		delete(members, "time")
		lines = append(lines, members)
	}
	return lines
}

func TestLogHasOneLineACallAndAnEvent(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	log := new(logged)
	s := echo(newBrokerWith(t, nameko.Config{URL: url, Log: slog.New(slog.NewJSONHandler(log, nil))}))
	handled := make(chan struct{}, 1)
	s.HandleEvent(nameko.Subscription{Source: "shop", Event: "opened", Method: "greet"}, func(context.Context, nameko.Event) error {
		handled <- struct{}{}
		return nil
	})
	s.HandleEvent(nameko.Subscription{Source: "shop", Event: "closed", Method: "leave", Unreliable: true}, func(context.Context, nameko.Event) error {
		return errors.Join(nameko.ErrUnusable, errors.New("secret"))
	})
	start(t, s)
	p := newPeer(t, url)
	m := p.request(`{"args": ["password"], "kwargs": {}}`)
	m.Headers["nameko.request_id"] = "r-1"
	p.call(t, "echo", m)
	m.Headers["nameko.request_id"] = strings.Repeat("r", 1000)
	p.call(t, "nope", m)
	p.call(t, "panic", p.request(`{"args": [], "kwargs": {}}`))
	event := amqp.Publishing{Headers: amqp.Table{"nameko.request_id": "r-2"}, ContentType: "application/json", Body: []byte(`"secret"`)}
	must(t, p.ch.Publish("shop.events", "opened", true, false, event))
	must(t, p.ch.Publish("shop.events", "closed", true, false, event))
	receive(t, "the event", handled)
	eventually(t, "a line of each", func() bool { return log.count(`"msg":"call"`) == 3 && log.count(`"msg":"event"`) == 2 })
	line := func(members map[string]any) map[string]any {
		members["level"], members["service"] = "INFO", "echo"
		return members
	}
	call := func(method, requestID, outcome string) map[string]any {
		members := line(map[string]any{"msg": "call", "call_id": "echo." + method, "method": method, "outcome": outcome})
		if requestID != "" {
			members["request_id"] = requestID
		}
		return members
	}
	want := []map[string]any{
		call("echo", "r-1", "ok"),
		call("nope", strings.Repeat("r", 255), "nameko.exceptions.MethodNotFound"),
		call("panic", "", "builtins.RuntimeError"),
		line(map[string]any{"msg": "event", "call_id": "echo.greet", "method": "greet", "event": "opened", "request_id": "r-2", "outcome": "ok"}),
		line(map[string]any{"msg": "event", "call_id": "echo.leave", "method": "leave", "event": "closed", "request_id": "r-2", "outcome": "failed"}),
	}
	got := log.lines(t)
	if len(got) == 5 && got[3]["event"] == "closed" { // two queues
		got[3], got[4] = got[4], got[3]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if log.count("password") > 0 {
		t.Error("the log shows arguments")
	}
}
