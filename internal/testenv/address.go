package testenv

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreeAddress gives a TCP address of this machine for a process that is yet to be started. Nobody who asks the kernel for
// any free port gets it in the meantime, as long as those come from 32768 on (ip_local_port_range).
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	const first, last, attempts = 20_000, 32_000, 100
	for range attempts {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.N(last-first))) //nolint:gosec // not a secret
		var lc net.ListenConfig
		if l, err := lc.Listen(tb.Context(), "tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	tb.Fatal("no free port")
	return ""
}
