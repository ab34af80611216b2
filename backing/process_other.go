//go:build !linux

package backing

import "syscall"

// A process elsewhere outlives its parent if that ends without stopping it.
func processAttributes(as *syscall.Credential, _ Life) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as, Setsid: true}
}
