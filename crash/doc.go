// Package crash is how tests interfere with a process, to see that what follows
// mends it, and that the tests would notice if it did not. Only a build with the
// tag "faults" listens to them:
//
//	HANGAR_CRASH=name:n    ends the process, as SIGKILL would, when it passes the
//	                       named place for the n-th time
//	HANGAR_PANIC=name:n    panics there at each n-th passing
//	HANGAR_SABOTAGE=name   turns a mechanism off
//	HANGAR_STATS=path      writes there, at SIGUSR1, how much the process uses
//
// HANGAR_CRASH, HANGAR_PANIC and HANGAR_SABOTAGE take several, with commas between.
package crash
