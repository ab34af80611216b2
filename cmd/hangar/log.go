package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
)

const (
	// logPause is how long lines of the log are gathered, once one was written: a
	// system call for each request's line costs more than the line.
	logPause = time.Millisecond

	// maxGathered bounds what is gathered, in bytes. Who exceeds it waits.
	maxGathered = 1 << 20
)

// lines gathers lines of the log, so that many leave in one write. They leave in
// their order; what is gathered is lost if the process is killed.
type lines struct {
	out   io.Writer
	added chan struct{}

	mu       sync.Mutex
	gathered []byte

	writing sync.Mutex
	spare   []byte
}

func newLines(out io.Writer) *lines { return &lines{out: out, added: make(chan struct{}, 1)} }

// Write implements io.Writer. It never fails: nobody could be told.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	l.gathered = append(l.gathered, line...)
	full := len(l.gathered) > maxGathered
	l.mu.Unlock()
	if full {
		l.flush()
		return len(line), nil
	}
	select {
	case l.added <- struct{}{}:
	default:
	}
	return len(line), nil
}

// flush writes what is gathered.
func (l *lines) flush() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	l.gathered, l.spare = l.spare[:0], l.gathered
	l.mu.Unlock()
	if len(l.spare) > 0 {
		_, _ = l.out.Write(l.spare)
	}
}

// gather begins to gather. The function it returns writes what is left.
func (l *lines) gather() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

func (l *lines) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-l.added:
			l.flush()
			time.Sleep(logPause)
		case <-ctx.Done():
		}
	}
	l.flush()
}

// isTerminal reports whether people see at once what is written.
func isTerminal(w io.Writer) bool {
	if l, ok := w.(*lines); ok {
		w = l.out
	}
	file, ok := w.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// prompt is a handler that holds back nothing that may be the last word of a
// process: warnings and errors are written at once.
type prompt struct {
	slog.Handler
	lines *lines
}

// Handle implements slog.Handler.
func (p prompt) Handle(ctx context.Context, r slog.Record) error {
	err := p.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		p.lines.flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (p prompt) WithAttrs(attrs []slog.Attr) slog.Handler {
	return prompt{p.Handler.WithAttrs(attrs), p.lines}
}

// WithGroup implements slog.Handler.
func (p prompt) WithGroup(name string) slog.Handler {
	return prompt{p.Handler.WithGroup(name), p.lines}
}
