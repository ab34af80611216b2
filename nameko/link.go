package nameko

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	firstPause   = 100 * time.Millisecond // before a connection is tried again
	longestPause = 5 * time.Second
	dialTimeout  = 5 * time.Second // for the connection and its handshake
	closeTimeout = 3 * time.Second
)

// ErrNoBroker says that the broker was not connected, or did not accept
// messages, for as long as could be waited.
var ErrNoBroker = errors.New("no connection to the message broker")

// link is one connection, made again whenever it is lost.
type link struct {
	purpose string // for the log and the broker's list of connections
	config  Config

	mu      sync.Mutex
	conn    *amqp.Connection // nil while there is none
	cause   error            // why there is none
	blocked string           // why the broker accepts no messages; "" if it does
	changed chan struct{}    // closed at the next change of these
}

func newLink(c Config, purpose string) *link {
	return &link{purpose: purpose, config: c, changed: make(chan struct{})}
}

// run keeps the connection up until ctx is done.
func (l *link) run(ctx context.Context) {
	log := l.config.Log.With("connection", l.purpose)
	var pause backoff
	for ctx.Err() == nil {
		conn, err := l.dial(ctx)
		if err != nil {
			l.set(nil, err)
			pause.warn(log, "waiting for the message broker", err)
			pause.sleep(ctx)
			continue
		}
		log.Info("connected to the message broker")
		pause = backoff{}
		lost := conn.NotifyClose(make(chan *amqp.Error, 1))
		blockings := conn.NotifyBlocked(make(chan amqp.Blocking, 10))
		l.set(conn, nil)
		err = l.watch(ctx, lost, blockings)
		l.set(nil, err)
		if ctx.Err() != nil {
			// The library says no more than that the connection is gone already.
			_ = conn.CloseDeadline(time.Now().Add(closeTimeout))
			return
		}
		log.Warn("lost the message broker, will connect again", "error", err)
		pause.sleep(ctx)
	}
}

// watch returns when the connection is lost or ctx is done.
func (l *link) watch(ctx context.Context, lost chan *amqp.Error, blockings chan amqp.Blocking) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-lost:
			if err == nil { // closed by us, elsewhere
				return amqp.ErrClosed
			}
			return err
		case b, ok := <-blockings:
			if !ok {
				blockings = nil
				continue
			}
			l.config.Log.Warn("the message broker has changed whether it accepts messages", "accepts", !b.Active, "reason", b.Reason)
			l.block(b)
		}
	}
}

func (l *link) dial(ctx context.Context) (*amqp.Connection, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName("hangar " + l.purpose)
	config := amqp.Config{
		TLSClientConfig: l.config.TLS,
		Heartbeat:       l.config.Heartbeat,
		Properties:      properties,
		Dial: func(network, addr string) (net.Conn, error) {
			return l.dialTCP(ctx, network, addr)
		},
	}
	if l.config.SASL == "AMQPLAIN" {
		uri, err := amqp.ParseURI(l.config.URL)
		if err != nil {
			return nil, err
		}
		config.SASL = []amqp.Authentication{uri.AMQPlainAuth()}
	}
	return amqp.DialConfig(l.config.URL, config)
}

func (l *link) dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil { // the library clears it after the handshake
		return nil, errors.Join(err, conn.Close())
	}
	return &impatientConn{conn, 2 * l.config.Heartbeat}, nil
}

// impatientConn gives up a silent peer after two heartbeats. The library waits
// for three.
type impatientConn struct {
	net.Conn
	patience time.Duration
}

// SetReadDeadline implements net.Conn.
func (c *impatientConn) SetReadDeadline(t time.Time) error {
	if earlier := time.Now().Add(c.patience); !t.IsZero() && earlier.Before(t) {
		t = earlier
	}
	return c.Conn.SetReadDeadline(t)
}

func (l *link) set(conn *amqp.Connection, cause error) {
	l.change(func() { l.conn, l.cause, l.blocked = conn, cause, "" })
}

func (l *link) block(b amqp.Blocking) {
	l.change(func() {
		l.blocked = ""
		if b.Active {
			l.blocked = "it is short of " + b.Reason
		}
	})
}

func (l *link) change(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	close(l.changed)
	l.changed = make(chan struct{})
}

// connection returns the connection, and waits for it if there is none. The
// error is ErrNoBroker, with the cause.
func (l *link) connection(ctx context.Context) (*amqp.Connection, error) {
	for {
		l.mu.Lock()
		conn, cause, changed := l.conn, l.cause, l.changed
		if l.blocked != "" {
			cause = errors.New("it accepts no messages: " + l.blocked)
		}
		l.mu.Unlock()
		if conn != nil && !conn.IsClosed() && cause == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			if cause == nil {
				cause = ctx.Err()
			}
			return nil, fmt.Errorf("%w: %w", ErrNoBroker, cause)
		case <-changed:
		}
	}
}

// backoff is a pause that doubles, with jitter, up to longestPause.
type backoff struct {
	pause  time.Duration
	warned time.Time
}

// sleep sleeps, or returns earlier when ctx is done.
func (b *backoff) sleep(ctx context.Context) {
	b.pause = max(firstPause, min(2*b.pause, longestPause))
	timer := time.NewTimer(b.pause/2 + rand.N(b.pause/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// warn logs at the first failure of a row, and then now and then.
func (b *backoff) warn(log *slog.Logger, message string, err error) {
	const quiet = 30 * time.Second
	if time.Since(b.warned) > quiet {
		log.Warn(message, "error", err)
		b.warned = time.Now()
	}
}
