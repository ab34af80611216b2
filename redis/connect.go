package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

const (
	longestPause = 5 * time.Second
	oldestMajor  = 6 // the first version that has HELLO, and scripts that replicate what they did
)

// connect returns a client of a Redis that answers and can be used. It waits for
// one that does not answer yet.
func connect(ctx context.Context, option rueidis.ClientOption, log *slog.Logger) (rueidis.Client, error) {
	waited := false
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, longestPause) {
		client, err := connectOnce(ctx, option)
		switch {
		case err == nil:
			if waited {
				log.Info("the products' Redis is there", "address", option.InitAddress[0])
			}
			return client, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("gave up waiting: %w (%w)", err, ctx.Err())
		case isFinal(err):
			return nil, explain(err, option)
		}
		log.Warn("the products' Redis cannot be used yet, waiting for it", "address", option.InitAddress[0], "error", err)
		waited = true
		sleep(ctx, pause/2+rand.N(pause/2))
	}
}

func connectOnce(ctx context.Context, option rueidis.ClientOption) (_ rueidis.Client, err error) {
	client, err := rueidis.NewClient(option)
	defer func() {
		if err != nil && client != nil {
			client.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := client.Do(ctx, client.B().Ping().Build()).Error(); isLost(err) {
		return nil, err
	}
	return client, check(ctx, client)
}

// unusable is why a Redis that answers cannot be used.
type unusable string

func (u unusable) Error() string { return string(u) }

const errCluster = unusable("it is a cluster, which cannot take an order's products in one step: use a Redis without cluster mode")

// isFinal reports whether no waiting changes the error of a connection.
func isFinal(err error) bool {
	if _, ok := errors.AsType[unusable](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, noTLS := errors.AsType[tls.RecordHeaderError](err); noTLS {
		return true
	}
	return !isLost(err)
}

// explain says what to do about an answer that no waiting changes.
func explain(err error, option rueidis.ClientOption) error {
	switch {
	case hasCode(err, "WRONGPASS"):
		return fmt.Errorf("the user or the password is wrong: %w", err)
	case hasCode(err, "NOAUTH"):
		return fmt.Errorf("it wants a password, and the URL has none: %w", err)
	case strings.Contains(err.Error(), "DB index is out of range"):
		return fmt.Errorf("it has no database %d: %w", option.SelectDB, err)
	case strings.Contains(err.Error(), "SELECT is not allowed in cluster mode"):
		return errCluster
	}
	return err
}

// check refuses what hangar cannot work with.
func check(ctx context.Context, client rueidis.Client) error {
	hello, err := client.Do(ctx, client.B().Arbitrary("HELLO").Build()).AsMap()
	if err != nil {
		if strings.Contains(strings.ToLower(err.Error()), "unknown command") {
			return unusable(fmt.Sprintf("it is older than %d.0, which hangar needs", oldestMajor))
		}
		return err
	}
	mode, version := text(hello["mode"]), text(hello["version"])
	switch mode {
	case "cluster":
		return errCluster
	case "sentinel":
		return unusable("it is a sentinel: name the Redis itself")
	}
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < oldestMajor {
		return unusable(fmt.Sprintf("it has version %s, and hangar needs %d.0 or newer", version, oldestMajor))
	}
	return nil
}

// warn tells the log where the set-up of Redis may lose what is answered. What
// this user may not ask for is passed over.
func warn(ctx context.Context, client rueidis.Client, log *slog.Logger) {
	reply, err := client.Do(ctx, client.B().Info().Build()).ToString()
	if err != nil {
		return
	}
	info := make(map[string]string)
	for line := range strings.Lines(reply) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		info[name] = value
	}
	if info["role"] == "slave" {
		log.Warn("the products' Redis is a replica: products can be read, and nothing can be written until it becomes the master")
	}
	if policy := info["maxmemory_policy"]; strings.HasPrefix(policy, "allkeys-") {
		log.Warn("the products' Redis may drop products and holds when its memory is full: set maxmemory-policy to noeviction",
			"maxmemory-policy", policy)
	}
	replicated := info["connected_slaves"] != "0"
	switch {
	case info["aof_enabled"] == "0" && !replicated:
		log.Warn("the products' Redis keeps what is written neither in an append-only file nor on a replica: " +
			"if it stops, all since its last snapshot is lost; set appendonly to yes")
	case info["aof_enabled"] == "1" && !replicated:
		warnOfSync(ctx, client, log)
	}
}

func warnOfSync(ctx context.Context, client rueidis.Client, log *slog.Logger) {
	config, err := client.Do(ctx, client.B().ConfigGet().Parameter("appendfsync").Build()).AsStrMap()
	if err != nil {
		return
	}
	switch config["appendfsync"] {
	case "everysec":
		log.Warn("the products' Redis may lose the last second if its machine stops: set appendfsync to always where that matters")
	case "no":
		log.Warn("the products' Redis leaves it to the system when to write to the disk, and may lose half a minute if its machine stops: " +
			"set appendfsync to always or everysec")
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
