package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// writes counts the writes it gets, each of which takes its time.
type writes struct {
	bytes.Buffer
	n int
}

func (w *writes) Write(b []byte) (int, error) {
	w.n++
	time.Sleep(time.Millisecond)
	return w.Buffer.Write(b)
}

func TestLinesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out writes
		l := newLines(&out)
		end := l.gather()
		log := slog.New(prompt{slog.NewTextHandler(l, nil), l})
		var writers sync.WaitGroup
		const each = 100
		for w := range 10 {
			writers.Go(func() {
				for n := range each {
					log.Info("request", "writer", w, "n", n)
				}
			})
		}
		writers.Wait()
		end()
		if out.n > 10 {
			t.Errorf("1000 lines that came at once left in %d writes, want a few", out.n)
		}
		next := map[string]int{}
		for line := range strings.Lines(out.String()) {
			_, rest, _ := strings.Cut(line, "writer=")
			writer, n, _ := strings.Cut(strings.TrimSpace(rest), " n=")
			if n != fmt.Sprint(next[writer]) {
				t.Fatalf("the line after %d of writer %s is %q", next[writer]-1, writer, line)
			}
			next[writer]++
		}
		for writer, n := range next {
			if n != each {
				t.Errorf("%d lines of writer %s, want %d", n, writer, each)
			}
		}
	})
}

func TestWarningsAreWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLines(&out) // which nobody writes out
		log := slog.New(prompt{slog.NewTextHandler(l, nil), l}).With("a", 1).WithGroup("g")
		log.Info("first")
		if out.Len() > 0 {
			t.Errorf("an informative line was written at once: %s", out.String())
		}
		log.Warn("second")
		if got := out.String(); !strings.Contains(got, "first") || !strings.Contains(got, "second") {
			t.Errorf("after a warning the log is %q, want both lines", got)
		}
	})
}

func TestLinesAreBounded(t *testing.T) {
	var out bytes.Buffer
	l := newLines(&out) // which nobody writes out
	line := append(bytes.Repeat([]byte("x"), 1000), '\n')
	for range maxGathered / 500 {
		if _, err := io.Copy(l, bytes.NewReader(line)); err != nil {
			t.Fatal(err)
		}
	}
	if out.Len() < maxGathered {
		t.Errorf("of 2 MiB of lines %d bytes were written, want no more than %d kept back", out.Len(), maxGathered)
	}
}

func TestFormatOfTheLog(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal("there is no terminal to be had: ", err)
	}
	t.Cleanup(func() { terminal.Close() })
	for _, test := range []struct {
		name   string
		out    io.Writer
		isText bool
	}{
		{"a terminal", terminal, true},
		{"a terminal behind gathered lines", newLines(terminal), true},
		{"a file", openNull(t), false},
		{"anything else", new(bytes.Buffer), false},
	} {
		for format, want := range map[string]bool{"auto": test.isText, "text": true, "json": false} {
			c := Config{LogFormat: format}
			if _, isText := c.logger(test.out).Handler().(*slog.TextHandler); isText != want {
				t.Errorf("%s on %s is text: %v, want %v", format, test.name, isText, want)
			}
		}
	}
}

func openNull(t *testing.T) *os.File {
	t.Helper()
	file, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}
