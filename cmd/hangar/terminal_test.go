package main

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal is one that a shell runs in.
type terminal struct {
	pty  *os.File
	cmd  *exec.Cmd
	read sync.WaitGroup

	mu     sync.Mutex
	output string
	seen   int  // of the output, what was waited for
	ended  bool // nothing more comes
}

func startInTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	file, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{pty: file, cmd: cmd}
	term.read.Go(func() {
		buffer := make([]byte, 4096)
		for {
			n, err := file.Read(buffer)
			term.mu.Lock()
			term.output += string(buffer[:n])
			term.ended = err != nil
			term.mu.Unlock()
			if err != nil { // the process has left its terminal
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		term.read.Wait()
		file.Close()
	})
	return term
}

// press sends keys.
func (term *terminal) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := term.pty.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// expect waits for a text, and forgets what came before.
func (term *terminal) expect(t *testing.T, text string) {
	t.Helper()
	if rest, shown := term.await(time.Minute, text); !shown {
		t.Fatalf("%q did not show; the terminal has %q", text, rest)
	}
}

// expectLine waits for a text and the end of its line, and returns what is between.
func (term *terminal) expectLine(t *testing.T, text string) string {
	t.Helper()
	term.expect(t, text)
	line, shown := term.await(time.Minute, "\r\n")
	if !shown {
		t.Fatalf("the line of %q does not end; the terminal has %q", text, line)
	}
	return line
}

// await returns what the terminal shows before a text, or, if that does not come,
// what there is.
func (term *terminal) await(patience time.Duration, text string) (before string, shown bool) {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		term.mu.Lock()
		before, _, shown := strings.Cut(term.output[term.seen:], text)
		if shown {
			term.seen += len(before) + len(text)
		}
		ended := term.ended
		term.mu.Unlock()
		if shown || ended || time.Since(begin) > patience {
			return before, shown
		}
	}
}

// exit waits for the end of the process.
func (term *terminal) exit(t *testing.T, code int) {
	t.Helper()
	term.end(t)
	if got := term.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("the shell has ended with %d, want %d", got, code)
	}
}

// end waits for the end of the process, however it ends.
func (term *terminal) end(t *testing.T) {
	t.Helper()
	ended := make(chan struct{})
	go func() { _ = term.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(60 * time.Second):
		t.Fatalf("%s does not end", term.cmd)
	}
}

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
	up    = "\x1b[A"
)
