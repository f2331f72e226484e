// Package wallclock runs a Go program whose time of day a test can set while
// its monotonic clock, like everything else of the machine, goes on: what happens
// to a process when somebody corrects the clock of its host.
//
// The copy of the program that is run does not find the kernel's fast clock
// (vdso(7)), so it asks by a system call, which the test answers. It is for tests
// only, and supervise.Main must be called first in TestMain. A Clock may be used
// concurrently.
package wallclock

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/testenv"
	"github.com/fairagro/middleware-api/internal/testenv/supervise"
)

// Clock is the time of day of one process and its children.
type Clock struct{ offset atomic.Int64 }

// Set puts the time of day ahead of the machine's, or behind it, at once.
func (c *Clock) Set(ahead time.Duration) { c.offset.Store(int64(ahead)) }

// Command prepares a program with a clock, like supervise.Command.
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
	c := &Clock{}
	return supervise.Command(tb, []supervise.Watched{{Number: unix.SYS_CLOCK_GETTIME, First: unix.CLOCK_REALTIME}}, c.answer, slow, args...), c
}

// answer writes the time to where the call wants it.
func (c *Clock) answer(call supervise.Call) (a supervise.Answer) {
	now := time.Now().Add(time.Duration(c.offset.Load()))
	var spec [16]byte
	binary.NativeEndian.PutUint64(spec[:], uint64(now.Unix()))
	binary.NativeEndian.PutUint64(spec[8:], uint64(now.Nanosecond()))
	if _, err := unix.ProcessVMWritev(call.PID, []unix.Iovec{{Base: &spec[0], Len: 16}},
		[]unix.RemoteIovec{{Base: uintptr(call.Args[1]), Len: 16}}, 0); err != nil {
		a.Err = unix.EFAULT
	}
	return a
}
