package testenv

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Unplug has the kernel drop whatever arrives on a TCP connection, before it
// confirms it: to the other side, this machine is gone.
func Unplug(tb testing.TB, conn net.Conn) {
	tb.Helper()
	raw, ok := conn.(syscall.Conn)
	if !ok {
		tb.Fatalf("%T has no socket", conn)
	}
	socket, err := raw.SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	nothing := &unix.SockFprog{Len: 1, Filter: &unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}}
	var failed error
	err = socket.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, nothing)
	})
	if err := errors.Join(err, failed); err != nil && !errors.Is(err, net.ErrClosed) {
		tb.Errorf("unplug: %v", err)
	}
}
