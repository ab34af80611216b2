package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// rawCalls is the limit of calls over a broker: request and reply of transient
// messages between two connections, each acknowledged, on the default exchange,
// without confirms, 64 in flight.
type rawCalls struct {
	client, server *amqp.Connection
	requests       *amqp.Channel
	replyQueue     string
	body           []byte

	mu    sync.Mutex
	waits map[string]chan struct{}
	last  atomic.Int64
}

const rawQueue = "hangar-perf-raw"

func openRawCalls(url string, body []byte) (_ *rawCalls, err error) {
	r := &rawCalls{body: body, waits: make(map[string]chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.server, err = amqp.Dial(url); err != nil {
		return nil, err
	}
	if r.client, err = amqp.Dial(url); err != nil {
		return nil, err
	}
	if err := r.answer(); err != nil {
		return nil, err
	}
	if r.requests, err = r.client.Channel(); err != nil {
		return nil, err
	}
	q, err := r.requests.QueueDeclare("", true, true, false, false, nil)
	if err != nil {
		return nil, err
	}
	r.replyQueue = q.Name
	replies, err := r.requests.Consume(q.Name, "", false, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	go func() { // ends with the connection
		for d := range replies {
			if d.Ack(false) != nil {
				return // the calls that wait fail
			}
			r.mu.Lock()
			close(r.waits[d.CorrelationId])
			delete(r.waits, d.CorrelationId)
			r.mu.Unlock()
		}
	}()
	return r, nil
}

// answer sends back every request.
func (r *rawCalls) answer() error {
	ch, err := r.server.Channel()
	if err != nil {
		return err
	}
	if _, err := ch.QueueDeclare(rawQueue, true, true, false, false, nil); err != nil {
		return err
	}
	requests, err := ch.Consume(rawQueue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	go func() { // ends with the connection
		for d := range requests {
			if d.Ack(false) != nil || ch.Publish("", d.ReplyTo, false, false, amqp.Publishing{CorrelationId: d.CorrelationId, Body: d.Body}) != nil {
				return // the caller's call fails
			}
		}
	}()
	return nil
}

func (r *rawCalls) call(ctx context.Context) error {
	id := strconv.FormatInt(r.last.Add(1), 10)
	done := make(chan struct{})
	r.mu.Lock()
	r.waits[id] = done
	r.mu.Unlock()
	err := r.requests.Publish("", rawQueue, false, false, amqp.Publishing{CorrelationId: id, ReplyTo: r.replyQueue, Body: r.body})
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(30 * time.Second):
		return fmt.Errorf("call %s got no reply", id)
	}
}

func (r *rawCalls) close() error {
	var errs []error
	for _, conn := range []*amqp.Connection{r.client, r.server} {
		if conn != nil {
			errs = append(errs, conn.Close())
		}
	}
	return errors.Join(errs...)
}
