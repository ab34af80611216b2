package backing

import (
	"fmt"
	"os"
	"syscall"
)

func processAttributes(c command, life Life) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Credential: c.as, Setsid: true} // Ctrl-C is for us
	if life == WithParent {
		attributes.Pdeathsig = c.killBy
	}
	return attributes
}

// commandLine returns how a process was called, "" if there is none. Small
// systems have no ps.
func commandLine(pid int) string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(line)
}
