package nameko

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	firstPause   = 100 * time.Millisecond // before a connection is tried again
	longestPause = 2 * time.Second        // so that calls flow soon after the broker is back
	dialTimeout  = 5 * time.Second        // for the connection and its handshake
	closeTimeout = 3 * time.Second
)

// link is one connection, made again whenever it is lost.
type link struct {
	purpose   string // for the log and the broker's list of connections
	config    Config
	log       *slog.Logger
	connected current[connection]
}

type connection struct {
	*amqp.Connection
	socket *socket
}

func newLink(c Config, purpose string) *link {
	return &link{purpose: purpose, config: c, log: c.Log.With("connection", purpose)}
}

// run keeps the connection up until ctx is done.
func (l *link) run(ctx context.Context) {
	var pause backoff
	for ctx.Err() == nil {
		conn, err := l.dial(ctx)
		if err != nil {
			l.connected.set(nil, err)
			l.log.Warn("waiting for the message broker", "error", err)
			pause.sleep(ctx)
			continue
		}
		l.log.Info("connected to the message broker")
		pause = backoff{}
		l.connected.set(conn, nil)
		err = l.watch(ctx, conn)
		l.connected.set(nil, err)
		if ctx.Err() == nil {
			l.log.Warn("lost the message broker, will connect again", "error", err)
		}
		conn.end()
		pause.sleep(ctx)
	}
}

// watch returns when the connection is lost or ctx is done.
func (l *link) watch(ctx context.Context, conn *connection) error {
	lost := conn.NotifyClose(make(chan *amqp.Error, 1))
	blockings := conn.NotifyBlocked(make(chan amqp.Blocking, 10))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-lost:
			return closed(err)
		case b, ok := <-blockings:
			switch {
			case !ok:
				blockings = nil
			case b.Active:
				l.log.Warn("the message broker accepts no messages", "reason", b.Reason)
				conn.socket.block(b.Reason)
			default:
				l.log.Info("the message broker accepts messages again")
				conn.socket.block("")
			}
		}
	}
}

func (l *link) dial(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var s *socket
	var inTime func() bool
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(filepath.Base(os.Args[0]) + " " + l.purpose)
	config := amqp.Config{
		TLSClientConfig: l.config.TLS.Clone(), // the library writes into it
		Heartbeat:       l.config.Heartbeat,
		Properties:      properties,
		Dial: func(network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			s = newSocket(conn)
			inTime = context.AfterFunc(ctx, func() { s.Close() })
			return s, nil
		},
	}
	if l.config.SASL == "AMQPLAIN" {
		uri, err := amqp.ParseURI(l.config.URL)
		if err != nil {
			return nil, err
		}
		config.SASL = []amqp.Authentication{uri.AMQPlainAuth()}
	}
	conn, err := amqp.DialConfig(l.config.URL, config)
	if err != nil {
		if s != nil {
			s.Close() // the library does not, in each case
			<-s.ended
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %v", dialTimeout)
		}
		return nil, err
	}
	inTime() // if it is not, the connection is closed, which shows soon
	s.giveUpAfter(2 * conn.Config.Heartbeat)
	return &connection{conn, s}, nil
}

// end closes the connection, in good order if it still is there.
func (c *connection) end() {
	late := time.AfterFunc(closeTimeout, func() { c.socket.Close() })
	defer late.Stop()
	c.Connection.Close() // says no more than that it is closed already
	<-c.socket.ended
}

// channel opens a channel.
func (c *connection) channel() (*amqp.Channel, error) {
	ch, err := c.Connection.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a channel: %w", err)
	}
	return ch, nil
}

// backoff is a pause that doubles, with jitter, up to longestPause.
type backoff struct{ pause time.Duration }

// sleep sleeps, or returns earlier when ctx is done.
func (b *backoff) sleep(ctx context.Context) {
	b.pause = max(firstPause, min(2*b.pause, longestPause))
	wait(ctx, b.pause/2+rand.N(b.pause/2))
}

// wait waits for so long, or returns earlier when ctx is done.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
