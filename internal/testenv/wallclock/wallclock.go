// Package wallclock runs a Go program whose time of day a test can set while
// its monotonic clock, like everything else of the machine, goes on: what happens
// to a process when somebody corrects the clock of its host.
//
// The copy of the program that is run does not find the kernel's fast clock
// (vdso(7)), so it asks by a system call, and a filter (seccomp_unotify(2)) lets
// the test answer that call. It is for tests only. Main must be called first in
// TestMain; a Clock may be used concurrently.
package wallclock

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// launcher tells the test binary to be the launcher: its value is the program.
const launcher = "MIDDLEWARE_API_WALLCLOCK"

// Clock is the time of day of one process and its children.
type Clock struct{ offset atomic.Int64 }

// Set puts the time of day ahead of the machine's, or behind it, at once.
func (c *Clock) Set(ahead time.Duration) { c.offset.Store(int64(ahead)) }

// Command prepares a program with a clock. The command may be changed like any
// other before it is started, but for its path, and for the first of its
// ExtraFiles.
func Command(tb testing.TB, program string, args ...string) (*exec.Cmd, *Clock) {
	tb.Helper()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		testenv.Skip(tb, "the kernel's fast clock has another name on "+runtime.GOARCH)
	}
	code, err := os.ReadFile(program)
	if err != nil {
		tb.Fatal(err)
	}
	code = bytes.ReplaceAll(code, []byte("__vdso_clock_gettime"), []byte("__vdso_no_such_time_"))
	code = bytes.ReplaceAll(code, []byte("__kernel_clock_gettime"), []byte("__kernel_no_such_time_"))
	slow := filepath.Join(tb.TempDir(), filepath.Base(program))
	if err := os.WriteFile(slow, code, 0o700); err != nil {
		tb.Fatal(err)
	}
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
	c := &Clock{}
	go c.serve(conn.(*net.UnixConn))

	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	// Not ended with the context of the test, so that it can be ended in order.
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), self, args...)
	cmd.Env = append(os.Environ(), launcher+"="+slow)
	cmd.ExtraFiles = []*os.File{theirs}
	return cmd, c
}

// Main becomes the program when this process was started by Command, and
// returns otherwise.
func Main() {
	program := os.Getenv(launcher)
	if program == "" {
		return
	}
	_ = os.Unsetenv(launcher)
	runtime.LockOSThread() // the filter is this thread's, and survives the exec
	err := filter()
	if err == nil {
		err = unix.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "wallclock:", err)
	os.Exit(125)
}

// filter asks the other end of descriptor 3 about the time of day from now on.
func filter() error {
	const realtime = 0 // CLOCK_REALTIME
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLOCK_GETTIME, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16}, // its first argument
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: realtime, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
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

// question and answer are struct seccomp_notif and seccomp_notif_resp.
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

type answer struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

// serve answers until the process has gone.
func (c *Clock) serve(conn *net.UnixConn) {
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
	for c.answer(listener) {
	}
}

func (c *Clock) answer(listener int) bool {
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
	now := time.Now().Add(time.Duration(c.offset.Load()))
	var spec [16]byte
	binary.NativeEndian.PutUint64(spec[:], uint64(now.Unix()))
	binary.NativeEndian.PutUint64(spec[8:], uint64(now.Nanosecond()))
	a := answer{id: q.id}
	if _, err := unix.ProcessVMWritev(int(q.pid), []unix.Iovec{{Base: &spec[0], Len: 16}},
		[]unix.RemoteIovec{{Base: uintptr(q.call.args[1]), Len: 16}}, 0); err != nil {
		a.err = -int32(unix.EFAULT)
	}
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND,
		uintptr(unsafe.Pointer(&a))) //nolint:gosec // ioctl(2) takes a pointer
	return true
}
