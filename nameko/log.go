package nameko

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	logBurst  = 10               // records with the same message in a period
	logPeriod = 10 * time.Second // then some pass again, and say how many did not
)

// calm is a log that peers and a broken network cannot flood: of records with
// the same message it passes on only so many, unless they are for debugging.
type calm struct {
	slog.Handler
	messages *messageCounts
}

type messageCounts struct {
	mu        sync.Mutex
	byMessage map[string]*messageCount // few: messages are constants of this package
}

type messageCount struct {
	since   time.Time
	passed  int
	leftOut int
}

func calmLog(log *slog.Logger) *slog.Logger {
	return slog.New(calm{log.Handler(), &messageCounts{byMessage: make(map[string]*messageCount)}})
}

// Handle implements slog.Handler.
func (c calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return c.Handler.Handle(ctx, r)
	}
	pass, leftOut := c.messages.count(r.Message, time.Now())
	if !pass {
		return nil
	}
	if leftOut > 0 {
		r.AddAttrs(slog.Int("left_out", leftOut))
	}
	return c.Handler.Handle(ctx, r)
}

// count says whether a record may pass, and how many did not since the last that
// did.
func (m *messageCounts) count(message string, now time.Time) (pass bool, leftOut int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.byMessage[message]
	if c == nil {
		c = new(messageCount)
		m.byMessage[message] = c
	}
	if now.Sub(c.since) >= logPeriod {
		c.since, c.passed = now, 0
	}
	if c.passed == logBurst {
		c.leftOut++
		return false, 0
	}
	c.passed++
	leftOut, c.leftOut = c.leftOut, 0
	return true, leftOut
}

// WithAttrs implements slog.Handler.
func (c calm) WithAttrs(attrs []slog.Attr) slog.Handler {
	return calm{c.Handler.WithAttrs(attrs), c.messages}
}

// WithGroup implements slog.Handler.
func (c calm) WithGroup(name string) slog.Handler {
	return calm{c.Handler.WithGroup(name), c.messages}
}
