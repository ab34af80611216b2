package nameko

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxBacklog is how many bytes may wait to be sent before publishers have to.
	maxBacklog = 1 << 20

	// lastWords bounds how long a closed socket still sends what waits.
	lastWords = time.Second
)

// errSocketClosed says that there will be no room any more.
var errSocketClosed = errors.New("the connection is closed")

// socket is a TCP connection whose writes neither wait nor fail. So nobody hangs
// who publishes or acknowledges, whatever the network does; and what many write
// at the same time goes out in one system call. That it is lost shows in reading.
type socket struct {
	net.Conn
	ended chan struct{} // closed when it is closed and all is written

	mu      sync.Mutex
	more    sync.Cond     // there is something to write, or it is closed
	backlog []byte        // not given to the system yet
	blocked string        // why the broker accepts no messages; "" if it does
	silence time.Duration // after which the peer is given up; 0 is never
	closed  bool
	changed chan struct{} // closed when there may be room; nil while nobody waits
}

func newSocket(conn net.Conn) *socket {
	s := &socket{Conn: conn, ended: make(chan struct{})}
	s.more.L = &s.mu
	go s.flush()
	return s
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.backlog = append(s.backlog, p...)
		s.more.Signal()
	}
	return len(p), nil
}

// flush writes what there is to write until the socket is closed.
func (s *socket) flush() {
	defer close(s.ended)
	defer s.Conn.Close() // what matters has been written, or cannot be
	var batch []byte
	for {
		if cap(batch) > maxBacklog {
			batch = nil
		}
		batch = s.next(batch)
		if len(batch) == 0 {
			return
		}
		if _, err := s.Conn.Write(batch); err != nil {
			s.Close()
			return
		}
	}
}

// next waits for something to write, and gives the space for what comes then.
// It returns nothing when the socket is closed and all is written.
func (s *socket) next(space []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.backlog) == 0 && !s.closed {
		s.more.Wait()
	}
	batch := s.backlog
	s.backlog = space[:0]
	s.wakeWaiting()
	return batch
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	s.mu.Lock()
	if s.silence > 0 && !s.closed {
		s.Conn.SetReadDeadline(time.Now().Add(s.silence)) // of a closed connection, Read says so
	}
	s.mu.Unlock()
	return s.Conn.Read(p)
}

// SetDeadline implements net.Conn. It does nothing, as do the two others: the
// library's deadlines have gaps, silence and dial's context have none.
func (s *socket) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (s *socket) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// Close implements net.Conn. It does not wait until all is written: ended does.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Signal()
	s.wakeWaiting()
	now := time.Now()
	return errors.Join(s.Conn.SetReadDeadline(now), s.Conn.SetWriteDeadline(now.Add(lastWords)))
}

// giveUpAfter ends the connection when nothing was heard for so long.
func (s *socket) giveUpAfter(silence time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silence = silence
	if silence > 0 {
		s.Conn.SetReadDeadline(time.Now().Add(silence)) // for the Read that waits already
	}
}

// block notes why the broker accepts no messages; "" if it does.
func (s *socket) block(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = reason
	s.wakeWaiting()
}

func (s *socket) wakeWaiting() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// hasRoom reports whether a message may be written.
func (s *socket) hasRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && s.blocked == "" && len(s.backlog) < maxBacklog
}

// blockedBy returns what the broker is short of, and so accepts no messages; "" if
// it does.
func (s *socket) blockedBy() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked
}

// room waits until a message may be written. The error is errSocketClosed, or
// ErrNoBroker if ctx is done before.
func (s *socket) room(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return errSocketClosed
		}
		cause := errors.New("it does not take what is sent")
		if s.blocked != "" {
			cause = errors.New("it accepts no messages: it is short of " + s.blocked)
		} else if len(s.backlog) < maxBacklog {
			s.mu.Unlock()
			return nil
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return noBroker(cause)
		case <-changed:
		}
	}
}
