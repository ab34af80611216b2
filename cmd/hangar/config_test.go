package main

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// shownConfig runs "hangar config" and returns value and source by setting.
func shownConfig(t *testing.T, env environment, args ...string) map[string][2]string {
	t.Helper()
	got := hangarCommand(t, env, append([]string{"config"}, args...)...)
	if got.code != 0 {
		t.Fatalf("config %q exited with %d: %s", args, got.code, got.stderr)
	}
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	shown := make(map[string][2]string)
	for _, line := range lines[1:] {
		name, rest, _ := strings.Cut(line, "  ")
		value, source, _ := strings.Cut(strings.TrimSpace(rest), "   ")
		shown[name] = [2]string{value, strings.TrimSpace(source)}
	}
	return shown
}

func TestConfigDefaults(t *testing.T) {
	want := map[string][2]string{
		"addr":         {"127.0.0.1:8000", "default"},
		"admin-addr":   {"off with all services in one process, else 127.0.0.1:0", "default"},
		"data":         {"hangar-data", "default"},
		"orders-db":    {"SQLite", "default"},
		"products-db":  {"SQLite", "default"},
		"amqp":         {"none: calls stay in the process", "default"},
		"image-root":   {"http://www.example.com/airship/images", "default"},
		"workers":      {"100", "default"},
		"max-requests": {"128", "default"},
		"console":      {"on", "default"},
		"cors-origins": {"none", "default"},

		"cache":           {"off", "default"},
		"cache-ttl":       {"10s", "default"},
		"cache-stock-age": {"0s", "default"},
		"cache-size":      {"10000", "default"},
		"cache-redis":     {"none", "default"},

		"log-level":  {"info", "default"},
		"log-format": {"auto", "default"},
	}
	if diff := cmp.Diff(want, shownConfig(t, environment{})); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

// Each setting is given in all three ways, and each way is taken away in turn.
func TestConfigPrecedence(t *testing.T) {
	file := writeFile(t, "c.yml", `
WEB_SERVER_ADDRESS: '0.0.0.0:3'
HANGAR_ADMIN_ADDR: 'localhost:3'
HANGAR_DATA: file-data
DB_URIS:
  "orders:Base": postgresql+psycopg2://u:secret@file/orders
REDIS_URI: redis://:secret@file:6379/dev
AMQP_URI: pyamqp://u:secret@file:5672/
PRODUCT_IMAGE_ROOT: http://file/images
max_workers: 3
HANGAR_MAX_REQUESTS: 3
HANGAR_CONSOLE: off
HANGAR_CORS_ORIGINS: https://file.example, http://localhost:3000
HANGAR_CACHE: redis
HANGAR_CACHE_TTL: 3s
HANGAR_CACHE_STOCK_AGE: 3s
HANGAR_CACHE_SIZE: 3
HANGAR_CACHE_REDIS: redis://:secret@file/1
HANGAR_LOG_LEVEL: error
HANGAR_LOG_FORMAT: json
`)
	for _, test := range []struct {
		setting, variable, key string
		flag, env              string
		wantFlag, wantEnv      string
		wantFile               string
	}{
		{"addr", "WEB_SERVER_ADDRESS", "WEB_SERVER_ADDRESS", ":1", ":2", ":1", ":2", "0.0.0.0:3"},
		{"addr", "PORT", "WEB_SERVER_ADDRESS", ":1", "2", ":1", ":2", "0.0.0.0:3"},
		{"admin-addr", "HANGAR_ADMIN_ADDR", "HANGAR_ADMIN_ADDR", "off", ":2", "off", ":2", "localhost:3"},
		{"data", "HANGAR_DATA", "HANGAR_DATA", "a", "b", "a", "b", "file-data"},
		{"orders-db", "POSTGRES_URI", "DB_URIS.orders:Base", "postgres://u:secret@flag/db", "postgresql://u:secret@env/db",
			"postgres://u:***@flag/db", "postgresql://u:***@env/db", "postgresql+psycopg2://u:***@file/orders"},
		{"products-db", "REDIS_URI", "REDIS_URI", "redis://flag", "redis://env", "redis://flag", "redis://env", "redis://:***@file:6379/dev"},
		{"amqp", "AMQP_URI", "AMQP_URI", "amqp://u:secret@flag", "amqps://u:secret@env", "amqp://u:***@flag", "amqps://u:***@env", "pyamqp://u:***@file:5672/"},
		{"image-root", "PRODUCT_IMAGE_ROOT", "PRODUCT_IMAGE_ROOT", "http://flag/", "https://env", "http://flag/", "https://env", "http://file/images"},
		{"workers", "MAX_WORKERS", "max_workers", "1", "2", "1", "2", "3"},
		{"max-requests", "HANGAR_MAX_REQUESTS", "HANGAR_MAX_REQUESTS", "1", "2", "1", "2", "3"},
		{"console", "HANGAR_CONSOLE", "HANGAR_CONSOLE", "on", "off", "on", "off", "off"},
		{"cors-origins", "HANGAR_CORS_ORIGINS", "HANGAR_CORS_ORIGINS", "*", "https://env.example", "*", "https://env.example",
			"https://file.example, http://localhost:3000"},
		{"cache", "HANGAR_CACHE", "HANGAR_CACHE", "off", "ttl", "off", "ttl", "redis"},
		{"cache-ttl", "HANGAR_CACHE_TTL", "HANGAR_CACHE_TTL", "1s", "2s", "1s", "2s", "3s"},
		{"cache-stock-age", "HANGAR_CACHE_STOCK_AGE", "HANGAR_CACHE_STOCK_AGE", "1s", "0s", "1s", "0s", "3s"},
		{"cache-size", "HANGAR_CACHE_SIZE", "HANGAR_CACHE_SIZE", "1", "2", "1", "2", "3"},
		{"cache-redis", "HANGAR_CACHE_REDIS", "HANGAR_CACHE_REDIS", "redis://flag/1", "redis://:secret@env/1",
			"redis://flag/1", "redis://:***@env/1", "redis://:***@file/1"},
		{"log-level", "HANGAR_LOG_LEVEL", "HANGAR_LOG_LEVEL", "debug", "warn", "debug", "warn", "error"},
		{"log-format", "HANGAR_LOG_FORMAT", "HANGAR_LOG_FORMAT", "text", "text", "text", "text", "json"},
	} {
		t.Run(test.setting+" "+test.variable, func(t *testing.T) {
			env := environment{test.variable: test.env}
			flag := "--" + test.setting
			for _, way := range []struct {
				env  environment
				args []string
				want [2]string
			}{
				{env, []string{"--config", file, flag, test.flag}, [2]string{test.wantFlag, "flag " + flag}},
				{env, []string{"--config", file}, [2]string{test.wantEnv, "environment " + test.variable}},
				{environment{test.variable: ""}, []string{"--config", file}, [2]string{test.wantFile, "file " + file + " " + test.key}},
			} {
				got := shownConfig(t, way.env, way.args...)[test.setting]
				if got != way.want {
					t.Errorf("%v with environment %v: %q, want %q", way.args, way.env, got, way.want)
				}
			}
		})
	}
}

func TestAddressGoesBeforePort(t *testing.T) {
	got := shownConfig(t, environment{"WEB_SERVER_ADDRESS": "127.0.0.1:1", "PORT": "2"})["addr"]
	if want := [2]string{"127.0.0.1:1", "environment WEB_SERVER_ADDRESS"}; got != want {
		t.Errorf("addr with both variables: %q, want %q", got, want)
	}
}

func TestEmptyFlagUnsetsURL(t *testing.T) {
	got := shownConfig(t, environment{"POSTGRES_URI": "postgres://db"}, "--orders-db", "")["orders-db"]
	if want := [2]string{"SQLite", "flag --orders-db"}; got != want {
		t.Errorf("orders-db: %q, want %q", got, want)
	}
}

func TestFileTakesFromEnvironment(t *testing.T) {
	env := environment{"RABBIT_HOST": "rabbit", "EMPTY": "", "LEVEL": "warn"}
	for text, want := range map[string]string{
		"plain":        "plain",
		"${LEVEL}":     "warn",
		"${LEVEL:x}":   "warn",
		"${NOT:x}":     "x",
		"${EMPTY:x}":   "x",
		"${NOT}":       "",
		"a${NOT:}b":    "ab",
		"$LEVEL $ {a}": "$LEVEL $ {a}",
		"amqp://${USER:guest}:${PASSWORD:gu:est}@${RABBIT_HOST:localhost}:${RABBIT_PORT:5672}/": "amqp://guest:gu:est@rabbit:5672/",
		"${URL:http://images:80/a}": "http://images:80/a",
		"${URL:${LEVEL}/${NOT:x}}!": "warn/x!",
	} {
		got, err := expand(text, env.get)
		if err != nil || got != want {
			t.Errorf("expand(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"${", "a${NOT:b", "${A:${B}"} {
		if got, err := expand(text, env.get); err == nil {
			t.Errorf("expand(%q) = %q, want an error", text, got)
		}
	}

	file := writeFile(t, "c.yml", `
AMQP_URI: amqp://${RABBIT_USER:guest}:${RABBIT_PASSWORD:guest}@${RABBIT_HOST:localhost}:${RABBIT_PORT:5672}/
PRODUCT_IMAGE_ROOT: !env_var "${ROOT:https://images.example.com:8443/a}"
max_workers: ${WORKERS:7}
REDIS_URI: ${NOT}
`)
	got := shownConfig(t, env, "--config", file)
	for name, want := range map[string][2]string{
		"amqp":        {"amqp://guest:***@rabbit:5672/", "file " + file + " AMQP_URI"},
		"image-root":  {"https://images.example.com:8443/a", "file " + file + " PRODUCT_IMAGE_ROOT"},
		"workers":     {"7", "file " + file + " max_workers"},
		"products-db": {"SQLite", "default"},
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

func TestUnknownKeysAreNamed(t *testing.T) {
	file := writeFile(t, "c.yml", `
rpc_exchange: nameko-rpc
serializer: json
SERIALIZERS: {}
ACCEPT: [json]
HEARTBEAT: 60
PREFETCH_COUNT: 10
parent_calls_tracked: 10
AUTO_DELETE_EVENT_EXCHANGES: true
DECLARE_EVENT_EXCHANGES: true
TRANSPORT_OPTIONS: {max_retries: 3}
AMQP_SSL: {cert_reqs: 0}
LOGIN_METHOD: PLAIN
LOGGING: {version: 1}
max_workers: 10
DB_URIS:
  "orders:Base":
  "other:Base": postgres://u:secret@x
PRODUCT_IMAGE_ROT: http://x
`)
	got := hangarCommand(t, environment{}, "config", "--config", file, "--log-format", "json")
	lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
	if got.code != 0 || len(lines) != 2 {
		t.Fatalf("exit code %d, log:\n%s\nwant 0 and two warnings", got.code, got.stderr)
	}
	for i, key := range []string{"DB_URIS.other:Base", "PRODUCT_IMAGE_ROT"} {
		for _, part := range []string{`"level":"WARN"`, `"key":"` + key + `"`, filepath.Base(file)} {
			if !strings.Contains(lines[i], part) {
				t.Errorf("warning %s lacks %s", lines[i], part)
			}
		}
	}
}

func TestMalformedValues(t *testing.T) {
	for _, test := range []struct {
		name string
		env  environment
		args []string
		file string
		want string // FILE stands for its path
	}{
		{"addr without host", nil, []string{"--addr", "8000"}, "", `addr is "8000" (flag --addr), want HOST:PORT`},
		{"addr's port too high", nil, []string{"--addr", ":65536"}, "", `addr is ":65536" (flag --addr)`},
		{"addr's port no number", environment{"WEB_SERVER_ADDRESS": "x:http"}, nil, "", `addr is "x:http" (environment WEB_SERVER_ADDRESS)`},
		{"PORT", environment{"PORT": "http"}, nil, "", `addr is "http" (environment PORT), want a port`},
		{"data", nil, []string{"--data", ""}, "", `data is "" (flag --data), want a folder`},
		{"level", environment{"HANGAR_LOG_LEVEL": "loud"}, nil, "", `log-level is "loud" (environment HANGAR_LOG_LEVEL), want debug, info, warn or error`},
		{"format", nil, nil, "HANGAR_LOG_FORMAT: xml", `log-format is "xml" (file FILE HANGAR_LOG_FORMAT), want auto, text or json`},
		{"workers", nil, nil, "max_workers: 0", `workers is "0" (file FILE max_workers), want a number from 1 on`},
		{"workers no number", environment{"MAX_WORKERS": "many"}, nil, "", `workers is "many" (environment MAX_WORKERS)`},
		{"cache", nil, nil, "HANGAR_CACHE: memcached", `cache is "memcached" (file FILE HANGAR_CACHE), want off, ttl or redis`},
		{"cache-ttl", nil, []string{"--cache-ttl", "0s"}, "", `cache-ttl is "0s" (flag --cache-ttl), want a time such as 500ms or 10s`},
		{"cache-stock-age", nil, []string{"--cache-stock-age", "5"}, "", `cache-stock-age is "5" (flag --cache-stock-age), want a time such as`},
		{"console", nil, []string{"--console", "yes"}, "", `console is "yes" (flag --console), want on or off`},
		{"max-requests", environment{"HANGAR_MAX_REQUESTS": "0"}, nil, "", `max-requests is "0" (environment HANGAR_MAX_REQUESTS), want a number from 1 on`},
		{"an origin with a path", environment{"HANGAR_CORS_ORIGINS": "https://a.b, https://shop.example/"}, nil, "",
			`cors-origins is "https://a.b, https://shop.example/" (environment HANGAR_CORS_ORIGINS), ` +
				`want origins such as https://shop.example, separated by commas, or * for all: "https://shop.example/" has more than scheme, host and port`},
		{"image root without host", nil, []string{"--image-root", "images"}, "", `image-root is "images" (flag --image-root), want a URL`},
		{"image root's scheme", nil, []string{"--image-root", "ftp://x"}, "", `image-root is "ftp://x"`},
		{"orders of another scheme", environment{"POSTGRES_URI": "mysql://u:secret@x/db"}, nil, "", `orders-db is "mysql://u:***@x/db" (environment POSTGRES_URI), want a URL that begins with postgres://`},
		{"products of another scheme", environment{"REDIS_URI": "localhost:6379"}, nil, "", `products-db is "localhost:6379" (environment REDIS_URI)`},
		{"broker is no URL", nil, nil, "AMQP_URI: 'amqp://u:sec/ret@x:port'", `amqp is "amqp://u:***@x:port" (file FILE AMQP_URI)`},
		{"broker without scheme", nil, []string{"--amqp", "u:secret@x"}, "", `amqp is "u:***@x" (flag --amqp)`},
		{"open brace", nil, nil, "AMQP_URI: amqp://u:secret@${HOST", `amqp is "amqp://u:***@${HOST" (file FILE AMQP_URI), want a } after each ${`},
		{"list", nil, nil, "AMQP_URI: ['amqp://u:secret@x']", `amqp is "[…]" (file FILE AMQP_URI), want a single value`},
		{"map", nil, nil, "AMQP_URI: {x: 'amqp://u:secret@x'}", `amqp is "{…}" (file FILE AMQP_URI), want a single value`},
		{"no map", nil, nil, "DB_URIS: postgres://u:secret@x", `orders-db is "postgres://u:***@x" (file FILE DB_URIS.orders:Base), want a map with orders:Base in it`},
		{"no YAML", nil, nil, "AMQP_URI: [amqp://u:secret@x", "file FILE is no map of settings in YAML: [1:11]"},
		{"YAML of another kind", nil, nil, "- AMQP_URI", "file FILE is no map of settings in YAML: [1:1]"},
		{"key twice", nil, nil, "max_workers: 1\nmax_workers: 2", "max_workers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"config"}, test.args...)
			want := test.want
			if test.file != "" {
				path := writeFile(t, "c.yml", test.file)
				args = append(args, "--config", path)
				want = strings.ReplaceAll(want, "FILE", path)
			}
			got := hangarCommand(t, test.env, args...)
			if got.code != 2 || !strings.Contains(got.stderr, want) {
				t.Errorf("exited with %d, stderr %swant 2 and: %s", got.code, got.stderr, want)
			}
			if strings.Contains(got.stdout+got.stderr, "sec") {
				t.Errorf("the password shows: %s%s", got.stdout, got.stderr)
			}
		})
	}
}

func TestMask(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "",
		"127.0.0.1:8000":                        "127.0.0.1:8000",
		":8000":                                 ":8000",
		"http://www.example.com/airship/images": "http://www.example.com/airship/images",
		"redis://host:6379/0":                   "redis://host:6379/0",
		"amqp://guest@host:5672":                "amqp://guest@host:5672",
		"amqp://guest:secret@host:5672/v":       "amqp://guest:***@host:5672/v",
		"redis://:secret@host":                  "redis://:***@host",
		"amqp://u:se@cr:et/se?cr#et@host":       "amqp://u:***@host",
		"amqp://u:se cr%zzet@host":              "amqp://u:***@host",
		"amqp:/u:secret@host":                   "amqp:***@host",
		"u:secret@host":                         "u:***@host",
		"u:se://cret@host":                      "u:***@host",
		"amqp://u:s://e@cr@host":                "amqp://u:***@host",
		"postgres://h/db?password=secret&a=b":   "postgres://h/db?password=***&a=b",
		"postgres://h/db?a=b&sslpassword=s%20e": "postgres://h/db?a=b&sslpassword=***",
		"postgres://h/db?password=se#cret":      "postgres://h/db?password=***",
		"&://=:secret@token=":                   "&:***@token=***",
	} {
		if got := mask(text); got != want {
			t.Errorf("mask(%q) = %q, want %q", text, got, want)
		}
		if again := mask(want); again != want {
			t.Errorf("mask(%q) = %q, which is masked", want, again)
		}
	}
}

// What both ends must agree on is not guessed.
func TestMessagingThatCannotBeHadIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"serializer: pickle":               `serializer is "pickle", want json`,
		"ACCEPT: [pickle]":                 `ACCEPT is "[pickle]", want json among them`,
		"HEARTBEAT: often":                 `HEARTBEAT is "often", want a number from 0 on`,
		"PREFETCH_COUNT: -1":               `PREFETCH_COUNT is "-1", want a number from 0 on`,
		"parent_calls_tracked: x":          `parent_calls_tracked is "x", want a number`,
		"DECLARE_EVENT_EXCHANGES: perhaps": `DECLARE_EVENT_EXCHANGES is "perhaps", want true or false`,
		"LOGIN_METHOD: EXTERNAL":           `LOGIN_METHOD is "EXTERNAL", want PLAIN or AMQPLAIN`,
		"AMQP_SSL: {ca_certs: /not/there}": "AMQP_SSL.ca_certs: open /not/there: no such file or directory",
		"AMQP_SSL: perhaps":                `AMQP_SSL is "perhaps", want true, false, or a map`,
	} {
		got := hangarCommand(t, environment{}, "config", "--config", writeFile(t, "c.yml", text))
		if got.code != 2 || !strings.Contains(got.stderr, "c.yml: "+want) {
			t.Errorf("%s: exited with %d, %s, want 2 and %s", text, got.code, got.stderr, want)
		}
	}
}

// As Python's ssl has it, a certificate's file may hold its key.
func TestCertificateWithItsKeyInTheSameFile(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	file := writeFile(t, "c.yml", "AMQP_SSL: {certfile: "+writeFile(t, "client.pem", string(text))+"}")
	if got := hangarCommand(t, environment{}, "config", "--config", file); got.code != 0 {
		t.Errorf("exited with %d: %s, want 0", got.code, got.stderr)
	}
}
