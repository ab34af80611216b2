package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

const (
	dialTimeout = 5 * time.Second

	// answerTimeout is how long a connection may be silent while an answer is
	// due. Then it is taken for dead.
	answerTimeout = 5 * time.Second

	bufferSize = 1 << 16 // bytes, for reading and for writing, of each connection
)

// errURL does not show the URL: where it is broken, nobody can tell the password
// from the rest.
var errURL = errors.New("the URL of the Redis cannot be read: want redis://user:password@host:port/db, rediss://…, " +
	"or unix://user:password@/path?db=0, with special characters of the password written as %XX")

// parseURL reads a URL as redis-py does; see OpenProducts.
func parseURL(text string) (rueidis.ClientOption, error) {
	option := rueidis.ClientOption{
		ClientName:    "hangar",
		ClientSetInfo: rueidis.DisableClientSetInfo,
		Dialer:        net.Dialer{Timeout: dialTimeout},

		ConnWriteTimeout:    answerTimeout,
		ReadBufferEachConn:  bufferSize,
		WriteBufferEachConn: bufferSize,

		// Only a connection that always reads in the background outlives a
		// caller who gives up.
		AlwaysPipelining: true,
		BlockingPipeline: -1, // a pipeline of any length goes the same way
		DisableCache:     true,
		DisableRetry:     true, // link does
		// A cluster is refused: what commands it knows need not be asked.
		ForceSingleClient: true,
	}
	u, err := url.Parse(text)
	if err != nil {
		return option, errURL
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(u.Host, "[") {
		return option, errURL
	}
	option.Username = first(u.User.Username(), query.Get("username"))
	password, _ := u.User.Password()
	option.Password = first(password, query.Get("password"))
	db := u.Path
	switch u.Scheme {
	case "redis":
	case "rediss":
		if option.TLSConfig, err = tlsConfig(u.Hostname(), query); err != nil {
			return option, err
		}
	case "unix":
		if u.Host != "" || u.Path == "" {
			return option, errURL
		}
		db = ""
		option.DialCtxFn = func(ctx context.Context, path string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		}
	default:
		return option, errURL
	}
	if u.Scheme == "unix" {
		option.InitAddress = []string{u.Path}
	} else {
		option.InitAddress = []string{net.JoinHostPort(first(u.Hostname(), "localhost"), first(u.Port(), "6379"))}
	}
	option.SelectDB, err = database(db, query)
	return option, err
}

// database is the number in the query, which must be one, or in the path, which
// need not be.
func database(path string, query url.Values) (int, error) {
	if !query.Has("db") {
		n, err := strconv.Atoi(strings.ReplaceAll(path, "/", ""))
		if err != nil {
			return 0, nil
		}
		return n, nil
	}
	n, err := strconv.Atoi(query.Get("db"))
	if err != nil {
		return 0, errors.New("the db in the URL of the Redis is not a number")
	}
	return n, nil
}

func tlsConfig(host string, query url.Values) (*tls.Config, error) {
	config := &tls.Config{
		ServerName:         first(host, "localhost"),
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: query.Get("ssl_cert_reqs") == "none",
	}
	file := query.Get("ssl_ca_certs")
	if file == "" {
		return config, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ssl_ca_certs of the Redis: %w", err)
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		config.RootCAs = x509.NewCertPool()
	}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ssl_ca_certs of the Redis: no certificate in %s", file)
	}
	return config, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
