//go:build unix

package main

import (
	"net"
	"os"
	"syscall"
)

// acceptWaiting returns the connections that wait to be accepted, without
// waiting for any, and stops the listener from taking more.
func acceptWaiting(l *net.TCPListener) (conns []net.Conn) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil // it is closed already
	}
	var accepted []int
	raw.Control(func(fd uintptr) { // fails if it is closed, too
		accepted = acceptAll(int(fd))
		syscall.Shutdown(int(fd), syscall.SHUT_RD) // at once: whoever connects between is cut off
	})
	for _, fd := range accepted {
		file := os.NewFile(uintptr(fd), "")
		conn, err := net.FileConn(file) // a duplicate
		file.Close()
		if err == nil { // else it is gone
			conns = append(conns, conn)
		}
	}
	return conns
}

func acceptAll(listener int) (accepted []int) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for {
		fd, _, err := syscall.Accept(listener)
		switch err {
		case nil:
			syscall.CloseOnExec(fd)
			accepted = append(accepted, fd)
		case syscall.EINTR, syscall.ECONNABORTED:
		default: // nobody waits
			return accepted
		}
	}
}
