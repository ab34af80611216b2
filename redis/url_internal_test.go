package redis

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseURL(t *testing.T) {
	type parts struct {
		Address, User, Password string
		DB                      int
		TLS                     bool
	}
	for url, want := range map[string]parts{
		"redis://":                                  {Address: "localhost:6379"},
		"redis://localhost":                         {Address: "localhost:6379"},
		"redis://localhost/":                        {Address: "localhost:6379"},
		"redis://localhost:6379/dev":                {Address: "localhost:6379"},
		"redis://localhost:6379/3":                  {Address: "localhost:6379", DB: 3},
		"redis://localhost:6379/3/":                 {Address: "localhost:6379", DB: 3},
		"redis://redis.internal:7000?db=4":          {Address: "redis.internal:7000", DB: 4},
		"redis://h/3?db=4":                          {Address: "h:6379", DB: 4},
		"redis://[::1]:7000/1":                      {Address: "[::1]:7000", DB: 1},
		"redis://[::1]":                             {Address: "[::1]:6379"},
		"redis://:secret@h":                         {Address: "h:6379", Password: "secret"},
		"redis://user:secret@h/2":                   {Address: "h:6379", User: "user", Password: "secret", DB: 2},
		"redis://us%40er:p%3A%2F%40%25w@h":          {Address: "h:6379", User: "us@er", Password: "p:/@%w"},
		"redis://h?username=u&password=p":           {Address: "h:6379", User: "u", Password: "p"},
		"redis://u:p@h?username=no&password=no":     {Address: "h:6379", User: "u", Password: "p"},
		"redis://h/1?socket_timeout=5&health_check": {Address: "h:6379", DB: 1},
		"rediss://user:secret@h:7000/5":             {Address: "h:7000", User: "user", Password: "secret", DB: 5, TLS: true},
		"rediss://h?ssl_cert_reqs=none":             {Address: "h:6379", TLS: true},
		"unix:///run/redis.sock":                    {Address: "/run/redis.sock"},
		"unix://user:secret@/run/redis.sock?db=2":   {Address: "/run/redis.sock", User: "user", Password: "secret", DB: 2},
		"unix:///run/with%20space.sock":             {Address: "/run/with space.sock"},
	} {
		option, err := parseURL(url)
		if err != nil {
			t.Errorf("parseURL(%q): %v, want no error", url, err)
			continue
		}
		got := parts{option.InitAddress[0], option.Username, option.Password, option.SelectDB, option.TLSConfig != nil}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("parseURL(%q) (-want +got):\n%s", url, diff)
		}
		if host, _, err := net.SplitHostPort(want.Address); err == nil && want.TLS && option.TLSConfig.ServerName != host {
			t.Errorf("parseURL(%q) expects a certificate for %q, want %q", url, option.TLSConfig.ServerName, host)
		}
		if none := strings.Contains(url, "=none"); want.TLS && option.TLSConfig.InsecureSkipVerify != none {
			t.Errorf("parseURL(%q) trusts any certificate: %t, want %t", url, !none, none)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	noCertificate := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(noCertificate, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{
		"", "redis", "localhost:6379", "http://u:secret@h", "postgres://u:secret@h/db",
		"redis://u:secret@h:port/0", "redis://u:secret%zz@h", "redis://u:se/cret@h:6379/0", "redis://u:se#cret@h:6379/0",
		"redis://u:secret\x7f@h", "redis://u:secret@h?db=dev", "redis://u:secret@h?%zz", "redis://u:secret@h:1:2/",
		"unix://u:secret@", "unix://u:secret@host/path", "unix://",
		"rediss://u:secret@h?ssl_ca_certs=/does/not/exist", "rediss://u:secret@h?ssl_ca_certs=" + noCertificate,
	} {
		option, err := parseURL(url)
		switch {
		case err == nil:
			t.Errorf("parseURL(%q) = %+v, want an error", url, option.InitAddress)
		case strings.Contains(err.Error(), "cret"):
			t.Errorf("parseURL(%q): %v, which shows the password", url, err)
		}
	}
}
