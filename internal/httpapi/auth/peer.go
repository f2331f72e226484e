package auth

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Unix among the trusted proxies stands for every peer on a unix socket; who
// may open it is a matter of the socket's permissions.
const Unix = "unix"

// DefaultTrusted are the peers whose headers are believed unless the operator
// says otherwise: this host.
func DefaultTrusted() []string { return []string{"127.0.0.0/8", "::1/128", Unix} }

// peers is a set of addresses, unix sockets included.
type peers struct {
	networks []netip.Prefix
	unix     bool
}

func parsePeers(list []string) (peers, error) {
	var set peers
	for _, item := range list {
		if item == Unix {
			set.unix = true
			continue
		}
		network, err := parseNetwork(item)
		if err != nil {
			return peers{}, fmt.Errorf("trusted proxy %q is neither an address, a network nor %q", item, Unix)
		}
		set.networks = append(set.networks, network)
	}
	return set, nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	address, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	address = address.Unmap()
	return netip.PrefixFrom(address, address.BitLen()), nil
}

// contains tells whether the peer of a request belongs to the set.
func (p peers) contains(r *http.Request) bool {
	if onUnixSocket(r) {
		return p.unix
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	address := peer.Addr().Unmap().WithZone("")
	for _, network := range p.networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// onUnixSocket goes by the listener's address: the peer of a unix socket has
// no name of its own, and a missing name proves nothing.
func onUnixSocket(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}

// PeerName gives the peer's address without its port, "unix" on a unix socket.
func PeerName(r *http.Request) string {
	if onUnixSocket(r) {
		return Unix
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Scheme tells how the client speaks to us; a trusted proxy may say it knows better.
func (a *Authenticator) Scheme(r *http.Request) string {
	forwarded := r.Header.Get("X-Forwarded-Proto")
	if (forwarded == "http" || forwarded == "https") && a.trusted.contains(r) {
		return forwarded
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}
