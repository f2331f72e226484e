package config

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/config/setting"
)

// location demands a URL with one of some schemes, in any case, and without
// user or password: those belong into settings of their own, and the message
// must not repeat them.
func location(v *string, schemes ...string) setting.Rule {
	words := "a URL that begins with " + strings.Join(schemes, " or ") + ", without user or password in it"
	return setting.That(words, func() bool {
		for _, scheme := range schemes {
			if n := len(scheme); len(*v) > n && strings.EqualFold((*v)[:n], scheme) {
				u, err := url.Parse(*v)
				return err == nil && u.User == nil
			}
		}
		return false
	})
}

// optional lets an empty text pass as well, which means none as it always has.
func optional(v *string, rule setting.Rule) setting.Rule {
	return setting.Rule{Words: rule.Words, Check: func() error {
		if *v == "" {
			return nil
		}
		return rule.Check()
	}}
}

// addressProblem says what keeps a text from being an address to listen on.
func addressProblem(text string) string {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || len(path) > 107 { // sun_path
			return "is not an absolute path of at most 107 bytes"
		}
		return ""
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "is not HOST:PORT, [IPv6]:PORT or unix:/PATH"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "has no port between 0 and 65535"
	}
	return ""
}
