package nameko

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// DefaultWorkers is how many calls and events a service works on at once, unless
// it is told otherwise.
const DefaultWorkers = 100

// Handler is a method of a service. What it returns is encoded as JSON. An
// *Error goes to the caller as it is; of any other error the caller learns only
// that there was one, and the log has it. A handler runs again if its reply may
// have been lost.
type Handler func(ctx context.Context, args Args) (any, error)

// Server is a service: methods that others call, and handlers of events.
type Server struct {
	broker        *Broker
	service       string
	workers       int
	prefetch      int // as it was given
	log           *slog.Logger
	lines         *slog.Logger // of calls and events
	methods       map[string]method
	subscriptions []subscribed
	replies       *outlet
	outbox        *outbox       // to calls that came in bundles
	retries       *retries      // nil if no events are kept
	refusal       []byte        // body of the reply to a call that is refused; nil refuses none
	slots         chan struct{} // one for each call and event that is worked on
	waiting       atomic.Int64  // calls that wait for a slot
	running       sync.WaitGroup
	ready         chan struct{}
	setReady      func()
	stopping      <-chan struct{} // closed when Run is to return
}

type method struct {
	signature Signature
	handle    Handler
}

// handleDelivery handles an event; what it returns acknowledges.
type handleDelivery func(ctx context.Context, d *amqp.Delivery) (finish func())

// takeDelivery begins to work on a delivery, without waiting for it.
type takeDelivery func(ctx context.Context, in *intake, d amqp.Delivery)

// NewServer returns a service. It works on so many calls and events at once; 0
// is DefaultWorkers. The rest stays in the queue, for this instance or another.
// So many messages are fetched ahead of each queue, of which each may have several
// calls; 0 is as many as workers, and of calls as many as it takes to refuse some.
func NewServer(b *Broker, service string, workers, prefetch int) *Server {
	if workers <= 0 {
		workers = DefaultWorkers
	}
	s := &Server{
		broker:   b,
		service:  service,
		workers:  workers,
		prefetch: max(prefetch, 0),
		log:      b.config.Log.With("service", service),
		lines:    b.lines.With("service", service),
		methods:  make(map[string]method),
		slots:    make(chan struct{}, workers),
		ready:    make(chan struct{}),
	}
	s.setReady = sync.OnceFunc(func() { close(s.ready) })
	s.outbox = &outbox{server: s, to: make(map[string]*envelope)}
	s.replies = b.addOutlet(true, func(ses *session) error { return b.declareExchange(ses.channel) })
	return s
}

// Handle adds a method. It must be called before Run.
func (s *Server) Handle(name string, signature Signature, h Handler) {
	s.methods[name] = method{signature, h}
}

// Methods returns the signatures of the methods by their names. It must not be
// called beside Handle.
func (s *Server) Methods() map[string]Signature {
	signatures := make(map[string]Signature, len(s.methods))
	for name, m := range s.methods {
		signatures[name] = m.signature
	}
	return signatures
}

// RefuseWhenBusy makes the service answer a call with e, at once, while all
// workers are busy and as many calls as there are workers wait for one. So what
// it takes is answered in time, however many call. Of what is refused nothing is
// executed: so a call that is delivered again waits, and so do events, always. A prefetch that was given to NewServer must
// exceed twice the workers for this to happen. It must be called before Run.
func (s *Server) RefuseWhenBusy(e *Error) { s.refusal = encodeError(e) }

// Ready is closed when the service has begun to take calls.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run takes calls and events until ctx is done, finishes those that have begun,
// and returns nil. What it has fetched beyond them goes back to its queue, for
// another instance. It waits for a broker that is not there.
func (s *Server) Run(ctx context.Context) error {
	s.stopping = ctx.Done()
	defer s.running.Wait()
	var pause backoff
	for {
		err := s.serve(ctx, func() { pause = backoff{} })
		if ctx.Err() != nil {
			return nil
		}
		s.log.Warn("calls cannot be taken, will try again", "error", err)
		pause.sleep(ctx)
	}
}

// serve takes calls until the channel is lost or ctx is done.
func (s *Server) serve(ctx context.Context, begun func()) error {
	conn, err := s.broker.consuming.connected.wait(ctx)
	if err != nil {
		return err
	}
	ch, err := conn.channel()
	if err != nil {
		return err
	}
	defer ch.Close() // says no more than that it is closed already
	lost := ch.NotifyClose(make(chan *amqp.Error, 1))
	in := &intake{channel: ch, ended: make(chan error, len(s.subscriptions)+1), cancelled: make(chan struct{})}
	if err := s.consumeAll(context.WithoutCancel(ctx), in); err != nil {
		return err
	}
	begun()
	s.setReady()
	s.log.Info("the service takes calls", "workers", s.workers)
	select {
	case <-ctx.Done():
		err := in.cancel()
		s.running.Wait() // they reply before the channel is closed
		return err
	case err := <-in.ended:
		return err
	case err := <-lost:
		return closed(err)
	}
}

// intake is where a service takes calls and events from, until the channel is
// lost.
type intake struct {
	channel   *amqp.Channel
	tags      []string      // of its consumers
	ended     chan error    // why a consumer ended
	cancelled chan struct{} // closed when nothing more is fetched
}

// cancel stops the consumers. Not before that may anything go back to its queue:
// it would be fetched again.
func (in *intake) cancel() error {
	var errs []error
	for _, tag := range in.tags {
		errs = append(errs, in.channel.Cancel(tag, false))
	}
	close(in.cancelled)
	return errors.Join(errs...)
}

// consumeAll starts to consume all queues.
func (s *Server) consumeAll(ctx context.Context, in *intake) error {
	ch := in.channel
	consume := func(queue string, prefetch int, take takeDelivery) error {
		tag := fmt.Sprintf("%s-%d", s.service, len(in.tags)+1)
		if err := s.limitPrefetch(ch, prefetch); err != nil {
			return err
		}
		deliveries, err := ch.Consume(queue, tag, false, false, false, false, nil)
		if err != nil {
			return fmt.Errorf("consume %s: %w", queue, err)
		}
		in.tags = append(in.tags, tag)
		s.running.Go(func() {
			for d := range deliveries {
				take(ctx, in, d)
			}
			in.ended <- fmt.Errorf("the consumer of %s was cancelled", queue)
		})
		return nil
	}
	if len(s.methods) > 0 {
		queue, err := s.declareMethods(ch)
		if err != nil {
			return err
		}
		if err := consume(queue, s.prefetchOfCalls(), s.takeCall); err != nil {
			return err
		}
	}
	for _, sub := range s.subscriptions {
		queue, err := s.broker.declareSubscription(ch, s.service, sub.Subscription)
		if err != nil {
			return err
		}
		if err := consume(queue, s.workers, s.takeEvent(s.follow(sub, queue))); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) declareMethods(ch *amqp.Channel) (queue string, err error) {
	if err := s.broker.declareExchange(ch); err != nil {
		return "", fmt.Errorf("declare the exchange: %w", err)
	}
	queue = CallQueue(s.service)
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		return "", fmt.Errorf("declare the queue %s: %w", queue, err)
	}
	return queue, ch.QueueBind(queue, s.service+".*", s.broker.config.Exchange, false, nil)
}

// prefetchOfCalls returns how many calls are fetched ahead. To be refused they
// have to be fetched: beside those that run and those that wait, there are as
// many again whose refusal is on its way.
func (s *Server) prefetchOfCalls() int {
	if s.refusal == nil {
		return s.workers
	}
	return 4 * s.workers
}

// limitPrefetch says how much the next consumer is to fetch ahead, unless that
// was given.
func (s *Server) limitPrefetch(ch *amqp.Channel, prefetch int) error {
	if s.prefetch > 0 {
		prefetch = s.prefetch
	}
	if err := ch.Qos(min(prefetch, math.MaxUint16), 0, false); err != nil { // AMQP's limit
		return fmt.Errorf("limit what is fetched ahead: %w", err)
	}
	return nil
}

// takeCall takes what a message asks for.
func (s *Server) takeCall(ctx context.Context, in *intake, d amqp.Delivery) {
	arrived := time.Now()
	method := d.RoutingKey[strings.LastIndexByte(d.RoutingKey, '.')+1:]
	if method == callMany {
		s.running.Go(func() { s.takeBundle(ctx, in, &d, arrived) })
		return
	}
	s.take(ctx, in, s.newRequest(&d, method, arrived))
}

// take works on a call as soon as there is a slot, or refuses it. It does not
// wait itself: the call's time runs meanwhile.
func (s *Server) take(ctx context.Context, in *intake, r *request) {
	select {
	case s.slots <- struct{}{}:
		s.running.Go(func() { s.work(ctx, in, r) })
		return
	default:
	}
	// One that was delivered before may have been executed: a refusal would say it
	// was not.
	if s.refusal != nil && !r.redelivered && s.waiting.Load() >= int64(s.workers) {
		s.log.Warn("calls are refused: all workers are busy, and enough others wait", "workers", s.workers)
		s.measure(r, CallRefused)
		s.running.Go(func() { r.from.refuse(r) })
		return
	}
	s.waiting.Add(1)
	s.running.Go(func() {
		began := s.awaitSlot(in)
		s.waiting.Add(-1)
		if !began {
			r.from.giveBack(r)
			return
		}
		s.work(ctx, in, r)
	})
}

// work executes a request in a slot, and ends it without.
func (s *Server) work(ctx context.Context, in *intake, r *request) {
	s.inSlot(func() (finish func()) {
		if in.channel.IsClosed() {
			return func() { r.from.giveBack(r) } // it is delivered again
		}
		return s.answer(ctx, r)
	})
}

// takeEvent returns what works on an event as soon as there is a slot. How many
// wait is bounded by what is fetched ahead.
func (s *Server) takeEvent(handle handleDelivery) takeDelivery {
	return func(ctx context.Context, in *intake, d amqp.Delivery) {
		s.running.Go(func() {
			if !s.awaitSlot(in) {
				s.giveBack(&d)
				return
			}
			s.inSlot(func() (finish func()) {
				if in.channel.IsClosed() {
					return func() {} // it is delivered again
				}
				return handle(ctx, &d)
			})
		})
	}
}

// awaitSlot takes a slot. It reports false if the service stops before there is
// one: then the delivery is for another instance.
func (s *Server) awaitSlot(in *intake) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	case <-in.cancelled:
		return false
	}
}

// inSlot does what is done in the slot that was taken, and finishes without.
func (s *Server) inSlot(handle func() (finish func())) {
	finish := func() func() {
		defer func() { <-s.slots }()
		return handle()
	}()
	finish()
}
