package backing

import "syscall"

func processAttributes(as *syscall.Credential, life Life) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Credential: as, Setsid: true} // Ctrl-C is for us
	if life == WithParent {
		attributes.Pdeathsig = syscall.SIGKILL
	}
	return attributes
}
