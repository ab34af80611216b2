package backing_test

import (
	"context"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/backing"
	"hangar/hangartest"
)

func TestPostgresIsRestartedWithItsData(t *testing.T) {
	s := hangartest.StartPostgres(t)
	exec := func(query string) error {
		conn, err := pgx.Connect(t.Context(), s.URL)
		if err != nil {
			return err
		}
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), query)
		return err
	}
	wantNil(t, exec("CREATE TABLE kept (id integer)"))
	restartEach(t, s, func() { wantNil(t, exec("INSERT INTO kept VALUES (1)")) })
}

func TestRedisIsRestartedWithItsData(t *testing.T) {
	s := hangartest.StartRedis(t)
	ask := func(command, want string) {
		t.Helper()
		conn, err := net.Dial("tcp", hostOf(t, s.URL))
		wantNil(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte(command + "\r\n"))
		wantNil(t, err)
		answer := make([]byte, 64)
		n, err := conn.Read(answer)
		if err != nil || string(answer[:n]) != want {
			t.Fatalf("%s was answered %q, %v, want %q", command, answer[:n], err, want)
		}
	}
	ask("SET kept 1", "+OK\r\n")
	restartEach(t, s, func() { ask("GET kept", "$1\r\n1\r\n") })
}

func TestRabbitMQIsRestartedWithItsData(t *testing.T) {
	s := hangartest.StartRabbitMQ(t)
	vhost, err := s.NewVhost(t.Context())
	wantNil(t, err)
	withChannel := func(do func(*amqp.Channel)) {
		t.Helper()
		conn, err := amqp.Dial(vhost)
		wantNil(t, err)
		defer conn.Close()
		ch, err := conn.Channel()
		wantNil(t, err)
		do(ch)
	}
	withChannel(func(ch *amqp.Channel) {
		_, err := ch.QueueDeclare("kept", true, false, false, false, nil)
		wantNil(t, err)
	})
	restartEach(t, s, func() {
		withChannel(func(ch *amqp.Channel) {
			_, err := ch.QueueDeclarePassive("kept", true, false, false, false, nil)
			wantNil(t, err)
		})
	})
}

// restartEach restarts the server after each way to end it, and has its data
// checked.
func restartEach(t *testing.T, s *backing.Server, check func()) {
	t.Helper()
	before := s.URL
	for _, end := range []func() error{s.Stop, s.Kill} {
		wantNil(t, end())
		if conn, err := net.Dial("tcp", hostOf(t, s.URL)); err == nil {
			conn.Close()
			t.Errorf("something listens at %s after the server has ended", hostOf(t, s.URL))
		}
		wantNil(t, end()) // once more
		wantNil(t, s.Restart(t.Context()))
		if s.URL != before {
			t.Errorf("the URL after a restart is %s, want %s", s.URL, before)
		}
		check()
	}
}

// A server that was started for good is found again, and stopped, by whoever
// knows its folder.
func TestServerBeyondCommand(t *testing.T) {
	if err := backing.Missing("redis"); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	dir := t.TempDir()
	ctx := context.WithoutCancel(t.Context())
	s, err := backing.StartRedis(ctx, dir, backing.BeyondCommand)
	wantNil(t, err)
	t.Cleanup(func() { s.Kill() })
	again, err := backing.Attach(ctx, dir, backing.BeyondCommand)
	wantNil(t, err)
	if again.URL != s.URL {
		t.Errorf("Attach found %s, want %s", again.URL, s.URL)
	}
	wantNil(t, backing.Stop(dir))
	wantNil(t, backing.Stop(dir))
	if conn, err := net.Dial("tcp", hostOf(t, s.URL)); err == nil {
		conn.Close()
		t.Error("the server still listens after Stop")
	}
	again, err = backing.Attach(ctx, dir, backing.BeyondCommand)
	wantNil(t, err)
	t.Cleanup(func() { again.Kill() })
	if again.URL != s.URL {
		t.Errorf("Attach restarted %s, want %s", again.URL, s.URL)
	}
}

func TestStartSaysWhyAServerDoesNotStart(t *testing.T) {
	s := hangartest.StartRedis(t)
	wantNil(t, s.Stop())
	listener, err := net.Listen("tcp", hostOf(t, s.URL))
	wantNil(t, err)
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Restart(ctx); err == nil {
		t.Fatal("Restart on a port that is taken succeeded, want an error")
	}
}

func hostOf(t *testing.T, server string) string {
	t.Helper()
	u, err := url.Parse(server)
	wantNil(t, err)
	return u.Host
}

func wantNil(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
