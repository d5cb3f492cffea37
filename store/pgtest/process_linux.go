package pgtest

import "syscall"

// attributes runs a child as another user (nil for this one), and sends it a signal when its parent dies.
// The child has a process group of its own, so that Ctrl-C reaches the tests first.
func attributes(who *syscall.Credential, death syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who, Pdeathsig: death, Setpgid: true}
}
