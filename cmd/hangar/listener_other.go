//go:build !unix

package main

import "net"

// acceptWaiting returns nothing: here a listener cannot be asked without waiting.
func acceptWaiting(*net.TCPListener) []net.Conn { return nil }
