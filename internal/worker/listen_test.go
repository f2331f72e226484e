package worker

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
)

// TLS ends at TCP sockets; what comes over a unix socket is from this machine and plain.
func TestTLSOnTCPOnly(t *testing.T) {
	t.Parallel()
	w := newWorker(t.Context(), Options{Logger: slog.New(slog.DiscardHandler), Endpoints: []Endpoint{{Name: "http", TLS: &tls.Config{}}, {Name: "plain"}}})
	for _, tt := range []struct {
		name, address string
		plain         bool
	}{{"http", "127.0.0.1:0", false}, {"plain", "127.0.0.1:0", true}, {"http", filepath.Join(t.TempDir(), "s"), true}} {
		l, err := open(t.Context(), tt.address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if plain := w.secure(tt.name, l) == l; plain != tt.plain {
			t.Errorf("%s on %s: plain %t, want %t", tt.name, tt.address, plain, tt.plain)
		}
	}
}

// brokenListener is one that the system has taken away.
type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, syscall.ENOTSOCK }

// A worker that cannot accept connections any more ends with the error, and is counted so.
func TestABrokenListenerEndsTheWorker(t *testing.T) {
	t.Parallel()
	l, err := open(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w := newWorker(t.Context(), Options{
		Logger: slog.New(slog.DiscardHandler), RuntimeDir: dir, Endpoints: []Endpoint{{Name: "http", Handler: http.NotFoundHandler()}},
	}.withDefaults())
	w.listeners = listeners{"http": {brokenListener{l}}}
	if err := w.run(t.Context(), make(chan os.Signal)); !errors.Is(err, syscall.ENOTSOCK) {
		t.Errorf("got %v", err)
	}
	if n := Stops(dir)[string(StopFailure)]; n != 1 {
		t.Errorf("%d failures counted, want 1", n)
	}
}

// An address that cannot be had is told with what to do about it.
func TestRemediesForAddresses(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, tt := range map[string]struct {
		address string
		code    fault.Code
		remedy  string
	}{
		"taken":          {taken.Addr().String(), CodeAddressInUse, "ss -ltnpx"},
		"not ours":       {"192.0.2.1:0", CodeListen, "ip address"}, // of TEST-NET-1 (RFC 5737), which no machine has
		"no such folder": {filepath.Join(t.TempDir(), "none", "x.sock"), CodeListen, "setting listen"},
	} {
		l, err := open(t.Context(), tt.address)
		if err == nil {
			l.Close()
			t.Errorf("%s: listens on %s", name, tt.address)
			continue
		}
		f, _ := fault.Of(err)
		if f == nil || f.Code != tt.code || !strings.Contains(f.Remedy, tt.remedy) || !strings.Contains(f.Text, tt.address) {
			t.Errorf("%s: %+v, want code %s and remedy %q", name, f, tt.code, tt.remedy)
		}
	}
}

// A socket that somebody listens on stays, also if he has no time for another
// connection; one that nobody listens on makes way.
func TestSocketsInUseStay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		backlog int // -1: nobody listens
		stays   bool
	}{"left behind": {-1, false}, "in use": {1, true}, "crowded": {0, true}} {
		path := filepath.Join(t.TempDir(), "s")
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		if c.backlog >= 0 {
			if err := syscall.Listen(fd, c.backlog); err != nil {
				t.Fatal(err)
			}
		}
		if c.backlog == 0 {
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		removeStale(t.Context(), path)
		if _, err := os.Lstat(path); (err == nil) != c.stays {
			t.Errorf("%s: %v, want it to stay: %t", name, err, c.stays)
		}
	}
}

// Without any socket a worker does not begin, unless it can do without.
func TestNothingToListenOn(t *testing.T) {
	t.Parallel()
	if _, err := openOwn(t.Context(), []Endpoint{{Name: "http"}}); fault.CodeOf(err) != CodeSocketMissing {
		t.Errorf("got %v, want that a socket is missing", err)
	}
	if ls, err := openOwn(t.Context(), []Endpoint{{Name: "admin", Optional: true}}); err != nil || len(ls["admin"]) != 0 {
		t.Errorf("got %v, %v", ls, err)
	}
}
