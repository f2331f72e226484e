package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/console"
	"github.com/fairagro/middleware-api/internal/store"
)

// peer is who is at the other end of a unix socket, as the kernel says (unix(7),
// SO_PEERCRED and SO_PEERGROUPS).
type peer struct {
	user   uint32
	groups []uint32
}

type peerKey struct{}

// withPeer notes who connected, for http.Server.ConnContext. Nothing is noted of
// who comes over the network.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	sock, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return ctx
	}
	var p *peer
	if err := raw.Control(func(fd uintptr) { p = peerOf(int(fd)) }); err != nil || p == nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, *p)
}

func peerOf(fd int) *peer {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil
	}
	return &peer{user: cred.Uid, groups: append(peerGroups(fd), cred.Gid)}
}

// peerGroups gives the supplementary groups of the peer at the time it connected.
func peerGroups(fd int) []uint32 {
	groups := make([]uint32, 64)
	for {
		size := uint32(4 * len(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0) //nolint:gosec // the package unix has no call for lists
		switch {
		case errno == 0:
			return groups[:size/4]
		case errors.Is(errno, unix.ERANGE) && int(size/4) > len(groups):
			groups = make([]uint32, size/4)
		default:
			return nil
		}
	}
}

// localViewer gives who looks at the console on a unix socket: root, the
// service's own user and the members of the group of operators, "" for none.
func localViewer(group string) func(*http.Request) (console.Viewer, bool) {
	return func(r *http.Request) (console.Viewer, bool) {
		p, ok := r.Context().Value(peerKey{}).(peer)
		if !ok || !p.operates(group) {
			return console.Viewer{}, false
		}
		return console.Viewer{Actor: store.Actor{Subject: "local user " + p.name()}, Operator: true}, true
	}
}

func (p peer) operates(group string) bool {
	if p.user == 0 || int(p.user) == os.Geteuid() {
		return true
	}
	if group == "" {
		return false
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return false
	}
	id, err := strconv.ParseUint(g.Gid, 10, 32)
	return err == nil && slices.Contains(p.groups, uint32(id))
}

func (p peer) name() string {
	number := strconv.Itoa(int(p.user))
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}

// operatorsOnly keeps everybody else on this machine from a handler.
func operatorsOnly(who func(*http.Request) (console.Viewer, bool), h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v, ok := who(r); !ok || !v.Operator {
			http.Error(w, "Only root, the user of the service and members of the group admin.group may look here.", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}
