package worker

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
)

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
