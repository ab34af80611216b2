package backing_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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
	for range 9 { // more than are made at once
		another, err := s.NewVhost(t.Context())
		wantNil(t, err)
		conn, err := amqp.Dial(another)
		wantNil(t, err)
		conn.Close()
		if another == vhost {
			t.Fatalf("NewVhost returned %s twice", vhost)
		}
	}
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
		if other, err := net.ListenPacket("udp", hostOf(t, s.URL)); err == nil {
			other.Close()
			t.Errorf("while the server is down another may be given %s, want it reserved", hostOf(t, s.URL))
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
	require(t, "redis")
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

// Who stops the servers is not who started them, may have no ps, and does not
// wait for their clients.
func TestStopWithAClient(t *testing.T) {
	require(t, "postgres")
	dir := t.TempDir()
	started, err := backing.StartPostgres(t.Context(), dir, backing.BeyondCommand)
	wantNil(t, err)
	t.Cleanup(func() { wantNil(t, errors.Join(started.Kill(), started.Remove())) })
	conn, err := pgx.Connect(t.Context(), started.URL)
	wantNil(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	if runtime.GOOS == "linux" {
		t.Setenv("PATH", t.TempDir())
	}
	wantNil(t, backing.Stop(dir))
	if conn, err := net.Dial("tcp", hostOf(t, started.URL)); err == nil {
		conn.Close()
		t.Error("the server still listens after Stop")
	}
}

// An initdb that was interrupted has left files.
func TestStartPostgresAfterAnUnfinishedOne(t *testing.T) {
	require(t, "postgres")
	dir := t.TempDir()
	wantNil(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	wantNil(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("15\n"), 0o600))
	s, err := backing.StartPostgres(t.Context(), dir, backing.WithParent)
	wantNil(t, err)
	wantNil(t, s.Kill())
	wantNil(t, s.Remove())
}

// asParent makes a process of this test start a Redis in the folder it names.
const asParent = "HANGAR_TEST_AS_PARENT"

func TestServerEndsWithItsParent(t *testing.T) {
	if dir := os.Getenv(asParent); dir != "" {
		s, err := backing.StartRedis(t.Context(), dir, backing.WithParent)
		wantNil(t, err)
		fmt.Println("URL", s.URL)
		select {} // until it is killed
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	require(t, "redis")
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), asParent+"="+t.TempDir())
	out, err := parent.StdoutPipe()
	wantNil(t, err)
	wantNil(t, parent.Start())
	var server string
	for lines := bufio.NewScanner(out); server == "" && lines.Scan(); {
		server, _ = strings.CutPrefix(lines.Text(), "URL ")
	}
	wantNil(t, parent.Process.Kill())
	_ = parent.Wait() // it was killed
	if server == "" {
		t.Fatal("the process ended before its Redis answered")
	}
	host := hostOf(t, server)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			return
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("the Redis at %s still listens two minutes after its parent was killed", host)
		}
	}
}

func TestStartSaysWhyAServerDoesNotStart(t *testing.T) {
	s := hangartest.StartRedis(t)
	wantNil(t, s.Stop())
	listener, err := net.Listen("tcp", hostOf(t, s.URL))
	wantNil(t, err)
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := s.Restart(ctx); err == nil || !strings.Contains(err.Error(), "bind") {
		t.Fatalf("Restart on a port that is taken: %v, want an error with the log, which tells of bind", err)
	}
}

// require skips the test where a server is missing; in CI it fails later.
func require(t *testing.T, name string) {
	t.Helper()
	if err := backing.Missing(name); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
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
