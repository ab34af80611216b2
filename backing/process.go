package backing

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// command is a process of a server.
type command struct {
	name string
	args []string
	env  []string // beside that of this process
	as   *syscall.Credential

	stopBy, killBy syscall.Signal
}

// part is a running process of a server.
type part struct {
	name           string
	pid            int
	log            string        // file with what it said; "" if that is not known
	ended          chan struct{} // closed when it has; nil if it is not our child
	mark           []string      // what its command line has, to know it again by
	stopBy, killBy syscall.Signal
}

// endTimeout bounds how long a process has to end.
const endTimeout = 3 * time.Minute

// start starts a process whose log goes to the folder.
func (c command) start(dir string, ports []int, life Life) (*part, error) {
	p := &part{
		name:   c.name,
		log:    filepath.Join(dir, filepath.Base(c.name)+".log"),
		ended:  make(chan struct{}),
		stopBy: c.stopBy,
		killBy: c.killBy,
		mark:   marks(dir, ports),
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.name, c.args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = processAttributes(c, life)
	started := make(chan error)
	go func() {
		// "The parent" that a process ends with is the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended does not matter
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// partState is what is noted of a running process.
type partState struct {
	PID            int
	StopBy, KillBy syscall.Signal
}

// attach returns a process that another command started.
func (p partState) attach(dir string, ports []int) *part {
	return &part{name: "process " + strconv.Itoa(p.PID), pid: p.PID, stopBy: p.StopBy, killBy: p.KillBy, mark: marks(dir, ports)}
}

func marks(dir string, ports []int) []string {
	list := []string{dir}
	for _, port := range ports {
		list = append(list, strconv.Itoa(port))
	}
	return list
}

// alive reports whether the process runs. For one that is not a child, its
// command line must say that it is still the same.
func (p *part) alive() bool {
	if p.ended != nil {
		select {
		case <-p.ended:
			return false
		default:
			return true
		}
	}
	line := commandLine(p.pid)
	return slices.ContainsFunc(p.mark, func(mark string) bool { return strings.Contains(line, mark) })
}

func (p *part) stop() error { return p.end(p.stopBy) }
func (p *part) kill() error { return p.end(p.killBy) }

// end sends a signal and waits until the process is gone.
func (p *part) end(signal syscall.Signal) error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end %s: %w", p.name, err)
	}
	for begin := time.Now(); p.alive(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > endTimeout {
			return errors.Join(fmt.Errorf("%s did not end within %v of %v", p.name, endTimeout, signal), syscall.Kill(p.pid, syscall.SIGKILL))
		}
	}
	return nil
}

// lastWords returns the end of the process's log.
func (p *part) lastWords() string {
	const tail = 2000
	log, err := os.ReadFile(p.log)
	if err != nil {
		return "its log cannot be read: " + err.Error()
	}
	return string(log[max(0, len(log)-tail):])
}
