package main

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// FuzzConfigFile loads files. Each is taken or refused with an error that names
// it; what is taken can be shown, and is read the same again.
func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{
		"AMQP_URI: pyamqp://guest:guest@${RABBIT_HOST:localhost}:${RABBIT_PORT:5672}/\nserializer: json\nACCEPT: [json]\n",
		"WEB_SERVER_ADDRESS: '0.0.0.0:${PORT:8000}'\nmax_workers: 10\nparent_calls_tracked: 5\nHEARTBEAT: 30\nPREFETCH_COUNT: 20\n",
		"DB_URIS:\n  \"orders:Base\": \"postgresql+psycopg2://${DB_USER:postgres}:${DB_PASSWORD:secret}@${DB_HOST:localhost}/orders\"\n",
		"REDIS_URI: 'redis://${REDIS_HOST:${OTHER:localhost}}:6379/dev'\n",
		"AMQP_SSL: {cert_reqs: 0}\nAMQP_SSL: true\n", "AMQP_SSL: {cert_reqs: ssl.CERT_NONE}\nAMQP_URI: amqp://u:p@h\n",
		"- a\n- b\n", "a: [\n", "AMQP_URI: ${A\n", "AMQP_URI: {a: 1}\n", "DB_URIS: 5\n", "LOGIN_METHOD: x\n", "serializer: pickle\n",
		"max_workers: -1\n", "PORT: !!binary aGk=\nx: &a [*a]\n", "? [a]\n: b\n", "\xff", "", "~", "a: b: c", "HEARTBEAT: 1e3\nDECLARE_EVENT_EXCHANGES: No\n",
		"LOGGING: {version: 1}\nrpc_exchange: ''\nAUTO_DELETE_EVENT_EXCHANGES: TRUE\n",
	} {
		f.Add([]byte(seed), "")
		f.Add([]byte(seed), "5")
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, env string) {
		path := filepath.Join(dir, "config-"+strconv.Itoa(os.Getpid())+".yml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := loadFile(t, path, env)
		if err != nil {
			if _, ok := errors.AsType[*usageError](err); !ok || !strings.Contains(err.Error(), path) {
				t.Fatalf("the file %q is refused with %v, want an error of usage that names it", data, err)
			}
			return
		}
		var first, second bytes.Buffer
		if err := c.print(&first); err != nil {
			t.Fatal(err)
		}
		again, err := loadFile(t, path, env)
		if err != nil {
			t.Fatalf("the file %q is refused the second time: %v", data, err)
		}
		if err := again.print(&second); err != nil || first.String() != second.String() {
			t.Fatalf("the file %q means\n%s, and the second time, %v,\n%s", data, &first, err, &second)
		}
	})
}

// loadFile loads a file where each variable that it names is env.
func loadFile(t *testing.T, path, env string) (*Config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addFlags(flags)
	if err := flags.Parse([]string{"--config", path}); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, s := range settings() {
		for _, v := range s.env {
			known[v.name] = true
		}
	}
	return loadConfig(flags, func(name string) string {
		if known[name] {
			return "" // it would go before the file
		}
		return env
	})
}

// FuzzExpand checks what holds of any text: the parts of a text expand alone to
// what they expand to together, and a default to what it does alone.
func FuzzExpand(f *testing.F) {
	for _, seed := range [][2]string{
		{"a${SET}b", "${UNSET:x:y}"}, {"${UNSET:${SET:no}}", "}"}, {"${UNSET}", "${UNSET:"}, {"$", "{SET}"}, {"$${SET}", "{}"}, {"${}", "${:x}"}, {"", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	getenv := func(name string) string {
		if name == "SET" {
			return "${value}" // which is not expanded
		}
		return ""
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		first, err := expand(a, getenv)
		if !strings.Contains(a, "${") && (err != nil || first != a) {
			t.Fatalf("expand(%q) = %q, %v, want it as it is", a, first, err)
		}
		if err != nil {
			return
		}
		if second, err := expand(b, getenv); err == nil && !(strings.HasSuffix(a, "$") && strings.HasPrefix(b, "{")) {
			if both, err := expand(a+b, getenv); err != nil || both != first+second {
				t.Fatalf("expand(%q) = %q, and of %q = %q, but of both %q, %v", a, first, b, second, both, err)
			}
		}
		if closingBrace(a+"}") != len(a) {
			return // a } that closes nothing ends the default
		}
		if got, err := expand("${UNSET:"+a+"}", getenv); err != nil || got != first {
			t.Fatalf("expand(%q) = %q, and as a default %q, %v", a, first, got, err)
		}
	})
}

// FuzzMask puts a password into URLs, well formed or not, where people write
// them. None shows.
func FuzzMask(f *testing.F) {
	const secret = "S3CR3T"
	for _, seed := range [][3]string{
		{"amqp", "guest", "localhost:5672/"}, {"postgresql+psycopg2", "", "h/d?sslmode=disable&password=x"}, {"redis", "a@b", "h:1@2/0"},
		{"x", "u?password=", "h;token=1"}, {"", "u", ""}, {"a", "u:v", "h#f"}, {"a", "u/", "h"},
		{"&", "=", "token="},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, scheme, user, rest string) {
		if strings.Contains(scheme+user+rest, secret) {
			return
		}
		text := scheme + "://" + user + ":" + secret + "@" + rest
		if shown := mask(text); strings.Contains(shown, secret) {
			t.Fatalf("mask(%q) = %q", text, shown)
		}
		query := scheme + "://" + user + "?password=" + secret
		if shown := mask(query); strings.Contains(shown, secret) {
			t.Fatalf("mask(%q) = %q", query, shown)
		}
		if shown := mask(mask(text)); shown != mask(text) {
			t.Fatalf("mask(%q) = %q, and masked again %q", text, mask(text), shown)
		}
		u, err := url.Parse(rest)
		if err == nil && u.User == nil && u.RawQuery == "" && !strings.ContainsAny(rest, "@;&?") && mask(rest) != rest {
			t.Fatalf("mask(%q) = %q, which has no password", rest, mask(rest))
		}
	})
}
