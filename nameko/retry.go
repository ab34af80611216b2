package nameko

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// longestDelay is the most that a message may wait in a queue, by RabbitMQ's
	// limit of 2^32 ms, rounded down.
	longestDelay = 49 * 24 * time.Hour

	// maxParked is how many events of a queue are parked, and how many wait for
	// each time. What cannot be parked is tried again instead, and what cannot wait
	// goes back into its queue.
	maxParked = 100_000

	// maxSetAside is how many events may be on their way to be set aside.
	maxSetAside = 1000
)

// DefaultRetryDelays returns how long an event waits after its first failure,
// after the second, and so on: 1 s, 5 s, 30 s, 2 min, 10 min, and then an hour
// eight times. A database that is away overnight parks nothing.
func DefaultRetryDelays() []time.Duration {
	delays := []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
	for range 8 {
		delays = append(delays, time.Hour)
	}
	return delays
}

func checkDelays(delays []time.Duration) error {
	for _, d := range delays {
		if d < time.Millisecond || d > longestDelay {
			return fmt.Errorf("an event cannot wait for %v, only for 1 ms to %v", d, longestDelay)
		}
	}
	return nil
}

// retryQueue is where events of a queue wait that are tried again after so long.
// It has one length of time, so that none waits behind another that has longer.
func retryQueue(queue string, delay time.Duration) string {
	return queueFor("hangar.retry-", queue, fmt.Sprintf("-%dms", delay.Milliseconds()))
}

// parkedQueue is where events of a queue are kept that are not tried again.
func parkedQueue(queue string) string { return queueFor("hangar.parked-", queue, "") }

// queueFor returns a name with another queue's in it, or with a part of that and
// its hash if the name would be too long.
func queueFor(before, queue, after string) string {
	if room := maxName - len(before) - len(after); len(queue) > room {
		hash := fmt.Sprintf("~%x", sha256.Sum256([]byte(queue)))
		queue = queue[:room-len(hash)] + hash
	}
	return before + queue + after
}

// retryArgs asks for a quorum queue, which keeps a message until it has arrived in the
// queue that it goes back to. A classic queue lets go of it as it is sent there, and
// it is in neither if the broker dies just then.
func retryArgs(queue string, delay time.Duration) amqp.Table {
	return amqp.Table{
		"x-queue-type":              "quorum",
		"x-dead-letter-strategy":    "at-least-once",
		"x-max-length":              int64(maxParked),
		"x-overflow":                "reject-publish",
		"x-message-ttl":             delay.Milliseconds(),
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": queue,
	}
}

// parkedArgs asks for a classic queue: looking at what is parked is no delivery
// that counts.
func parkedArgs() amqp.Table {
	return amqp.Table{"x-queue-type": "classic", "x-max-length": int64(maxParked), "x-overflow": "reject-publish"}
}

// retries sets events aside whose handling failed: for a while, or for good. The
// queues for that are made when they are first needed.
type retries struct {
	broker  *Broker
	log     *slog.Logger
	courier *courier

	mu       sync.Mutex
	declared map[string]bool // by name; forgotten when the courier's channel is lost
}

func newRetries(b *Broker, log *slog.Logger) *retries {
	r := &retries{broker: b, log: log}
	r.courier = b.newCourier(maxSetAside, 1, func(*session) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.declared = make(map[string]bool)
		return nil
	})
	return r
}

// setAside returns when a failed event is in another queue, to come back into
// this one or to be parked there. After an error it may be.
func (r *retries) setAside(d *amqp.Delivery, queue string, f failure, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), r.broker.patience.publish)
	defer cancel()
	log := r.log.With("queue", queue, "event", f.event, "tries", f.tries, "error", cause)
	delays := r.broker.config.RetryDelays
	if int(f.tries) <= len(delays) && !errors.Is(cause, ErrUnusable) {
		delay := delays[f.tries-1]
		log.Warn("an event could not be handled, will be tried again", "after", delay)
		return r.retry(ctx, d, queue, f, delay)
	}
	err := r.park(ctx, d, queue, f, cause)
	if err == nil {
		log.Error("an event is parked")
		return nil
	}
	delay := slices.Max(delays)
	log.Error("an event could not be parked, will be tried again", "after", delay, "not_parked", err)
	return r.retry(ctx, d, queue, f, delay)
}

func (r *retries) retry(ctx context.Context, d *amqp.Delivery, queue string, f failure, delay time.Duration) error {
	return r.put(ctx, retryQueue(queue, delay), retryArgs(queue, delay), failedCopy(d, f))
}

func (r *retries) park(ctx context.Context, d *amqp.Delivery, queue string, f failure, cause error) error {
	f.parked, f.reason = time.Now(), cause.Error()
	return r.put(ctx, parkedQueue(queue), parkedArgs(), failedCopy(d, f))
}

// put delivers a message to a queue, which it makes if it may not be there.
func (r *retries) put(ctx context.Context, queue string, args amqp.Table, message amqp.Publishing) error {
	if err := r.declare(ctx, queue, args); err != nil {
		return err
	}
	return r.courier.deliver(ctx, publication{key: queue, mandatory: true, message: message})
}

// declare makes a queue, once. It does so where messages come in: there RabbitMQ
// answers even when it accepts none.
func (r *retries) declare(ctx context.Context, queue string, args amqp.Table) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.declared[queue] {
		return nil
	}
	conn, err := r.broker.consuming.connected.wait(ctx)
	if err != nil {
		return err
	}
	ch, err := conn.channel()
	if err != nil {
		return err
	}
	defer ch.Close() // says no more than that it is closed already
	if _, err := ch.QueueDeclare(queue, true, false, false, false, args); err != nil {
		return fmt.Errorf("declare the queue %s: %w", queue, err)
	}
	if r.declared != nil {
		r.declared[queue] = true
	}
	return nil
}
