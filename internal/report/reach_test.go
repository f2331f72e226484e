package report

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// A unit that systemd keeps from an address which the configuration names is
// told with what lets it connect; whatever is allowed, or cannot be known, is not.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	const (
		closed = "LoadState=loaded\nRestrictAddressFamilies=AF_UNIX\nIPAddressDeny=0.0.0.0/0 ::/0\nIPAddressAllow=\n"
		some   = "LoadState=loaded\nRestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\nIPAddressDeny=0.0.0.0/0 ::/0\nIPAddressAllow=127.0.0.0/8 2001:db8::/32\n"
		open   = "LoadState=loaded\nRestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\nIPAddressDeny=\nIPAddressAllow=\n"
		none   = "LoadState=not-found\n"
	)
	for _, c := range []struct {
		unit, properties, host string
		want                   []string // parts of text and remedy; nothing: no warning
	}{
		{"middleware-api@1.service", closed, "192.0.2.7", []string{
			"database.url names 192.0.2.7", "open no network connections", `MIDDLEWARE_API_REACH="192.0.2.7"`, "systemctl reload middleware-api",
		}},
		{"middleware-api@1.service", closed, "db.example.org", []string{"ADDRESS-OF-DB.EXAMPLE.ORG ADDRESS-OF-THE-RESOLVER"}},
		{"middleware-api@1.service", closed, "localhost", []string{`MIDDLEWARE_API_REACH="localhost"`}},
		{"middleware-api@1.service", some, "192.0.2.7", []string{"not connect to that address"}},
		{"middleware-api-sync.service", some, "192.0.2.7", []string{"systemctl edit middleware-api-sync.service", "IPAddressAllow=192.0.2.7"}},
		{"middleware-api@1.service", some, "localhost", nil},
		{"middleware-api@1.service", some, "2001:db8::7", nil},
		{"middleware-api@1.service", some, "db.example.org", nil},
		{"middleware-api@1.service", open, "192.0.2.7", nil},
		{"middleware-api@1.service", none, "192.0.2.7", nil},
	} {
		systemctl := func(_ context.Context, args ...string) ([]byte, error) {
			if args[len(args)-1] != c.unit {
				return nil, errors.New("asked for another unit")
			}
			return []byte(c.properties), nil
		}
		got := unreachable(t.Context(), systemctl, []Need{{Unit: c.unit, Setting: "database.url", Host: c.host}})
		if len(got) == 0 != (c.want == nil) {
			t.Errorf("%s to %s: %+v, want %q", c.unit, c.host, got, c.want)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(got[0].Text+"\n"+got[0].Remedy, want) {
				t.Errorf("%s to %s: %+v lacks %q", c.unit, c.host, got[0], want)
			}
		}
	}
	away := func(context.Context, ...string) ([]byte, error) { return nil, errNoSystemd }
	if got := unreachable(t.Context(), away, []Need{{Unit: "middleware-api@1.service", Host: "192.0.2.7"}}); got != nil {
		t.Errorf("without systemd: %+v", got)
	}
}
