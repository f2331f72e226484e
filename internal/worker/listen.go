package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Codes of what can be wrong with sockets.
const (
	CodeSocketMissing = fault.Code("socket-missing")
	CodeSocketUnknown = fault.Code("socket-unknown")
	CodeSocketInvalid = fault.Code("socket-invalid")
	CodeAddressInUse  = fault.Code("address-in-use")
	CodeListen        = fault.Code("listen")
)

// listeners are the sockets of a worker by the name of their endpoint.
type listeners map[string][]net.Listener

func (ls listeners) close() {
	for _, set := range ls {
		for _, l := range set {
			_ = l.Close()
		}
	}
}

// listen takes the inherited sockets, or opens those of the endpoints when
// nothing was inherited. inherited tells which of the two happened.
func listen(ctx context.Context, endpoints []Endpoint) (ls listeners, inherited bool, err error) {
	files := activation.Files(true)
	if len(files) == 0 {
		ls, err = openOwn(ctx, endpoints)
		return ls, false, err
	}
	ls, err = adopt(files)
	if err == nil {
		err = checkNames(ls, endpoints)
	}
	if err != nil {
		ls.close()
		return nil, true, err
	}
	return ls, true, nil
}

// adopt turns inherited descriptors into listeners. The descriptions behind
// them are shared with every other worker, hence nothing here may touch their
// flags: net.FileListener duplicates, and sets O_NONBLOCK, which is set
// already (NonBlocking=yes of the unit).
func adopt(files []*os.File) (listeners, error) {
	ls := listeners{}
	var errs []error
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			errs = append(errs, &fault.Error{
				Code: CodeSocketInvalid, Owner: fault.OwnerOperator, Cause: err,
				Text:   fmt.Sprintf("the inherited descriptor %q is not a listening stream socket", f.Name()),
				Remedy: "use ListenStream= only, and Accept=no, in the socket unit; see: systemctl cat middleware-api.socket",
			})
		} else {
			ls[f.Name()] = append(ls[f.Name()], l)
		}
		_ = f.Close()
	}
	return ls, errors.Join(errs...)
}

// checkNames compares what was inherited with what is needed.
func checkNames(ls listeners, endpoints []Endpoint) error {
	var errs []error
	known := make([]string, 0, len(endpoints))
	for _, e := range endpoints {
		known = append(known, e.Name)
		if len(ls[e.Name]) == 0 && !e.Optional {
			errs = append(errs, &fault.Error{
				Code: CodeSocketMissing, Owner: fault.OwnerOperator,
				Text:   fmt.Sprintf("no socket named %q was inherited, only %s", e.Name, quoted(names(ls))),
				Remedy: fmt.Sprintf("set FileDescriptorName=%s in the socket unit (systemctl edit middleware-api.socket)", e.Name),
			})
		}
	}
	for _, name := range names(ls) {
		if !slices.Contains(known, name) {
			errs = append(errs, &fault.Error{
				Code: CodeSocketUnknown, Owner: fault.OwnerOperator,
				Text:   fmt.Sprintf("the inherited socket %q (%s) is unknown; known are %s", name, ls[name][0].Addr(), quoted(known)),
				Remedy: "correct FileDescriptorName= in the socket unit, or remove that unit from Sockets= of middleware-api@.service",
			})
		}
	}
	return errors.Join(errs...)
}

func names(ls listeners) []string {
	all := make([]string, 0, len(ls))
	for name := range ls {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func quoted(words []string) string {
	return `"` + strings.Join(words, `", "`) + `"`
}

func openOwn(ctx context.Context, endpoints []Endpoint) (listeners, error) {
	ls := listeners{}
	for _, e := range endpoints {
		for _, address := range e.Addresses {
			l, err := open(ctx, address)
			if err != nil {
				ls.close()
				return nil, err
			}
			ls[e.Name] = append(ls[e.Name], l)
		}
		if len(ls[e.Name]) == 0 && !e.Optional {
			ls.close()
			return nil, &fault.Error{
				Code: CodeSocketMissing, Owner: fault.OwnerOperator,
				Text:   fmt.Sprintf("no socket was inherited and no address is configured for %q", e.Name),
				Remedy: "under systemd, where the addresses of the socket may have changed: systemctl restart middleware-api.socket; else name an address to listen on",
			}
		}
	}
	return ls, nil
}

func open(ctx context.Context, address string) (net.Listener, error) {
	network := "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
		removeStale(ctx, address)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &fault.Error{
			Code: CodeAddressInUse, Owner: fault.OwnerOperator, Cause: err,
			Text:   address + " is in use by another program",
			Remedy: "find it by: ss -ltnpx; or listen elsewhere (setting listen)",
		}
	default:
		return nil, &fault.Error{
			Code: CodeListen, Owner: fault.OwnerOperator, Cause: err,
			Text:   "cannot listen on " + address,
			Remedy: listenRemedy(network, err),
		}
	}
}

// listenRemedy is what an operator can do about an address that cannot be had.
func listenRemedy(network string, err error) string {
	switch {
	case errors.Is(err, syscall.EACCES) && network == "tcp":
		return "ports below 1024 are for root and systemd: listen elsewhere (setting listen), or let middleware-api.socket have the port"
	case errors.Is(err, syscall.EACCES):
		return "let the user of the service write to the folder of the socket, or listen elsewhere (setting listen)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "name an address of this machine in the setting listen: ip address"
	}
	return "check the setting listen"
}

// removeStale removes a unix socket nobody listens on any more, which a killed
// process leaves behind. A socket in use is left alone.
func removeStale(ctx context.Context, path string) {
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSocket == 0 {
		return
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path)
	}
}
