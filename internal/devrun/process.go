package main

import (
	"os/exec"
	"syscall"
	"time"
)

// process is a child that we started and that we end.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; valid after done
}

// start starts the child. It has to be called from the thread of main: the
// child is bound to the life of that thread.
func start(cmd *exec.Cmd) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// end asks the child to go, and kills it when it has not gone in time.
func (p *process) end(how syscall.Signal, grace time.Duration) {
	_ = p.cmd.Process.Signal(how)
	limit := time.NewTimer(grace)
	defer limit.Stop()
	select {
	case <-p.done:
	case <-limit.C:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}
