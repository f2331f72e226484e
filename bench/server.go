package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// server is one side: its processes and the socket that they listen on, which
// belongs to us, as under systemd.
type server struct {
	name     string
	listener net.Listener
	address  string
	commands []*exec.Cmd
	log      *os.File
}

// newServer opens the socket of a side.
func newServer(ctx context.Context, dir, name string) (*server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return &server{name: name, listener: l, address: l.Addr().String(), log: log}, nil
}

// handOver is a shell that becomes the program, to which descriptor 3 is a
// socket by sd_listen_fds(3): LISTEN_PID has to be known before the exec.
const handOver = `LISTEN_PID=$$ exec "$@"`

// spawn starts a process that inherits the socket.
func (s *server) spawn(env []string, program string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), "/bin/sh", append([]string{"-c", handOver, "sh", program}, args...)...)
	cmd.Env = append(append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=http"), env...)
	if err := s.inherit(cmd); err != nil {
		return err
	}
	return s.start(cmd)
}

// inherit hands the socket to a command. It goes through a duplicate made by
// hand: (*TCPListener).File followed by Fd would switch the socket to blocking,
// for everybody.
func (s *server) inherit(cmd *exec.Cmd) error {
	raw, err := s.listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	var fd int
	var dupErr error
	if err := raw.Control(func(p uintptr) { fd, dupErr = syscall.Dup(int(p)) }); err != nil || dupErr != nil {
		return errors.Join(err, dupErr)
	}
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), "listener")}
	return nil
}

func (s *server) start(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err := cmd.Start()
	for _, f := range cmd.ExtraFiles {
		_ = f.Close()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.commands = append(s.commands, cmd)
	return nil
}

// pids are the processes that were started; what they started themselves belongs to them.
func (s *server) pids() []int {
	pids := make([]int, len(s.commands))
	for i, c := range s.commands {
		pids[i] = c.Process.Pid
	}
	return pids
}

// startLimit is how long a side may take to answer for the first time.
const startLimit = 60 * time.Second

// livenessPath is what both sides answer without asking anybody.
const livenessPath = "/v3/liveness"

// awaitAnswer returns once the side has answered.
func (s *server) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.ask(ctx, livenessPath); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(s.log.Name())
			text = text[max(0, len(text)-4<<10):]
			return fmt.Errorf("%s does not answer:\n%s", s.name, text)
		case <-tick.C:
		}
	}
}

func (s *server) ask(ctx context.Context, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+path, nil)
	if err != nil {
		return err
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// stop ends the processes in an orderly way, and those that do not care by force.
func (s *server) stop() {
	_ = s.listener.Close()
	for _, c := range s.commands {
		_ = c.Process.Signal(syscall.SIGTERM)
	}
	for _, c := range s.commands {
		force := time.AfterFunc(20*time.Second, func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
		_ = c.Wait()
		force.Stop()
	}
	_ = s.log.Close()
}
