//go:build unix && !linux

package webtest

import (
	"os/exec"
	"syscall"
)

// endsWithUs keeps Ctrl-C from a child, so that Main ends it. Only Linux tells a child of its parent's death.
func endsWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
