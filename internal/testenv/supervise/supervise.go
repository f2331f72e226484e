// Package supervise runs a program of which a test answers or watches certain
// system calls, its children's included (seccomp_unotify(2)): the test sees what
// reaches the kernel, whatever language and library it comes from, and needs no
// other program for it. It is for tests only. Main must be called first in
// TestMain; answers are given from one goroutine per program.
package supervise

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call is a system call that waits for its answer.
type Call struct {
	PID  int // of the thread
	Args [6]uint64
}

// Answer is what the call gives instead of being made. With Make it is made.
type Answer struct {
	Make bool
	Err  unix.Errno
}

// Watched is a kind of system calls.
type Watched struct {
	Number uint32
	First  int // what the first argument has to be; -1 is anything
}

// The launcher is told what to run, and what is watched.
const (
	launcher = "MIDDLEWARE_API_SUPERVISED"
	watching = "MIDDLEWARE_API_WATCHED"
)

// Command prepares a program whose watched calls are answered. The command may
// be changed like any other before it is started, but for its path, and for the
// first of its ExtraFiles.
func Command(tb testing.TB, watched []Watched, answer func(Call) Answer, program string, args ...string) *exec.Cmd {
	tb.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	tb.Cleanup(func() { _ = ours.Close(); _ = theirs.Close() })
	conn, err := net.FileConn(ours)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	go serve(conn.(*net.UnixConn), answer)

	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	words := make([]string, len(watched))
	for i, w := range watched {
		words[i] = fmt.Sprint(w.Number, ":", w.First)
	}
	// Not ended with the context of the test, so that it can be ended in order.
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), self, args...)
	cmd.Env = append(os.Environ(), launcher+"="+program, watching+"="+strings.Join(words, ","))
	cmd.ExtraFiles = []*os.File{theirs}
	return cmd
}

// Main becomes the program when this process was started by Command, and
// returns otherwise.
func Main() {
	program := os.Getenv(launcher)
	if program == "" {
		return
	}
	watched := strings.Split(os.Getenv(watching), ",")
	_, _ = os.Unsetenv(launcher), os.Unsetenv(watching)
	runtime.LockOSThread() // the filter is this thread's, and survives the exec
	err := filter(watched)
	if err == nil {
		err = unix.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "supervise:", err)
	os.Exit(125)
}

// filter asks the other end of descriptor 3 about what is watched from now on.
func filter(watched []string) error {
	var rules []unix.SockFilter
	for _, w := range watched {
		number, first, _ := strings.Cut(w, ":")
		nr, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return err
		}
		arg, err := strconv.ParseInt(first, 10, 32)
		if err != nil {
			return err
		}
		rules = append(rules, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}) // number of the call
		if arg < 0 {
			rules = append(rules, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(nr), Jf: 1})
		} else {
			rules = append(rules,
				unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(nr), Jf: 3},
				unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16}, // its first argument
				unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(arg), Jf: 1})
		}
		rules = append(rules, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	rules = append(rules, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(rules)), Filter: &rules[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
		uintptr(unsafe.Pointer(&prog))) //nolint:gosec // seccomp(2) takes a pointer
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	defer func() { _ = unix.Close(int(fd)) }()
	if err := unix.Sendmsg(3, []byte{0}, unix.UnixRights(int(fd)), nil, 0); err != nil {
		return err
	}
	unix.CloseOnExec(3)
	return nil
}

// question and reply are struct seccomp_notif and seccomp_notif_resp.
type question struct {
	id    uint64
	pid   uint32
	flags uint32
	call  struct {
		number int32
		arch   uint32
		at     uint64
		args   [6]uint64
	}
}

type reply struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

// serve answers until the program has gone.
func serve(conn *net.UnixConn, answer func(Call) Answer) {
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), rights)
	if err != nil {
		return
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) == 0 {
		return
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return
	}
	listener := fds[0]
	defer func() { _ = unix.Close(listener) }()
	for next(listener, answer) {
	}
}

func next(listener int, answer func(Call) Answer) bool {
	// Polled, because a process that has gone asks no more and is not told otherwise.
	poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
	if _, err := unix.Poll(poll, -1); err == unix.EINTR { //nolint:errorlint // an errno
		return true
	}
	if poll[0].Revents&unix.POLLIN == 0 {
		return false
	}
	var q question
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV,
		uintptr(unsafe.Pointer(&q))) //nolint:gosec // ioctl(2) takes a pointer
	if errno != 0 {
		return true // the thread that asked has gone
	}
	a := answer(Call{PID: int(q.pid), Args: q.call.args})
	r := reply{id: q.id, err: -int32(a.Err)}
	if a.Make {
		r.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND,
		uintptr(unsafe.Pointer(&r))) //nolint:gosec // ioctl(2) takes a pointer
	return true
}
