package nameko_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
	"hangar/nameko"
)

// busyService has two workers. Calls of its method slow, and its events, say
// that they run, and end when they are told to.
type busyService struct {
	*nameko.Server
	running chan struct{}
	finish  chan struct{}
}

func newBusyService(b *nameko.Broker, prefetch int) *busyService {
	s := &busyService{nameko.NewServer(b, "busy", 2, prefetch), make(chan struct{}), make(chan struct{})}
	s.Handle("slow", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		s.running <- struct{}{}
		<-s.finish
		return "done", nil
	})
	s.HandleEvent(nameko.Subscription{Source: "busy_test", Event: "happened", Method: "handle"}, func(context.Context, nameko.Event) error {
		s.running <- struct{}{}
		<-s.finish
		return nil
	})
	s.RefuseWhenBusy(nameko.Errorf("test.exceptions.Busy", "Too much to do"))
	return s
}

// callSlow calls without waiting, and sends what came of it. Each call is of
// another client, so that it comes in a message of its own.
func callSlow(t *testing.T, b *nameko.Broker, errs chan<- error) {
	c := newClient(t, b)
	go func() {
		_, err := c.Call(t.Context(), nameko.Call{Service: "busy", Method: "slow"})
		errs <- err
	}()
}

func TestBusyServiceRefusesCalls(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	s := newBusyService(broker, 0)
	start(t, s.Server)
	const room, more = 4, 3 // two run and two wait
	errs := make(chan error, room+more)
	for range room + more {
		callSlow(t, broker, errs)
	}
	for range more {
		err := receive(t, "refusal", errs)
		refused, ok := errors.AsType[*nameko.Error](err)
		if !ok || refused.Path != "test.exceptions.Busy" || refused.Value != "Too much to do" {
			t.Errorf("a call of a busy service: %v, want test.exceptions.Busy", err)
		}
	}
	go func() {
		for range room {
			<-s.running
		}
	}()
	close(s.finish)
	for range room {
		if err := receive(t, "reply", errs); err != nil {
			t.Errorf("a call that was taken: %v, want its reply", err)
		}
	}
}

func TestBusyServiceRefusesNoEvents(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	s := newBusyService(broker, 0)
	start(t, s.Server)
	p := nameko.NewPublisher(broker, "busy_test")
	const events = 20
	for range events {
		must(t, p.Publish(t.Context(), nameko.Event{Type: "happened", Payload: []byte(`{}`)}))
	}
	close(s.finish)
	for range events {
		receive(t, "handled event", s.running)
	}
}

// A refusal is an exception like any other, also to those that are not hangar's.
func TestRefusalOnTheWire(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	s := newBusyService(broker, 0)
	start(t, s.Server)
	ch := dial(t, url)
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	must(t, err)
	must(t, ch.QueueBind(q.Name, "the-reply", "nameko-rpc", false, nil))
	replies, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	must(t, err)
	call := func(id, replyTo string) {
		must(t, ch.Publish("nameko-rpc", "busy.slow", true, false, amqp.Publishing{
			ContentType: "application/json", CorrelationId: id, ReplyTo: replyTo, Body: []byte(`{"args": [], "kwargs": {}}`),
		}))
	}
	const room = 4 // two run and two wait
	for i := range room {
		call(fmt.Sprint(i), "the-reply")
	}
	call("", "") // nobody to refuse; before the last, whose refusal shows that it was dropped
	call(fmt.Sprint(room), "the-reply")
	d := receive(t, "refusal", replies)
	want := `{"result":null,"error":{"exc_type":"Busy","exc_path":"test.exceptions.Busy","exc_args":["Too much to do"],"value":"Too much to do"}}`
	if string(d.Body) != want || d.CorrelationId != fmt.Sprint(room) || d.ContentType != "application/json" || d.ContentEncoding != "utf-8" {
		t.Errorf("refusal %s with correlation id %q, content type %q and encoding %q, want\n%s", d.Body, d.CorrelationId, d.ContentType, d.ContentEncoding, want)
	}
	go func() {
		for range room {
			<-s.running
		}
	}()
	close(s.finish)
	for range room {
		receive(t, "reply", replies)
	}
	eventually(t, "everything is acknowledged", func() bool {
		left, err := ch.QueueDeclarePassive("rpc-busy", true, false, false, false, nil)
		return err == nil && left.Messages == 0
	})
}

// A prefetch that is given counts: what is not fetched cannot be refused.
func TestPrefetchGoesBeforeRefusals(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	s := newBusyService(broker, 2)
	start(t, s.Server)
	const calls = 8
	errs := make(chan error, calls)
	for range calls {
		callSlow(t, broker, errs)
	}
	eventually(t, "the calls beyond the prefetch wait in the queue", func() bool {
		q, err := dial(t, url).QueueDeclarePassive("rpc-busy", true, false, false, false, nil)
		return err == nil && q.Messages == calls-2
	})
	go func() {
		for range calls {
			<-s.running
		}
	}()
	close(s.finish)
	for range calls {
		must(t, receive(t, "reply", errs))
	}
}

// A call that is delivered again may have been executed: a refusal would say that
// it was not.
func TestBusyServiceRefusesNoRedeliveredCall(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	start(t, newBusyService(broker, 0).Server)() // leaves its queue
	ch := dial(t, url)
	deliveries, err := ch.Consume("rpc-busy", "", false, false, false, false, nil)
	must(t, err)
	const calls = 8 // twice what runs and waits
	errs := make(chan error, calls)
	for range calls {
		callSlow(t, broker, errs)
	}
	for range calls {
		receive(t, "request", deliveries)
	}
	must(t, ch.Close())
	s := newBusyService(broker, 0)
	start(t, s.Server)
	go func() {
		for range calls {
			<-s.running
		}
	}()
	close(s.finish)
	for range calls {
		if err := receive(t, "end of a call", errs); err != nil {
			t.Errorf("a call that was delivered again: %v, want its reply", err)
		}
	}
}
