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

// process is a running store, or a service of one.
type process struct {
	cmd    *exec.Cmd
	url    string // "" for one without a gateway
	exited chan struct{}
	err    error // of Wait, once exited is closed
}

// startStore starts a whole store on the data folder; see start.
func startStore(t *testing.T, binary, data, crashAt string) *process {
	t.Helper()
	return start(t, binary, crashAt, "serve", "--addr", "127.0.0.1:0", "--data", data)
}

// start starts a process, to crash at the given point ("" for none), and returns
// when it serves. It returns nil if it crashed before.
func start(t *testing.T, binary, crashAt string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, args...), exited: make(chan struct{})}
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
	serves := lines.Scan()
	if i := strings.Index(lines.Text(), "http://"); i >= 0 {
		p.url, _, _ = strings.Cut(lines.Text()[i:], " ")
	}
	go func() {
		for lines.Scan() { // Wait may only be called when all is read
		}
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	if !serves {
		<-p.exited
		if crashAt == "" || !killed(p.err) {
			t.Fatalf("hangar %v did not start: %v\n%s", args, p.err, stderr.String())
		}
		return nil
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("log of hangar %v:\n%.20000s", args, stderr.String())
		}
	})
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
