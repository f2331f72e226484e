package httpapi_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// The documentation is served from the program, complete, and forbids everything it does not need.
func TestDocs(t *testing.T) {
	t.Parallel()
	s := newServer(t, noDatabase(t), required)
	var document struct {
		Info struct{ Version string }
	}
	contract := s.send(t, "GET", "/openapi.json", "")
	if err := json.Unmarshal([]byte(contract.body), &document); err != nil || document.Info.Version != "1.2.3" {
		t.Errorf("got version %q, %v", document.Info.Version, err)
	}
	wantHeader(t, contract, "Content-Type", "application/json")
	page := s.send(t, "GET", "/docs", "")
	policy := page.header.Get("Content-Security-Policy")
	if page.status != 200 || !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self'") || strings.Contains(policy, "unsafe") {
		t.Errorf("got %d, policy %q", page.status, policy)
	}
	if strings.Contains(page.body, "<style") || regexp.MustCompile(`<script[^>]*>[^<]`).MatchString(page.body) || strings.Contains(page.body, "http:") || strings.Contains(page.body, "https:") {
		t.Errorf("the page holds what its policy forbids: %s", page.body)
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(links) < 5 {
		t.Errorf("got links %q", links)
	}
	for _, link := range links {
		packed := s.send(t, "GET", link[1], "", "Accept-Encoding", "gzip")
		plain := s.send(t, "GET", link[1], "", "Accept-Encoding", "identity")
		for name, value := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Content-Security-Policy": policy, "Cache-Control": "public, max-age=86400",
		} {
			wantHeader(t, plain, name, value)
		}
		if compressible := !strings.HasSuffix(link[1], ".png") && !strings.HasSuffix(link[1], "init.js"); compressible {
			wantHeader(t, plain, "Vary", "Accept-Encoding")
			wantHeader(t, packed, "Vary", "Accept-Encoding")
			wantHeader(t, plain, "Content-Encoding", "")
			wantHeader(t, packed, "Content-Encoding", "gzip")
		}
		if packed.status != 200 || plain.status != 200 || len(plain.body) < 100 || len(packed.body) > len(plain.body) {
			t.Errorf("%s: got %d with %d bytes, %d with %d bytes", link[1], packed.status, len(packed.body), plain.status, len(plain.body))
		}
	}
	wantAnswer(t, s.send(t, "GET", "/docs/../api.go", ""), 404, `{"detail":"Not Found"}`)
	wantAnswer(t, s.send(t, "GET", "/docs/nothing.js", ""), 404, `{"detail":"Not Found"}`)
	if got := s.send(t, "GET", "/docs/", ""); got.status != 307 {
		t.Errorf("got %d", got.status)
	}
}
