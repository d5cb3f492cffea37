//go:build unix && !linux

package pgtest

import "syscall"

// attributes runs a child as another user (nil for this one). Only Linux tells a child of its parent's death: here Main ends it.
func attributes(who *syscall.Credential, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who, Setpgid: true}
}
