package webtest

import (
	"os/exec"
	"syscall"
)

// endsWithUs has a child killed when the tests die without ending it.
func endsWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
