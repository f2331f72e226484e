// Package tcp makes connections that end when the other machine is gone
// without a word: switched off, unplugged, or forgotten by a firewall.
//
// Whoever waits for an answer hears as little from it as from one that takes its
// time, and by itself TCP goes on sending for a quarter of an hour. The difference
// is whether the other kernel confirms what it is sent, which that of a slow or
// busy machine does at once.
package tcp

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Unheard is how long the other kernel may go without confirming anything.
// It leaves those who wait for a request (25 s) the time to do it elsewhere.
const Unheard = 8 * time.Second

// Dialer gives a dialer for such connections. Connecting takes as long as given, or
// as the context allows if that is 0. Other networks than TCP are left as they are.
func Dialer(connect time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout: connect,
		Control: giveUp,
		// While an answer is waited for, nothing else would be sent.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: Unheard / 2, Interval: Unheard / 4},
	}
}

// giveUp tells the kernel; see TCP_USER_TIMEOUT in tcp(7).
func giveUp(network, _ string, c syscall.RawConn) (err error) {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	failed := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(Unheard.Milliseconds()))
	})
	return errors.Join(failed, err)
}
