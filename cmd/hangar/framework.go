package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"hangar/nameko"
)

// frameworkKeys mean something to Nameko, and here if broker reads them.
var frameworkKeys = []string{
	"ACCEPT", "AMQP_SSL", "AUTO_DELETE_EVENT_EXCHANGES", "DECLARE_EVENT_EXCHANGES", "HEARTBEAT", "LOGGING",
	"LOGIN_METHOD", "PREFETCH_COUNT", "SERIALIZERS", "TRANSPORT_OPTIONS", "parent_calls_tracked", "rpc_exchange",
	"serializer",
}

// messaging is what a file that was written for the framework says of messages.
// Both ends must agree on it, so what cannot be had is an error.
type messaging struct {
	broker   nameko.Config
	prefetch int
}

// messaging reads the framework's own keys. Its error names the key.
func (f *file) messaging() (messaging, error) {
	m := messaging{broker: nameko.Config{Exchange: f.text("rpc_exchange")}}
	var errs [7]error
	m.prefetch, errs[0] = f.number("PREFETCH_COUNT")
	m.broker.ParentCalls, errs[1] = f.number("parent_calls_tracked")
	m.broker.AutoDeleteEventExchanges, errs[2] = f.boolean("AUTO_DELETE_EVENT_EXCHANGES", false)
	declare, err := f.boolean("DECLARE_EVENT_EXCHANGES", true)
	m.broker.KeepEventExchanges, errs[3] = !declare, err
	seconds, err := f.number("HEARTBEAT")
	m.broker.Heartbeat, errs[4] = time.Duration(seconds)*time.Second, err
	m.broker.TLS, errs[5] = f.tls()
	m.broker.SASL, errs[6] = f.loginMethod()
	return m, errors.Join(append(errs[:], f.checkSerializer())...)
}

// text returns the value of a key at the top of the file, as text.
func (f *file) text(key string) string {
	text, err := f.value([]string{key})
	if err != nil {
		return ""
	}
	return text
}

func (f *file) wants(key, what string) error {
	return fmt.Errorf("file %s: %s is %q, want %s", f.path, key, mask(fmt.Sprint(f.tree[key])), what)
}

func (f *file) number(key string) (int, error) {
	text := f.text(key)
	if text == "" && f.tree[key] == nil {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, f.wants(key, "a number from 0 on")
	}
	return n, nil
}

func (f *file) boolean(key string, fallback bool) (bool, error) {
	text := f.text(key)
	if text == "" && f.tree[key] == nil {
		return fallback, nil
	}
	b, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		return false, f.wants(key, "true or false")
	}
	return b, nil
}

// tls reads AMQP_SSL: true, or a map of what Python's ssl module takes.
func (f *file) tls() (*tls.Config, error) {
	options, ok := f.tree["AMQP_SSL"].(map[string]any)
	if !ok {
		on, err := f.boolean("AMQP_SSL", false)
		if err != nil {
			return nil, f.wants("AMQP_SSL", "true, false, or a map of ca_certs, certfile, keyfile, cert_reqs")
		}
		if !on {
			return nil, nil
		}
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	path := func(name string) string {
		text, _ := expand(fmt.Sprint(options[name]), f.getenv)
		return text
	}
	if options["ca_certs"] != nil {
		pem, err := os.ReadFile(path("ca_certs"))
		if err != nil {
			return nil, fmt.Errorf("file %s: AMQP_SSL.ca_certs: %w", f.path, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("file %s: AMQP_SSL.ca_certs: %s holds no certificates", f.path, path("ca_certs"))
		}
	}
	if options["certfile"] != nil {
		key := "certfile" // which holds the key, too, if nothing else is named
		if options["keyfile"] != nil {
			key = "keyfile"
		}
		pair, err := tls.LoadX509KeyPair(path("certfile"), path(key))
		if err != nil {
			return nil, fmt.Errorf("file %s: AMQP_SSL.certfile: %w", f.path, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	// Python's ssl.CERT_NONE is 0, and spelled either way in such files.
	c.InsecureSkipVerify = slices.Contains([]string{"0", "CERT_NONE", "ssl.CERT_NONE"}, path("cert_reqs"))
	return c, nil
}

func (f *file) loginMethod() (string, error) {
	switch method := strings.ToUpper(f.text("LOGIN_METHOD")); method {
	case "", "PLAIN", "AMQPLAIN":
		return method, nil
	default:
		return "", f.wants("LOGIN_METHOD", "PLAIN or AMQPLAIN")
	}
}

// checkSerializer refuses files whose services talk something else than JSON.
func (f *file) checkSerializer() error {
	if serializer := f.text("serializer"); serializer != "" && serializer != "json" {
		return f.wants("serializer", "json: hangar speaks nothing else")
	}
	accept, ok := f.tree["ACCEPT"].([]any)
	if ok && !slices.Contains(accept, any("json")) {
		return f.wants("ACCEPT", "json among them: hangar speaks nothing else")
	}
	return nil
}
