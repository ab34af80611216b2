package nameko

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
)

// maxReason bounds what is written of an error into a header, in bytes.
const maxReason = 1000

// Headers of events that failed, beside those that they came with. Times are
// text, as RFC 3339 has them: Python passes on whatever it can read.
const (
	failurePrefix = "hangar."
	headerEvent   = failurePrefix + "event"     // the type: the routing key is that of the queue now
	headerTries   = failurePrefix + "tries"     // that failed
	headerFailed  = failurePrefix + "failed_at" // the first of them
	headerParked  = failurePrefix + "parked_at"
	headerReason  = failurePrefix + "reason"
)

// failure is what is known of an event whose handling has failed.
type failure struct {
	event  string
	tries  int64
	failed time.Time // for the first time; zero is not yet
	parked time.Time // zero is not
	reason string
}

// failureOf reads what an event says of itself. Only one that came back into the
// queue past all exchanges is believed: others have their type as routing key,
// and headers that anybody may have passed on.
func failureOf(d *amqp.Delivery, queue, event string) failure {
	if d.Exchange != "" || d.RoutingKey != queue {
		return failure{event: d.RoutingKey}
	}
	f := readFailure(d.Headers)
	if f.event == "" {
		f.event = event // somebody has put it into the queue by hand
	}
	return f
}

// readFailure reads headers. What makes no sense is left out.
func readFailure(headers amqp.Table) failure {
	f := failure{failed: timeIn(headers[headerFailed]), parked: timeIn(headers[headerParked])}
	if event, ok := headers[headerEvent].(string); ok && isName(event) {
		f.event = event
	}
	if tries, ok := millis(headers[headerTries]); ok {
		f.tries = min(max(0, tries), math.MaxInt32)
	}
	if reason, ok := headers[headerReason].(string); ok {
		f.reason = shortened(reason)
	}
	return f
}

func timeIn(header any) time.Time {
	text, _ := header.(string)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

func isName(s string) bool {
	return s != "" && len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// again returns the failure after one more.
func (f failure) again(now time.Time) failure {
	f.tries++
	if f.failed.IsZero() {
		f.failed = now
	}
	return f
}

// writeTo adds the headers of a failure.
func (f failure) writeTo(headers amqp.Table) {
	if f.event != "" {
		headers[headerEvent] = f.event
	}
	if f.tries > 0 {
		headers[headerTries] = f.tries
	}
	if !f.failed.IsZero() {
		headers[headerFailed] = f.failed.UTC().Format(time.RFC3339)
	}
	if !f.parked.IsZero() {
		headers[headerParked] = f.parked.UTC().Format(time.RFC3339)
		headers[headerReason] = shortened(f.reason)
	}
}

// shortened returns a text that fits into a header.
func shortened(text string) string {
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	return strings.ToValidUTF8(text, "")
}

// failedCopy returns a message as it came, marked with its failure, for another
// queue. It has no expiration, which is for its first queue, and no user, which
// the broker would compare with us.
func failedCopy(d *amqp.Delivery, f failure) amqp.Publishing {
	headers := ownHeaders(d.Headers)
	f.writeTo(headers)
	return amqp.Publishing{
		Headers:         headers,
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		DeliveryMode:    amqp.Persistent,
		Priority:        d.Priority,
		CorrelationId:   d.CorrelationId,
		ReplyTo:         d.ReplyTo,
		MessageId:       d.MessageId,
		Timestamp:       d.Timestamp,
		Type:            d.Type,
		AppId:           d.AppId,
		Body:            d.Body,
	}
}

// ownHeaders returns the headers that a message was published with. If they are
// too many to be sent on, only what it takes to read the body is left.
func ownHeaders(headers amqp.Table) amqp.Table {
	compression := amqp.Table{"compression": headers["compression"]}
	switch {
	case sizeOf(headers) <= maxHeaders/2:
	case sizeOf(compression) <= maxHeaders/2:
		headers = compression
	default:
		headers = nil
	}
	own := make(amqp.Table, len(headers))
	maps.Copy(own, headers)
	maps.DeleteFunc(own, func(name string, value any) bool {
		// The broker would send a copy to each queue in CC, too.
		return value == nil || isOfDelivery(name) || name == "CC" || name == "BCC" || amqp.Table{name: value}.Validate() != nil
	})
	return own
}

// ofDelivery are the beginnings of the names of headers that tell how a message
// got here: what we or RabbitMQ add to it.
func ofDelivery() []string {
	return []string{failurePrefix, "x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count"}
}

// isOfDelivery reports whether a header tells how a message got here; or how
// another one did, of which a Python service has passed it on.
func isOfDelivery(name string) bool {
	name = strings.TrimPrefix(name, headerPrefix)
	return slices.ContainsFunc(ofDelivery(), func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
