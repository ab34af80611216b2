package redis_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hangar/hangartest"
	"hangar/redis"
)

// startWith starts a Redis with arguments of the test's own, in a folder, and
// waits until it takes connections at the socket there.
func startWith(t *testing.T, dir string, args ...string) {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	socket := filepath.Join(dir, "redis.sock")
	server := exec.Command(binary, append([]string{"--dir", dir, "--save", "", "--unixsocket", socket}, args...)...)
	wantNil(t, "start redis-server", server.Start())
	t.Cleanup(func() {
		if err := server.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = server.Wait() // it was killed
	})
	until(t, "redis-server answers", func() bool {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
			return false
		}
		_, err = bufio.NewReader(conn).ReadString('\n')
		return err == nil
	})
}

// shortDir returns a folder whose sockets' paths are not too long.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redis")
	wantNil(t, "MkdirTemp", err)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(hangartest.FreeAddr(t))
	wantNil(t, "SplitHostPort", err)
	return port
}

func TestDatabases(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	base := strings.TrimSuffix(db.URL, "/0")
	for path, number := range map[string]string{"": "0", "/": "0", "/dev": "0", "/0": "0", "/3": "3", "?db=4": "4", "/3?db=5": "5"} {
		s := openStore(t, base+path, slog.New(slog.DiscardHandler))
		wantNil(t, "Put", s.Put(t.Context(), product("in "+path, 1)))
		db.do(t, "SELECT", number)
		if n := db.number(t, "EXISTS", "products:in "+path); n != 1 {
			t.Errorf("a product that was put at …%s is not in database %s", path, number)
		}
	}
	db.do(t, "SELECT", "0")
	_, err := redis.OpenProducts(t.Context(), base+"/99", slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "no database 99") {
		t.Errorf("OpenProducts of database 99: %v, want an error that says so", err)
	}
}

func TestUsersAndSockets(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	port := freePort(t)
	startWith(t, dir, "--port", port, "--bind", "127.0.0.1", "--requirepass", "se cret",
		// What the store needs, and no more.
		"--user", "shop", "on", ">s3cret:/@", "~products:*", "~hangar:*", "+@read", "+@write", "+@scripting", "+@connection")
	socket := filepath.Join(dir, "redis.sock")
	for _, url := range []string{
		"redis://:se%20cret@127.0.0.1:" + port,
		"redis://default:se%20cret@127.0.0.1:" + port,
		"redis://shop:s3cret%3A%2F%40@127.0.0.1:" + port + "/2",
		"redis://127.0.0.1:" + port + "/?username=shop&password=s3cret%3A%2F%40",
		"unix://:se%20cret@" + socket,
		"unix://shop:s3cret%3A%2F%40@" + socket + "?db=1",
	} {
		s := openStore(t, url, slog.New(slog.DiscardHandler))
		wantNil(t, "Put at "+url, s.Put(t.Context(), product("a", 5)))
		wantNil(t, "Hold at "+url, s.Hold(t.Context(), hold(url, 1, map[string]int64{"a": 1})))
		wantStock(t, "a hold at "+url, s, "a", 4)
		wantIDs(t, "at "+url, s, "a")
		wantNil(t, "SweepHolds at "+url, s.SweepHolds(t.Context(), time.Now()))
	}
	for url, want := range map[string]string{
		"redis://:wr0ng@127.0.0.1:" + port:             "password is wrong",
		"redis://shop:wr0ng@127.0.0.1:" + port:         "password is wrong",
		"redis://127.0.0.1:" + port:                    "wants a password",
		"unix://nobody:wr0ng@" + socket:                "password is wrong",
		"redis://shop:s3cret%zz@127.0.0.1:" + port:     "cannot be read",
		"redis://:se%20cret@127.0.0.1:" + port + "/99": "no database 99",
	} {
		_, err := redis.OpenProducts(t.Context(), url, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("OpenProducts(%q): %v, want %q in the error", url, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), "cret")) {
			t.Errorf("OpenProducts(%q): %v, which shows the password", url, err)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	certificate, key := filepath.Join(dir, "redis.crt"), filepath.Join(dir, "redis.key")
	writeCertificate(t, certificate, key)
	port := freePort(t)
	startWith(t, dir, "--port", "0", "--tls-port", port, "--bind", "127.0.0.1 127.0.0.2", "--tls-auth-clients", "no",
		"--tls-cert-file", certificate, "--tls-key-file", key)
	for _, query := range []string{"?ssl_ca_certs=" + certificate, "?ssl_cert_reqs=none"} {
		s := openStore(t, "rediss://127.0.0.1:"+port+"/1"+query, slog.New(slog.DiscardHandler))
		wantNil(t, "Put with "+query, s.Put(t.Context(), product("a", 5)))
		wantStock(t, query, s, "a", 5)
	}
	for _, url := range []string{"rediss://127.0.0.1:" + port, "rediss://127.0.0.2:" + port + "?ssl_ca_certs=" + certificate} {
		_, err := redis.OpenProducts(t.Context(), url, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("OpenProducts(%q): %v, want an error that says that the certificate is not trusted", url, err)
		}
	}
}

// writeCertificate makes a certificate for 127.0.0.1 that is its own authority.
func writeCertificate(t *testing.T, certificateFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	wantNil(t, "GenerateKey", err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	wantNil(t, "CreateCertificate", err)
	keyBytes, err := x509.MarshalPKCS8PrivateKey(key)
	wantNil(t, "MarshalPKCS8PrivateKey", err)
	for file, block := range map[string]*pem.Block{
		certificateFile: {Type: "CERTIFICATE", Bytes: certificate}, keyFile: {Type: "PRIVATE KEY", Bytes: keyBytes},
	} {
		wantNil(t, "WriteFile", os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
}

func TestClusterIsRefused(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	port := freePort(t)
	startWith(t, dir, "--port", port, "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-port", freePort(t))
	for _, path := range []string{"", "/1"} {
		_, err := redis.OpenProducts(t.Context(), "redis://127.0.0.1:"+port+path, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "cluster") {
			t.Errorf("OpenProducts of a cluster: %v, want an error that says so", err)
		}
	}
}

// pretender is a server that answers each command as it is told.
func pretender(t *testing.T, answers map[string]string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	wantNil(t, "Listen", err)
	var serving sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				pretend(conn, answers)
			})
		}
	})
	return "redis://:secret@" + listener.Addr().String()
}

func pretend(conn net.Conn, answers map[string]string) {
	r := bufio.NewReader(conn)
	for {
		var n int
		if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
			return
		}
		var command []string
		for range n {
			var size int
			if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
				return
			}
			word := make([]byte, size+2)
			if _, err := io.ReadFull(r, word); err != nil {
				return
			}
			command = append(command, string(word[:size]))
		}
		answer, ok := answers[command[0]]
		if !ok {
			answer = "+OK"
		}
		if _, err := io.WriteString(conn, answer+"\r\n"); err != nil {
			return
		}
	}
}

func hello(mode, version string) string {
	return fmt.Sprintf("%%3\r\n$7\r\nversion\r\n$%d\r\n%s\r\n$5\r\nproto\r\n:3\r\n$4\r\nmode\r\n$%d\r\n%s", len(version), version, len(mode), mode)
}

func TestServersThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for want, answers := range map[string]map[string]string{
		"older than 6.0":   {"HELLO": "-ERR unknown command `HELLO`, with args beginning with: `3`, ", "PING": "+PONG"},
		"has version 5":    {"HELLO": hello("standalone", "5.0.14")},
		"is a sentinel":    {"HELLO": hello("sentinel", "7.0.0")},
		"is a cluster":     {"HELLO": hello("cluster", "7.0.0")},
		"wrong":            {"HELLO": "-WRONGPASS invalid username-password pair or user is disabled."},
		"wants a password": {"HELLO": "-NOAUTH HELLO must be called with the client already authenticated"},
	} {
		_, err := redis.OpenProducts(t.Context(), pretender(t, answers), slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("OpenProducts: %v, want %q in the error", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("OpenProducts: %v, which shows the password", err)
		}
	}
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	for what, url := range map[string]string{
		"loading":   pretender(t, map[string]string{"HELLO": hello("standalone", "7.0.0"), "PING": "-LOADING Redis is loading the dataset in memory"}),
		"not there": "redis://:secret@127.0.0.1:1",
		"no socket": "unix://:secret@" + filepath.Join(t.TempDir(), "none.sock"),
		"unknown":   "redis://:secret@no-such-host.invalid",
	} {
		var log logged
		ctx, cancel := context.WithCancel(t.Context())
		var opening sync.WaitGroup
		opening.Go(func() {
			_, err := redis.OpenProducts(ctx, url, log.logger())
			if err == nil || !strings.Contains(err.Error(), "context canceled") || strings.Contains(err.Error(), "secret") {
				t.Errorf("OpenProducts of a Redis that is %s: %v, want an error that says that it gave up, without the password", what, err)
			}
		})
		until(t, "the log says that it waits", func() bool { return strings.Contains(log.String(), "waiting") })
		cancel()
		opening.Wait()
		if strings.Contains(log.String(), "secret") {
			t.Errorf("the log shows the password:\n%s", log.String())
		}
	}
}

func TestOpenWaits(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	wantNil(t, "Kill", db.Kill())
	var log logged
	var opening sync.WaitGroup
	opening.Go(func() {
		s, err := redis.OpenProducts(t.Context(), db.URL, log.logger())
		if err != nil {
			t.Errorf("OpenProducts: %v, want no error", err)
			return
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	until(t, "the log says that it waits", func() bool { return strings.Contains(log.String(), "waiting") })
	wantNil(t, "Restart", db.Restart(t.Context()))
	opening.Wait()
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for _, test := range []struct {
		set  []string
		want string // "" for no warning
	}{
		{nil, ""},
		{[]string{"appendfsync", "everysec"}, "last second"},
		{[]string{"appendfsync", "no"}, "half a minute"},
		{[]string{"appendonly", "no"}, "neither in an append-only file nor on a replica"},
		{[]string{"appendonly", "yes", "appendfsync", "always"}, ""},
		{[]string{"maxmemory-policy", "allkeys-lru"}, "maxmemory-policy"},
		{[]string{"maxmemory-policy", "noeviction"}, ""},
	} {
		if test.set != nil {
			db.do(t, "CONFIG", append([]string{"SET"}, test.set...)...)
		}
		until(t, "no rewrite of the append-only file is under way", func() bool {
			info := db.text(t, "INFO", "persistence")
			return strings.Contains(info, "aof_rewrite_in_progress:0") && strings.Contains(info, "aof_rewrite_scheduled:0")
		})
		var log logged
		openStore(t, db.URL, log.logger())
		switch said := log.String(); {
		case test.want == "" && said != "":
			t.Errorf("with %v the log says %s, want nothing", test.set, said)
		case !strings.Contains(said, test.want) || strings.Count(said, "\n") > 1:
			t.Errorf("with %v the log says %q, want %q and nothing else", test.set, said, test.want)
		}
	}

	replica := newDatabase(t)
	host, port, err := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(db.URL, "redis://"), "/0"))
	wantNil(t, "SplitHostPort", err)
	db.do(t, "CONFIG", "SET", "appendonly", "no")
	replica.do(t, "REPLICAOF", host, port)
	until(t, "the replica is connected", func() bool { return strings.Contains(db.text(t, "INFO", "replication"), "state=online") })
	var log logged
	openStore(t, db.URL, log.logger())
	if said := log.String(); said != "" {
		t.Errorf("with a replica and no append-only file the log says %q, want nothing", said)
	}
	openStore(t, replica.URL, log.logger())
	if said := log.String(); !strings.Contains(said, "is a replica") {
		t.Errorf("of a replica the log says %q, want that it is one", said)
	}
}
