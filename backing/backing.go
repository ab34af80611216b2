// Package backing runs private instances of PostgreSQL, Redis and RabbitMQ from
// the binaries on the machine, on free ports of the loopback interface, with all
// their files in one folder: for development, tests and benchmarks. Tests kill
// and restart them.
//
// They write as durably as in production. Redis has no password, and that of
// the others is hangar: whoever can log in to the machine can reach them.
package backing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// user is also the password and the database.
const user = "hangar"

// startTimeout bounds how long a server has to answer.
const startTimeout = 3 * time.Minute

// Life is how long a server lives unless it is stopped.
type Life int

// The lives of servers.
const (
	WithParent    Life = iota // ends when the process that started it does, however that ends
	BeyondCommand             // goes on after it
)

// Server is a private server. It may be stopped, killed and restarted.
type Server struct {
	URL string // as hangar's settings take it

	dir   string
	life  Life
	kind  kind
	parts []*part // in the order in which they start
	ports []reservation

	mu     sync.Mutex
	vhosts []string // of a RabbitMQ: made, and given to nobody yet
}

// kind is what differs between servers.
type kind interface {
	// commands prepares the folder and returns what to run, in the order of starting.
	commands(ctx context.Context, dir string, ports []int) ([]command, error)
	url(ports []int) string
	answers(ctx context.Context, url string) error
}

// StartPostgres starts a PostgreSQL with an empty database. Kill ends it in its
// immediate mode, which recovers as after a crash.
func StartPostgres(ctx context.Context, dir string, life Life) (*Server, error) {
	return start(ctx, "postgres", dir, life)
}

// StartRedis starts a Redis that has each write on disk before it answers.
func StartRedis(ctx context.Context, dir string, life Life) (*Server, error) {
	return start(ctx, "redis", dir, life)
}

// StartRabbitMQ starts a RabbitMQ. This takes seconds.
func StartRabbitMQ(ctx context.Context, dir string, life Life) (*Server, error) {
	return start(ctx, "rabbitmq", dir, life)
}

var kinds = map[string]kind{"postgres": postgres{}, "redis": redis{}, "rabbitmq": rabbitMQ{}}

// state is what is noted of a server in its folder.
type state struct {
	Kind  string
	Ports []int
	Parts []partState
}

func start(ctx context.Context, name, dir string, life Life) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	ports, reserved, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s, err := launch(ctx, dir, life, state{Kind: name, Ports: ports})
	s.ports = reserved
	return s, err
}

// Attach returns the server that runs in a folder, or restarts the one that did.
func Attach(ctx context.Context, dir string, life Life) (*Server, error) {
	s, st, err := open(dir, life)
	if err != nil {
		return nil, err
	}
	if s.running() {
		return s, nil
	}
	return launch(ctx, s.dir, life, st)
}

// Stop ends the server that runs in a folder, if it does.
func Stop(dir string) error {
	s, _, err := open(dir, BeyondCommand)
	if err != nil {
		return err
	}
	return s.Stop()
}

// open returns the server that was last started in a folder.
func open(dir string, life Life) (*Server, state, error) {
	var st state
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, st, err
	}
	note, err := os.ReadFile(stateFile(dir))
	if err != nil {
		return nil, st, err
	}
	if err := json.Unmarshal(note, &st); err != nil {
		return nil, st, fmt.Errorf("%s: %w", stateFile(dir), err)
	}
	k, ok := kinds[st.Kind]
	if !ok {
		return nil, st, fmt.Errorf("%s: unknown kind of server %q", stateFile(dir), st.Kind)
	}
	s := &Server{URL: k.url(st.Ports), dir: dir, life: life, kind: k}
	for _, p := range st.Parts {
		s.parts = append(s.parts, p.attach(dir, st.Ports))
	}
	return s, st, nil
}

func stateFile(dir string) string { return filepath.Join(dir, "server.json") }

// launch starts a server on its ports, and returns when it answers.
func launch(ctx context.Context, dir string, life Life, st state) (*Server, error) {
	k := kinds[st.Kind]
	s := &Server{URL: k.url(st.Ports), dir: dir, life: life, kind: k}
	return s, s.run(ctx, st)
}

func (s *Server) run(ctx context.Context, st state) (err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	commands, err := s.kind.commands(ctx, s.dir, st.Ports)
	if err != nil {
		return err
	}
	s.parts, st.Parts = nil, nil
	for _, c := range commands {
		p, err := c.start(s.dir, st.Ports, s.life)
		if err != nil {
			return errors.Join(err, s.Kill())
		}
		s.parts = append(s.parts, p)
		st.Parts = append(st.Parts, partState{PID: p.pid, StopBy: c.stopBy, KillBy: c.killBy})
	}
	note, err := json.Marshal(st)
	if err != nil {
		return err
	}
	if err := os.WriteFile(stateFile(s.dir), note, 0o600); err != nil {
		return errors.Join(err, s.Kill())
	}
	if err := s.waitUntilAnswers(ctx); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

func (s *Server) waitUntilAnswers(ctx context.Context) error {
	for {
		err := s.kind.answers(ctx, s.URL)
		if err == nil {
			return nil
		}
		for _, p := range s.parts {
			if !p.alive() {
				return fmt.Errorf("%s ended by itself: %s", p.name, p.lastWords())
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server in %s does not answer: %w: %s", s.dir, err, s.parts[len(s.parts)-1].lastWords())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) running() bool {
	for _, p := range s.parts {
		if !p.alive() {
			return false
		}
	}
	return len(s.parts) > 0
}

// Stop ends the server in good order.
func (s *Server) Stop() error { return s.end((*part).stop) }

// Kill ends the server as a crash does.
func (s *Server) Kill() error { return s.end((*part).kill) }

// end ends the parts, the last one first.
func (s *Server) end(end func(*part) error) error {
	var errs []error
	for i := len(s.parts) - 1; i >= 0; i-- {
		errs = append(errs, end(s.parts[i]))
	}
	return errors.Join(errs...)
}

// Restart starts the server again after Stop or Kill: on the same port, with
// the same files.
func (s *Server) Restart(ctx context.Context) error {
	_, st, err := open(s.dir, s.life)
	if err != nil {
		return err
	}
	return s.run(ctx, st)
}

// reservation keeps other processes from choosing a port, also while no server
// listens there: it is a UDP socket on the same port, which ends with its process.
type reservation net.PacketConn

// freePorts returns ports that nothing listens on now, and that nobody has
// reserved. They lie below those that systems give to clients: while a server is
// down, a client that dials it again and again could else be given its port.
func freePorts(n int) (ports []int, reserved []reservation, err error) {
	const lowest, highest, attempts = 10_000, 30_000, 1_000
	for range attempts {
		port := lowest + rand.IntN(highest-lowest)
		r, err := reserve(port)
		if err != nil {
			continue
		}
		ports, reserved = append(ports, port), append(reserved, r)
		if len(ports) == n {
			return ports, reserved, nil
		}
	}
	return nil, nil, fmt.Errorf("no free ports from %d to %d", lowest, highest)
}

func reserve(port int) (reservation, error) {
	r, err := net.ListenPacket("udp", loopback(port))
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", loopback(port))
	if err == nil {
		err = listener.Close()
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
