package faults_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"hangar"
)

// buildHangar builds the command, with what tests interfere by, once.
var buildHangar = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hangar-faults-")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "hangar")
	out, err := exec.Command("go", "build", "-tags", "faults", "-o", binary, "hangar/cmd/hangar").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, nil
})

// program is a store or a service of one, to be started again and again.
type program struct {
	args  []string
	env   []string // of each start
	stats string   // file for what the process uses
	*process
}

// process is a program that runs, or did.
type process struct {
	cmd    *exec.Cmd
	log    *tail
	exited chan struct{}
	err    error // of Wait, once exited is closed
}

// newProgram returns a program that is not started.
func newProgram(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{args: append(args, "--log-level", "warn"), stats: filepath.Join(t.TempDir(), "stats")}
	p.env = []string{"HANGAR_STATS=" + p.stats}
	t.Cleanup(func() {
		if p.process == nil {
			return
		}
		p.kill()
		if t.Failed() {
			t.Logf("end of the log of hangar %v:\n%s", p.args, p.log)
		}
	})
	return p
}

// start starts it, with more environment than it always has, and returns when it
// serves. It reports false if the environment made it crash before.
func (p *program) start(t *testing.T, env ...string) bool {
	t.Helper()
	binary, err := buildHangar()
	if err != nil {
		t.Fatal(err)
	}
	run := &process{cmd: exec.Command(binary, p.args...), exited: make(chan struct{}), log: new(tail)}
	run.cmd.Env = append(append(os.Environ(), p.env...), env...)
	run.cmd.Stderr = run.log
	stdout, err := run.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.process = run
	lines := bufio.NewScanner(stdout)
	serves := lines.Scan()
	go func() {
		for lines.Scan() { // Wait may only be called when all is read
		}
		run.err = run.cmd.Wait()
		close(run.exited)
	}()
	if serves {
		return true
	}
	<-run.exited
	if len(env) == 0 || !killed(run.err) {
		t.Fatalf("hangar %v did not start: %v\n%s", p.args, run.err, run.log)
	}
	return false
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
	const patience = 30 * time.Second // that of orchestrators
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatalf("hangar still ran %v after SIGTERM:\n%s", patience, p.log)
	}
	if p.err != nil {
		t.Fatalf("after SIGTERM: %v, want exit code 0\n%s", p.err, p.log)
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

// usage is what a process uses.
type usage struct {
	Goroutines, Descriptors int
	HeapBytes               int64
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %.1f MiB of heap", u.Goroutines, u.Descriptors, float64(u.HeapBytes)/(1<<20))
}

// usage asks the process how much it uses.
func (p *program) usage(t *testing.T) (u usage) {
	t.Helper()
	if err := os.RemoveAll(p.stats); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the process says what it uses", func() bool {
		data, err := os.ReadFile(p.stats)
		return err == nil && json.Unmarshal(data, &u) == nil
	})
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	u.Descriptors = len(descriptors)
	return u
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (l *tail) Write(p []byte) (int, error) {
	const most = 16 << 10
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if len(l.text) > 2*most {
		l.text = append([]byte("…"), l.text[len(l.text)-most:]...)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, met func() bool) {
	t.Helper()
	const patience = 90 * time.Second
	for begin := time.Now(); !met(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// putInto creates products, or sets them to what they are to be.
func putInto(t *testing.T, url string, stock map[string]int64) {
	t.Helper()
	for id, n := range stock {
		body, err := json.Marshal(hangar.Product{ID: id, Title: id, InStock: n})
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, "product "+id+" is created", func() bool {
			a := send(t.Context(), http1, "POST", url+"/products", string(body), "")
			return a.status == 200
		})
	}
}
