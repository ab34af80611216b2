package nameko

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/trace"

	"hangar/tracing"
)

// Config is how to reach and to use a broker. Both ends must agree on Exchange.
type Config struct {
	URL  string      // amqp://, amqps:// or pyamqp://user:password@host:port/vhost
	TLS  *tls.Config // for amqps://; nil trusts what the system does
	SASL string      // PLAIN or AMQPLAIN; "" is PLAIN

	Heartbeat   time.Duration // 0 is 10 s; a connection that is silent for two of them is given up
	Exchange    string        // of requests and replies; "" is nameko-rpc
	ParentCalls int           // ids of callers that travel along; 0 is 10

	AutoDeleteEventExchanges bool // must be the same at both ends
	KeepEventExchanges       bool // event exchanges are made by somebody else

	// RetryDelays are how long an event waits after each failure, 1 ms to 49 days.
	// After one more it is parked. Empty is DefaultRetryDelays. Instances that share
	// a queue may differ.
	RetryDelays []time.Duration

	// Log is nil for slog.Default(). It has one line for each call and event that is
	// handled; of other messages that repeat, some are left out.
	Log   *slog.Logger
	Meter Meter // nil is none

	// Traces makes the spans of calls and events that are handled, and of events
	// that are published in a trace; nil makes none. Those of calls that are made
	// belong to the span in their context.
	Traces trace.TracerProvider
}

// Broker is a connection to RabbitMQ that is made again whenever it is lost.
// It is two: RabbitMQ slows down those that publish too fast, and what comes
// in must not wait for that.
type Broker struct {
	config     Config
	lines      *slog.Logger // of calls and events; leaves out nothing
	tracer     trace.Tracer // nil makes no spans
	publishing *link
	consuming  *link
	inquiry    inquiry
	patience   patience

	mu      sync.Mutex
	outlets []*outlet
	start   func(*outlet) // nil while Run is not running
}

// patience bounds how long those wait who use a broker.
type patience struct {
	call       time.Duration // for a reply, whatever deadline the call's context has
	connection time.Duration // for a connection
	publish    time.Duration // for a connection and the confirms
}

// NewBroker returns a broker and does not connect yet: Run does. The error is
// about the configuration.
func NewBroker(c Config) (*Broker, error) {
	if rest, ok := strings.CutPrefix(c.URL, "pyamqp://"); ok { // kombu's name for its own driver
		c.URL = "amqp://" + rest
	}
	if _, err := amqp.ParseURI(c.URL); err != nil {
		return nil, errors.New("not the URL of a broker, such as amqp://user:password@host:5672/vhost") // err may show the password
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 10 * time.Second
	}
	if c.Exchange == "" {
		c.Exchange = "nameko-rpc"
	}
	if c.ParentCalls == 0 {
		c.ParentCalls = 10
	}
	if len(c.RetryDelays) == 0 {
		c.RetryDelays = DefaultRetryDelays()
	}
	if err := checkDelays(c.RetryDelays); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	lines := c.Log
	c.Log = calmLog(c.Log)
	if c.Meter == nil {
		c.Meter = unmeasured{}
	}
	return &Broker{
		config:     c,
		lines:      lines,
		tracer:     tracing.Tracer(c.Traces),
		publishing: newLink(c, "publish"),
		consuming:  newLink(c, "consume"),
		patience:   patience{call: longestWait, connection: brokerPatience, publish: publishPatience},
	}, nil
}

// Run keeps the connections up until ctx is done, then closes them and returns
// nil. A broker that cannot be reached is tried again for ever.
func (b *Broker) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { b.publishing.run(ctx) })
	running.Go(func() { b.consuming.run(ctx) })
	b.startOutlets(func(o *outlet) { running.Go(func() { o.run(ctx) }) })
	<-ctx.Done()
	b.startOutlets(nil)
	running.Wait()
	return nil
}

// startOutlets starts the outlets there are, and those to come.
func (b *Broker) startOutlets(start func(*outlet)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.start = start
	if start == nil {
		return
	}
	for _, o := range b.outlets {
		start(o)
	}
}

// addOutlet returns a new outlet, which Run keeps open.
func (b *Broker) addOutlet(confirms bool, setUp func(*session) error) *outlet {
	o := &outlet{broker: b, confirms: confirms, setUp: setUp}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outlets = append(b.outlets, o)
	if b.start != nil {
		b.start(o)
	}
	return o
}

// declareExchange makes the exchange of requests and replies.
func (b *Broker) declareExchange(ch *amqp.Channel) error {
	return ch.ExchangeDeclare(b.config.Exchange, amqp.ExchangeTopic, true, false, false, false, nil)
}

// declareEvents makes the exchange of a service's events.
func (b *Broker) declareEvents(ch *amqp.Channel, source string) error {
	if b.config.KeepEventExchanges {
		return nil
	}
	return ch.ExchangeDeclare(eventExchange(source), amqp.ExchangeTopic, true, b.config.AutoDeleteEventExchanges, false, false, nil)
}
