//go:build !linux

package backing

import (
	"os/exec"
	"strconv"
	"syscall"
)

// A process elsewhere outlives its parent if that ends without stopping it.
func processAttributes(c command, _ Life) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: c.as, Setsid: true}
}

// commandLine returns how a process was called, "" if there is none.
func commandLine(pid int) string {
	line, _ := exec.Command("ps", "-o", "command=", "-ww", "-p", strconv.Itoa(pid)).Output()
	return string(line)
}
