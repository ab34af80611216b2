package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"hangar/gateway"
	"hangar/nameko"
)

// Config is what a process runs with.
type Config struct {
	Addr        string   // host:port; without a host all interfaces, port 0 any free one
	AdminAddr   string   // host:port, or off; "" is the default, which depends on the services
	Data        string   // absolute path of the folder of the SQLite file
	OrdersDB    string   // URL; "" is SQLite
	ProductsDB  string   // URL; "" is SQLite
	AMQP        string   // URL; "" is calls that stay in the process
	ImageRoot   string   // URL, without a slash at its end
	Workers     int      // calls that a service serves at once over AMQP; 0 is nameko.DefaultWorkers
	MaxRequests int      // that the gateway works on at once; 0 is gateway.DefaultMaxRequests
	Console     bool     // the gateway serves the web console
	CORSOrigins []string // see gateway.ParseOrigins
	Messaging   messaging

	Cache         string        // off, ttl or redis
	CacheSize     int           // entries of up to 1 KiB, of orders and of products each
	CacheTTL      time.Duration // above 0
	CacheStockAge time.Duration // 0 reads products through
	CacheRedis    string        // URL; "" unless Cache is redis

	LogLevel  slog.Level
	LogFormat string // text, json, or auto: text on a terminal

	Origins     map[string]Origin // by the setting's name
	File        string            // path of the configuration file; "" is none
	UnknownKeys []string          // in that file
}

// Origin is a value as it was given, and where that was.
type Origin struct {
	Text   string
	Source string // such as "flag --addr"
}

// setting is something that can be configured. The table of them is the one
// place that knows defaults, flags, environment variables and keys of the file.
type setting struct {
	name     string // also the flag
	env      []variable
	key      []string // path in the file
	fallback string   // the default
	unset    string   // what an empty value means
	usage    string
	set      func(c *Config, text string) error // the error says what is wanted
	isPath   bool                               // never holds a password: shown as it is
}

// variable is an environment variable. The first of a setting that is set counts.
type variable struct {
	name  string
	value func(string) (string, error) // what it means; nil is what it says
}

func settings() []setting {
	return []setting{
		{
			name:     "addr",
			env:      []variable{{name: "WEB_SERVER_ADDRESS"}, {name: "PORT", value: onAllInterfaces}},
			key:      []string{"WEB_SERVER_ADDRESS"},
			fallback: "127.0.0.1:8000",
			usage:    "`HOST:PORT` to listen on; port 0 is any free one",
			set:      func(c *Config, v string) (err error) { c.Addr, err = parseAddr(v); return err },
		},
		{
			name:  "admin-addr",
			env:   []variable{{name: "HANGAR_ADMIN_ADDR"}},
			key:   []string{"HANGAR_ADMIN_ADDR"},
			unset: "off with all services in one process, else " + defaultAdminAddr,
			usage: "`HOST:PORT` of metrics, probes and profiles, or off; port 0 is any free one",
			set:   func(c *Config, v string) (err error) { c.AdminAddr, err = parseAdminAddr(v); return err },
		},
		{
			name:     "data",
			env:      []variable{{name: "HANGAR_DATA"}},
			key:      []string{"HANGAR_DATA"},
			fallback: "hangar-data",
			usage:    "`FOLDER` of the SQLite file",
			set:      func(c *Config, v string) (err error) { c.Data, err = parseFolder(v); return err },
			isPath:   true,
		},
		{
			name:  "orders-db",
			env:   []variable{{name: "POSTGRES_URI"}},
			key:   []string{"DB_URIS", "orders:Base"},
			unset: "SQLite",
			usage: "`URL` of the orders' database, postgres://…",
			set: func(c *Config, v string) (err error) {
				c.OrdersDB, err = parseURL(v, "postgres", "postgresql", "postgresql+psycopg2")
				return err
			},
		},
		{
			name:  "products-db",
			env:   []variable{{name: "REDIS_URI"}},
			key:   []string{"REDIS_URI"},
			unset: "SQLite",
			usage: "`URL` of the products' database, redis://host:port/db",
			set: func(c *Config, v string) (err error) {
				c.ProductsDB, err = parseURL(v, "redis", "rediss", "unix")
				return err
			},
		},
		{
			name:  "amqp",
			env:   []variable{{name: "AMQP_URI"}},
			key:   []string{"AMQP_URI"},
			unset: "none: calls stay in the process",
			usage: "`URL` of the message broker, amqp://…",
			set: func(c *Config, v string) (err error) {
				c.AMQP, err = parseURL(v, "amqp", "amqps", "pyamqp")
				return err
			},
		},
		{
			name:     "image-root",
			env:      []variable{{name: "PRODUCT_IMAGE_ROOT"}},
			key:      []string{"PRODUCT_IMAGE_ROOT"},
			fallback: "http://www.example.com/airship/images",
			usage:    "`URL` that the products' images lie under",
			set:      func(c *Config, v string) (err error) { c.ImageRoot, err = parseImageRoot(v); return err },
		},
		{
			name:  "workers",
			env:   []variable{{name: "MAX_WORKERS"}},
			key:   []string{"max_workers"},
			unset: strconv.Itoa(nameko.DefaultWorkers),
			usage: "`NUMBER` of calls that each service serves at once over AMQP",
			set:   func(c *Config, v string) (err error) { c.Workers, err = parseCount(v); return err },
		},
		{
			name:  "max-requests",
			env:   []variable{{name: "HANGAR_MAX_REQUESTS"}},
			key:   []string{"HANGAR_MAX_REQUESTS"},
			unset: strconv.Itoa(gateway.DefaultMaxRequests),
			usage: "`NUMBER` of requests that the gateway works on at once; more are refused",
			set:   func(c *Config, v string) (err error) { c.MaxRequests, err = parseCount(v); return err },
		},
		{
			name:     "console",
			env:      []variable{{name: "HANGAR_CONSOLE"}},
			key:      []string{"HANGAR_CONSOLE"},
			fallback: "on",
			usage:    "`WHETHER` the gateway serves the web console at /console/: on or off",
			set:      func(c *Config, v string) (err error) { c.Console, err = parseSwitch(v); return err },
		},
		{
			name:  "cors-origins",
			env:   []variable{{name: "HANGAR_CORS_ORIGINS"}},
			key:   []string{"HANGAR_CORS_ORIGINS"},
			unset: "none",
			usage: "`ORIGINS` whose pages may use the API, such as https://shop.example, separated by commas; * is all",
			set:   func(c *Config, v string) (err error) { c.CORSOrigins, err = parseOrigins(v); return err },
		},
		{
			name:     "cache",
			env:      []variable{{name: "HANGAR_CACHE"}},
			key:      []string{"HANGAR_CACHE"},
			fallback: "off",
			usage:    "`WHERE` the gateway keeps orders and products that it has read: off, ttl (in the process) or redis",
			set:      func(c *Config, v string) (err error) { c.Cache, err = parseCache(v); return err },
		},
		{
			name:     "cache-ttl",
			env:      []variable{{name: "HANGAR_CACHE_TTL"}},
			key:      []string{"HANGAR_CACHE_TTL"},
			fallback: "10s",
			usage:    "`TIME` that the cache keeps something at most",
			set:      func(c *Config, v string) (err error) { c.CacheTTL, err = parseTime(v, 1); return err },
		},
		{
			name:     "cache-stock-age",
			env:      []variable{{name: "HANGAR_CACHE_STOCK_AGE"}},
			key:      []string{"HANGAR_CACHE_STOCK_AGE"},
			fallback: "0s",
			usage:    "`TIME` by which the stock that is shown may be old; 0s does not cache products",
			set:      func(c *Config, v string) (err error) { c.CacheStockAge, err = parseTime(v, 0); return err },
		},
		{
			name:     "cache-size",
			env:      []variable{{name: "HANGAR_CACHE_SIZE"}},
			key:      []string{"HANGAR_CACHE_SIZE"},
			fallback: "10000",
			usage:    "`NUMBER` of orders, and of products, of up to 1 KiB that --cache ttl keeps",
			set:      func(c *Config, v string) (err error) { c.CacheSize, err = parseCount(v); return err },
		},
		{
			name:  "cache-redis",
			env:   []variable{{name: "HANGAR_CACHE_REDIS"}},
			key:   []string{"HANGAR_CACHE_REDIS"},
			unset: "none",
			usage: "`URL` of the database of --cache redis, redis://host:port/db",
			set: func(c *Config, v string) (err error) {
				c.CacheRedis, err = parseURL(v, "redis", "rediss", "unix")
				return err
			},
		},
		{
			name:     "log-level",
			env:      []variable{{name: "HANGAR_LOG_LEVEL"}},
			key:      []string{"HANGAR_LOG_LEVEL"},
			fallback: "info",
			usage:    "`LEVEL` from which on to log: debug, info, warn or error",
			set:      func(c *Config, v string) (err error) { c.LogLevel, err = parseLevel(v); return err },
		},
		{
			name:     "log-format",
			env:      []variable{{name: "HANGAR_LOG_FORMAT"}},
			key:      []string{"HANGAR_LOG_FORMAT"},
			fallback: "auto",
			usage:    "`FORMAT` of the log: text, json, or auto, which is text on a terminal and JSON elsewhere",
			set:      func(c *Config, v string) (err error) { c.LogFormat, err = parseFormat(v); return err },
		},
	}
}

// show returns a value for people: passwords are masked.
func (s setting) show(text string) string {
	switch {
	case text == "":
		return s.unset
	case s.isPath:
		return text
	}
	return mask(text)
}

func (s setting) variables() string {
	var names []string
	for _, v := range s.env {
		names = append(names, v.name)
	}
	return strings.Join(names, ", ")
}

// onAllInterfaces is what PORT means on the platforms that set it.
func onAllInterfaces(port string) (string, error) {
	if !isPort(port) {
		return "", errors.New("a port, 0 to 65535")
	}
	return ":" + port, nil
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

func parseAddr(text string) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if err != nil || !isPort(port) {
		return "", errors.New("HOST:PORT, such as 127.0.0.1:8000")
	}
	return text, nil
}

func parseAdminAddr(text string) (string, error) {
	if text == "" || text == adminOff {
		return text, nil
	}
	if _, err := parseAddr(text); err != nil {
		return "", errors.New("HOST:PORT, such as 127.0.0.1:8001, or off")
	}
	return text, nil
}

func parseFolder(text string) (string, error) {
	if text == "" {
		return "", errors.New("a folder")
	}
	return filepath.Abs(text)
}

// parseURL accepts URLs of some schemes, and "". Its error does not quote: what
// is no URL may still have a password in it.
func parseURL(text string, schemes ...string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Host == "" && u.Scheme != "unix" {
		return "", fmt.Errorf("a URL that begins with %s://", strings.Join(schemes, ":// or "))
	}
	return text, nil
}

func parseImageRoot(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("a URL such as https://images.example.com/products")
	}
	return strings.TrimRight(text, "/"), nil
}

// parseCount returns 0 for "", which is the default.
func parseCount(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, errors.New("a number from 1 on")
	}
	return n, nil
}

func parseSwitch(text string) (bool, error) {
	if text != "on" && text != "off" {
		return false, errors.New("on or off")
	}
	return text == "on", nil
}

func parseOrigins(text string) ([]string, error) {
	origins, err := gateway.ParseOrigins(text)
	if err != nil {
		return nil, fmt.Errorf("origins such as https://shop.example, separated by commas, or * for all: %w", err)
	}
	return origins, nil
}

func parseCache(text string) (string, error) {
	switch text {
	case "off", "ttl", "redis":
		return text, nil
	}
	return "", errors.New("off, ttl or redis")
}

// parseTime reads a length of time, from least on.
func parseTime(text string, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > 24*time.Hour {
		return 0, errors.New("a time such as 500ms or 10s, up to 24h")
	}
	return d, nil
}

func parseLevel(text string) (slog.Level, error) {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[strings.ToLower(text)]
	if !ok {
		return 0, errors.New("debug, info, warn or error")
	}
	return level, nil
}

func parseFormat(text string) (string, error) {
	switch text {
	case "auto", "text", "json":
		return text, nil
	}
	return "", errors.New("auto, text or json")
}
