package faults_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// F14: messages that no service can make anything of are among the others, and
// handlers panic. The others are served, and no process ends.
func TestF14Poison(t *testing.T) {
	f, r := startFleet(t, fleetOption{env: "HANGAR_PANIC=products.hold:31,products.take:17,orders.held:37"})
	r.panics = true
	before := f.pids()
	stop := r.keepBuying(t, 200)
	defer stop()
	ch := f.channel(t)
	defer ch.Close()
	sent := 0
	for range runs(1, 20) {
		for _, p := range poison() {
			r.flows(t, 3)
			ch.publish(t, p.exchange, p.key, p.message)
			sent++
			if p.exchange == "orders.events" {
				f.poison++
			}
		}
	}
	ch.flush(t)
	r.flows(t, 100)
	stop()
	settled, of := r.succeeded()
	if settled != of {
		t.Errorf("%d of %d purchases succeeded, want all", settled, of)
	}
	if after := f.pids(); after != before {
		t.Errorf("processes ended: their ids were %s and are %s", before, after)
	}
	note := fmt.Sprintf("%d of %d purchases succeeded, %d messages parked", settled, of, f.poison)
	row{"F14: poison messages and panics", sent, f.heal(t, r), nil, note}.report(t)
}

// pids returns the ids of the processes that run.
func (f *fleet) pids() string {
	var ids []string
	for _, p := range f.programs() {
		select {
		case <-p.exited:
			ids = append(ids, "ended")
		default:
			ids = append(ids, fmt.Sprint(p.cmd.Process.Pid))
		}
	}
	return strings.Join(ids, " ")
}

// poisonous is a message that is no request, or no event, or kills a Python
// service.
type poisonous struct {
	exchange, key string
	message       amqp.Publishing
}

func poison() []poisonous {
	const call = `{"args": ["balloon"], "kwargs": {}}`
	var list []poisonous
	for _, change := range requestChanges() {
		for _, method := range []string{"products.get", "products.hold", "orders.create_order"} {
			m := message(call)
			m.CorrelationId, m.ReplyTo, m.Expiration = "poison", "nobody", "5000"
			m.Headers = amqp.Table{"nameko.call_id_stack": []any{"poison.call.1"}}
			change(&m)
			list = append(list, poisonous{"nameko-rpc", method, m})
		}
	}
	for _, method := range []string{"products.", "products.__init__", "orders.missing", "orders.LIST"} {
		list = append(list, poisonous{"nameko-rpc", method, message(call)})
	}
	for _, body := range []string{
		"", "{", "null", "[]", `"text"`, "1", "\xff\xfe", `{"order": null}`, `{"order": []}`, `{"order": {}}`, `{"order": {"id": 0}}`,
		`{"order": {"id": "x"}}`, `{"order": {"id": 1.5, "order_details": []}}`, `{"order": {"id": 7000001, "order_details": {}}}`,
		`{"order": {"id": 7000002, "order_details": [{"product_id": "balloon", "quantity": "many"}]}}`,
	} {
		list = append(list, poisonous{"orders.events", "order_created", message(body)})
	}
	for _, change := range []func(*amqp.Publishing){
		func(m *amqp.Publishing) { m.ContentType = "application/x-python-serialize" },
		func(m *amqp.Publishing) { m.Headers = amqp.Table{"compression": "application/x-gzip"} },
		func(m *amqp.Publishing) { m.Headers = amqp.Table{"compression": int32(7)} },
	} {
		m := message(`{"order": {"id": 7000003, "order_details": []}}`)
		change(&m)
		list = append(list, poisonous{"orders.events", "order_created", m})
	}
	return list
}

func message(body string) amqp.Publishing {
	return amqp.Publishing{ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: 2, Body: []byte(body)}
}

// requestChanges are what makes poison of a request.
func requestChanges() []func(*amqp.Publishing) {
	changes := []func(*amqp.Publishing){
		func(m *amqp.Publishing) { m.ReplyTo = "" },
		func(m *amqp.Publishing) { m.ContentType = "" },
		func(m *amqp.Publishing) { m.ContentType = "application/x-python-serialize" },
		func(m *amqp.Publishing) { m.CorrelationId = "" },
		func(m *amqp.Publishing) { m.Headers = nil },
		func(m *amqp.Publishing) { m.Headers = amqp.Table{"nameko.call_id_stack": int32(1)} },
		func(m *amqp.Publishing) { m.Headers = amqp.Table{"nameko.call_id_stack": "text"} },
		func(m *amqp.Publishing) {
			m.Headers = amqp.Table{"nameko.call_id_stack": []any{int64(1), nil, amqp.Table{}, time.Unix(0, 0)}}
		},
		func(m *amqp.Publishing) { m.Headers = amqp.Table{"nameko.deadline_ms": "soon"} },
		func(m *amqp.Publishing) { m.Headers = amqp.Table{"compression": "application/x-gzip"} },
	}
	for _, body := range []string{
		"", "{", "null", "[]", `"text"`, "1", "\xff\xfe", `{"args": []}`, `{"kwargs": {}}`, `{"args": null, "kwargs": {}}`,
		`{"args": [], "kwargs": null}`, `{"args": {"a": 1}, "kwargs": {}}`, `{"args": [1, 2, 3, 4, 5], "kwargs": {}}`,
		`{"args": [NaN], "kwargs": {}}`, `{"args": [{"__type__": "nothing", "__value__": {}}], "kwargs": {}}`,
		`{"args": [` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `], "kwargs": {}}`,
	} {
		changes = append(changes, func(m *amqp.Publishing) { m.Body = []byte(body) })
	}
	return changes
}
