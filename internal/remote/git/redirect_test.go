package git_test

import (
	"net/http"
	"testing"

	"github.com/fairagro/middleware-api/internal/remote/git"
)

// The token follows a redirect on the same server or from http to https, and never to another host, another port, back to http, or with a push.
func TestSameHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, from, to string
		follow           bool
	}{
		{"GET", "https://hub.org/a.git", "https://hub.org/b.git", true},
		{"GET", "https://hub.org/a.git", "https://hub.org:443/b.git", true},
		{"GET", "http://hub.org/a.git", "https://hub.org/a.git", true},
		{"GET", "https://hub.org:8443/a.git", "https://hub.org:8443/b.git", true},
		{"GET", "https://hub.org/a.git", "https://hub.org:8443/a.git", false},
		{"GET", "http://hub.org/a.git", "http://hub.org:8080/a.git", false},
		{"GET", "http://hub.org/a.git", "https://hub.org:8443/a.git", false},
		{"GET", "https://hub.org/a.git", "http://hub.org/a.git", false},
		{"GET", "https://hub.org/a.git", "https://hub.org.evil.org/a.git", false},
		{"POST", "https://hub.org/a.git", "https://hub.org/b.git", false},
	} {
		request := func(url string) *http.Request {
			r, err := http.NewRequestWithContext(t.Context(), c.method, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if err := git.SameHost(request(c.to), []*http.Request{request(c.from)}); (err == nil) != c.follow {
			t.Errorf("%s %s to %s: %v, want followed %v", c.method, c.from, c.to, err, c.follow)
		}
	}
}
