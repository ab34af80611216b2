package faults_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// buildHangar builds the command with its crash points in.
func buildHangar(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "hangar")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "faults", "-o", binary, "hangar/cmd/hangar").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// process is a running store.
type process struct {
	cmd    *exec.Cmd
	url    string
	exited chan struct{}
	err    error // of Wait, once exited is closed
}

// start starts a store on the data folder, to crash at the given point ("" for
// none), and returns when it listens. It returns nil if it crashed before.
func start(t *testing.T, binary, data, crashAt string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, "serve", "--addr", "127.0.0.1:0", "--data", data), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "HANGAR_CRASH="+crashAt)
	var stderr strings.Builder
	p.cmd.Stderr = &stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for p.url == "" && lines.Scan() {
		if i := strings.Index(lines.Text(), "http://"); i >= 0 {
			p.url, _, _ = strings.Cut(lines.Text()[i:], " ")
		}
	}
	go func() {
		for lines.Scan() { // Wait may only be called when all is read
		}
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	if p.url == "" {
		<-p.exited
		if crashAt == "" || !killed(p.err) {
			t.Fatalf("the store did not start: %v\n%s", p.err, stderr.String())
		}
		return nil
	}
	t.Cleanup(p.kill)
	return p
}

// kill ends the process at once, and waits until it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill() // an error says that it has ended already
	<-p.exited
}

// drain ends the process as an operator does.
func (p *process) drain(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	if p.err != nil {
		t.Fatalf("after SIGTERM: %v, want exit code 0", p.err)
	}
}

func killed(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
