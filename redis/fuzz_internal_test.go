package redis

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// FuzzURL reads URLs. An error shows nothing of a password; a URL that is built
// of its parts is read as these.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{
		"redis://localhost:6379/dev", "redis://user:p%40ss@h/1", "rediss://:p@h:1/?ssl_cert_reqs=none", "unix://u:p@/run/redis.sock?db=2",
		"redis://[::1]:6379", "redis://::1", "redis://h:x", "redis://h/1/2", "redis://h?db=x", "unix://h/p", "redis:h", "://", "", "redis://h/-1",
		"redis://h/99999999999999999999", "redis://h?username=a&password=S3CR3T%zz", "redis://u:S3CR3T%zz@h",
	} {
		f.Add(seed, "user", "password", 3)
	}
	f.Fuzz(func(t *testing.T, text, user, password string, db int) {
		if strings.Contains(text, "ssl_ca_certs") {
			return // names any file
		}
		option, err := parseURL(text)
		if err != nil && strings.Contains(text, "S3CR3T") && strings.Contains(err.Error(), "S3CR3T") {
			t.Fatalf("parseURL(%q): %v, which shows the password", text, err)
		}
		if err == nil && (len(option.InitAddress) != 1 || option.InitAddress[0] == "") {
			t.Fatalf("parseURL(%q) leads to %q, want one address", text, option.InitAddress)
		}
		built := url.URL{Scheme: "redis", Host: "h:1", Path: "/" + strconv.Itoa(db), User: url.UserPassword(user, password)}
		option, err = parseURL(built.String())
		switch {
		case err != nil:
			t.Fatalf("parseURL(%q): %v", &built, err)
		case option.Username != user || option.Password != password || option.SelectDB != db || option.InitAddress[0] != net.JoinHostPort("h", "1"):
			t.Fatalf("parseURL(%q) = user %q, password %q, db %d at %s", &built, option.Username, option.Password, option.SelectDB, option.InitAddress[0])
		}
	})
}

var canonical = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})$`)

// FuzzWhole reads the numbers of a hash: those, and only those, that Redis can
// count with.
func FuzzWhole(f *testing.F) {
	for _, seed := range []string{"0", "-0", "10", "-5", "+5", "05", "5.0", " 5", "9223372036854775807", "9223372036854775808", "", "-", "-00", "1_0", "١"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := parseWhole(s)
		if ok && decimal(n) != s {
			t.Fatalf("%q was read as %d, which Redis writes otherwise", s, n)
		}
		if canonical.MatchString(s) && !ok {
			t.Fatalf("%q was not read", s)
		}
	})
}
