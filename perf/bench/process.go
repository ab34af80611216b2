package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// build builds the hangar command into dir.
func build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "hangar")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "hangar/cmd/hangar")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build hangar: %w\n%s", err, out)
	}
	return binary, nil
}

// process is a server under measurement, in a process of its own.
type process struct {
	cmd   *exec.Cmd
	url   string
	ready time.Duration // from the start of the process to its first answer
}

// start starts a server that prints a line with its URL, if it has one, and
// waits until it answers. Its log goes to a file, as a user's would.
func start(ctx context.Context, logFile, name string, args ...string) (*process, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: exec.CommandContext(ctx, name, args...)}
	p.cmd.Stderr = log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		return nil, errors.Join(fmt.Errorf("%s said nothing; see %s", name, logFile), p.cmd.Wait())
	}
	i := strings.Index(lines.Text(), "http://")
	if i < 0 {
		return p, nil // it has no gateway
	}
	p.url, _, _ = strings.Cut(lines.Text()[i:], " ")
	resp, err := http.Get(p.url + "/products?limit=1")
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	p.ready = time.Since(begin)
	return p, resp.Body.Close()
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return p.cmd.Wait()
}

// serveBare is the limit: net/http, and nothing but the given bytes as answer.
func serveBare(out io.Writer, body string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "http://"+listener.Addr().String())
	b := []byte(body)
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(b)
	}))
}
