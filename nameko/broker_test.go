package nameko_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"hangar/hangartest"
	"hangar/nameko"
)

func TestNewBrokerRefuses(t *testing.T) {
	for _, url := range []string{"", "http://u:secret@host", "amqp://u:secret@host:port/", "amqp://u:secret%zz@host", "host", "amqp://u:se cret@host"} {
		_, err := nameko.NewBroker(nameko.Config{URL: url})
		if err == nil || strings.Contains(err.Error(), "cret") {
			t.Errorf("broker at %q: %v, want an error without the password", url, err)
		}
	}
}

// What can go wrong with a connection says why, and never the password.
func TestLogKeepsThePassword(t *testing.T) {
	good, err := url.Parse(hangartest.RabbitMQ(t))
	must(t, err)
	for name, change := range map[string]func(*url.URL){
		"wrong password": func(u *url.URL) { u.User = url.UserPassword("hangar", "hunter2") },
		"no such vhost":  func(u *url.URL) { u.Path = "/nothing"; u.User = url.UserPassword("hangar", "hangar") },
		"nobody there":   func(u *url.URL) { u.Host = "127.0.0.1:1"; u.User = url.UserPassword("hangar", "hunter2") },
		"no TLS there":   func(u *url.URL) { u.Scheme = "amqps"; u.User = url.UserPassword("hangar", "hunter2") },
	} {
		u := *good
		change(&u)
		log := new(logged)
		newBrokerWith(t, nameko.Config{URL: u.String(), Log: slog.New(slog.NewTextHandler(log, nil))})
		eventually(t, name+" is logged", func() bool { return log.count("waiting for the message broker") > 0 })
		if n := log.count("hunter2"); n > 0 {
			t.Errorf("%s: the log shows the password", name)
		}
	}
}

func TestWaysToConnect(t *testing.T) {
	address := hangartest.RabbitMQ(t)
	u, err := url.Parse(address)
	must(t, err)
	s := httptest.NewTLSServer(nil) // for its certificate
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	secure := *u
	secure.Scheme, secure.Host = "amqps", tlsProxy(t, u.Host, s.TLS.Certificates)
	kombu := *u
	kombu.Scheme = "pyamqp"
	heartbeat := *u
	heartbeat.RawQuery = "heartbeat=60"
	for name, config := range map[string]nameko.Config{
		"TLS":            {URL: secure.String(), TLS: &tls.Config{RootCAs: roots}},
		"AMQPLAIN":       {URL: address, SASL: "AMQPLAIN"},
		"PLAIN":          {URL: address, SASL: "PLAIN"},
		"pyamqp":         {URL: kombu.String()},
		"heartbeat":      {URL: heartbeat.String()},
		"other exchange": {URL: address, Exchange: "other-rpc"},
	} {
		broker := newBrokerWith(t, config)
		stop := start(t, echo(broker))
		if err := callError(newClient(t, broker), t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{1}}); err != nil {
			t.Errorf("call with %s: %v", name, err)
		}
		stop()
	}
}

// tlsProxy passes on what comes encrypted, and returns its address.
func tlsProxy(t *testing.T, to string, certificates []tls.Certificate) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates})
	must(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { copyBoth(in, to) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

func copyBoth(in net.Conn, to string) {
	defer in.Close()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	var back sync.WaitGroup
	back.Go(func() {
		defer in.Close()
		io.Copy(in, out)
	})
	io.Copy(out, in)
	out.Close()
	back.Wait()
}
