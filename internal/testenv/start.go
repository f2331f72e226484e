package testenv

import (
	"os/exec"
	"runtime"
)

// Start starts a program whose SysProcAttr.Pdeathsig ends it when this process is
// gone, even by SIGKILL, and closes the channel when it has ended. The kernel sends
// that signal when the thread ends that started the program, so one is kept for it.
func Start(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return ended, <-started
}
