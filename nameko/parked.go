package nameko

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// startOfBody is how much of a parked event's body is shown, in bytes.
	startOfBody = 1000

	// replayBatch is how many parked events are put back at a time.
	replayBatch = 100
)

// Queue returns the name of the queue that its events come to. Each call for a
// Broadcast gives another.
func (s Subscriber) Queue() string { return s.queue(s.Service) }

// Parked are the events of a queue that are not tried again by themselves:
// because they never can be handled, or because they failed too often.
type Parked struct {
	broker  *Broker
	queue   string
	courier *courier
}

// ParkedEvent is an event that is parked. Who parked it wrote all but the body;
// what it did not is zero.
type ParkedEvent struct {
	Type     string
	ParkedAt time.Time
	FailedAt time.Time // for the first time
	Tries    int64     // that failed
	Reason   string    // why the last one did, up to 1,000 bytes
	Body     []byte    // its beginning, up to 1,000 bytes
	Size     int       // of all the body, in bytes
}

// NewParked returns what is parked of the events that come to a queue.
func NewParked(b *Broker, queue string) *Parked {
	p := &Parked{broker: b, queue: queue}
	p.courier = b.newCourier(1, replayBatch, func(*session) error { return nil })
	return p
}

// List returns the events that were parked first, at most that many, which is 1 or
// more, and how many there are. It takes none away; but one that somebody else is looking at
// or putting back at the same time is missing.
func (p *Parked) List(ctx context.Context, most int) (events []ParkedEvent, all int, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.broker.patience.publish)
	defer cancel()
	ch, err := p.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer ch.Close()
	last, all, err := p.take(ctx, ch, most, func(d *amqp.Delivery) { events = append(events, parkedEvent(d)) })
	if last != nil {
		_ = last.Nack(true, true) // gives all back now; closing does, too, but later than it says
	}
	return events, all, err
}

// Replay puts events back into their queue, those first that were parked first,
// at most that many, and returns how many. They have not failed yet, then. If it
// is interrupted, some may be both parked and put back.
func (p *Parked) Replay(ctx context.Context, most int) (replayed int, err error) {
	ch, err := p.open(ctx)
	if err != nil {
		return 0, err
	}
	defer ch.Close() // gives back what was not replayed
	for replayed < most {
		n, all, err := p.replayBatch(ctx, ch, min(most-replayed, replayBatch))
		if replayed == 0 {
			most = min(most, all) // not those that are parked again meanwhile
		}
		replayed += n
		if err != nil {
			return replayed, err
		}
		if n == 0 {
			break // somebody else has taken the rest
		}
	}
	return replayed, nil
}

// replayBatch puts some events back, and returns also how many there were. Only
// when they are there it takes them away from here.
func (p *Parked) replayBatch(ctx context.Context, ch *amqp.Channel, most int) (replayed, all int, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.broker.patience.publish)
	defer cancel()
	var batch []publication
	last, all, err := p.take(ctx, ch, most, func(d *amqp.Delivery) {
		f := failure{event: readFailure(d.Headers).event}
		batch = append(batch, publication{key: p.queue, mandatory: true, message: failedCopy(d, f)})
	})
	if err != nil || last == nil {
		return 0, all, err
	}
	if err := p.courier.deliver(ctx, batch...); err != nil {
		return 0, all, fmt.Errorf("put events back into %s: %w", p.queue, err)
	}
	if err := last.Ack(true); err != nil {
		return 0, all, fmt.Errorf("%d events are back in %s and may be parked still: %w", len(batch), p.queue, err)
	}
	return len(batch), all, nil
}

// open returns a channel to take parked events from.
func (p *Parked) open(ctx context.Context) (*amqp.Channel, error) {
	ctx, cancel := context.WithTimeout(ctx, p.broker.patience.connection)
	defer cancel()
	conn, err := p.broker.consuming.connected.wait(ctx)
	if err != nil {
		return nil, err
	}
	return conn.channel()
}

// take takes events, and returns the last, and how many there were before; nil and
// 0 if there was none, or no queue for them. When the channel is closed they are
// back, unless they were acknowledged.
//
// The broker counts them as it takes the first: to a question for the queue's length
// it may answer before it has put back what somebody gave back.
func (p *Parked) take(ctx context.Context, ch *amqp.Channel, most int, each func(*amqp.Delivery)) (last *amqp.Delivery, all int, err error) {
	for range most {
		if err := ctx.Err(); err != nil {
			return last, all, err
		}
		d, ok, err := ch.Get(parkedQueue(p.queue), false)
		if missing, is := errors.AsType[*amqp.Error](err); is && missing.Code == amqp.NotFound {
			break
		}
		if err != nil {
			return last, all, fmt.Errorf("take a parked event of %s: %w", p.queue, err)
		}
		if !ok {
			break
		}
		if last == nil {
			all = int(d.MessageCount) + 1
		}
		each(&d)
		last = &d
	}
	return last, all, nil
}

func parkedEvent(d *amqp.Delivery) ParkedEvent {
	f := readFailure(d.Headers)
	body, err := bodyOf(d)
	if err != nil {
		body = d.Body // as it came
	}
	return ParkedEvent{
		Type:     f.event,
		ParkedAt: f.parked,
		FailedAt: f.failed,
		Tries:    f.tries,
		Reason:   f.reason,
		Body:     slices.Clone(body[:min(len(body), startOfBody)]),
		Size:     len(body),
	}
}
