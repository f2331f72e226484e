package report

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Need is an address that a unit has to connect to because of a setting.
type Need struct {
	Unit    string
	Setting string // for example database.url
	Host    string // name or address
}

// CheckReach looks whether systemd lets the units connect to what the
// configuration names. Where there is no systemd nothing stands in the way.
func CheckReach(needs ...Need) Check {
	return Check{Name: "network", Run: func(ctx context.Context) []Finding {
		list := Unreachable(ctx, needs...)
		if list == nil {
			list = append(list, ok("the units may connect to %d addresses that the configuration names", len(needs)))
		}
		return list
	}}
}

// Unreachable gives a warning for each need that a unit is not allowed to meet;
// none if that cannot be told.
func Unreachable(ctx context.Context, needs ...Need) []Finding {
	return unreachable(ctx, systemctl, needs)
}

func unreachable(ctx context.Context, systemctl func(context.Context, ...string) ([]byte, error), needs []Need) []Finding {
	var list []Finding
	for _, n := range needs {
		out, err := systemctl(ctx, "show", "--property=LoadState,RestrictAddressFamilies,IPAddressDeny,IPAddressAllow", n.Unit)
		if err != nil {
			return nil
		}
		if why := forbidden(properties(out), n.Host); why != "" {
			list = append(list, warning(reachRemedy(n), "%s names %s, but %s may %s", n.Setting, n.Host, n.Unit, why))
		}
	}
	return list
}

// reachRemedy is what lets the unit connect: a line in the file that the
// generator reads, or a drop-in where that file has no say.
func reachRemedy(n Need) string {
	address := n.Host
	if _, err := netip.ParseAddr(address); err != nil && address != "localhost" {
		address = "ADDRESS-OF-" + strings.ToUpper(n.Host) + " ADDRESS-OF-THE-RESOLVER"
	}
	if n.Unit == unitSync {
		return fmt.Sprintf("systemctl edit %s: [Service] IPAddressAllow=%s; then systemctl restart %s", n.Unit, address, n.Unit)
	}
	return fmt.Sprintf("MIDDLEWARE_API_REACH=%q in /etc/default/middleware-api, then: systemctl daemon-reload && "+
		"systemctl restart middleware-api-migrate && systemctl reload middleware-api", address)
}

// forbidden says what keeps a unit from connecting to a host, "" for nothing or
// for what cannot be known before the name is resolved.
func forbidden(unit map[string]string, host string) string {
	if unit["LoadState"] != "loaded" {
		return ""
	}
	families := strings.Fields(unit["RestrictAddressFamilies"])
	denied := slices.Contains(families, "~AF_INET") && slices.Contains(families, "~AF_INET6")
	if len(families) > 0 && !strings.HasPrefix(families[0], "~") {
		denied = !slices.Contains(families, "AF_INET") && !slices.Contains(families, "AF_INET6")
	}
	if denied {
		return "open no network connections (RestrictAddressFamilies=)"
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	address, err := netip.ParseAddr(host)
	switch {
	case unit["IPAddressDeny"] == "":
		return ""
	case err != nil && unit["IPAddressAllow"] == "":
		return "connect to no address (IPAddressDeny=)"
	case err == nil && contains(unit["IPAddressDeny"], address) && !contains(unit["IPAddressAllow"], address):
		return "not connect to that address (IPAddressDeny=, IPAddressAllow=" + unit["IPAddressAllow"] + ")"
	}
	return ""
}

// contains tells whether one of the blank separated networks holds the address.
func contains(networks string, address netip.Addr) bool {
	for text := range strings.FieldsSeq(networks) {
		if network, err := netip.ParsePrefix(text); err == nil && network.Contains(address) {
			return true
		}
	}
	return false
}

func properties(out []byte) map[string]string {
	list := map[string]string{}
	for scanner := bufio.NewScanner(bytes.NewReader(out)); scanner.Scan(); {
		if key, value, ok := strings.Cut(scanner.Text(), "="); ok {
			list[key] = value
		}
	}
	return list
}
