package telemetry_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/telemetry"
)

type forge func(*http.Request) (*http.Response, error)

func (f forge) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Exchanges with the git server are timed by what came of them, and what it says
// of its budget is told.
func TestExchangesAreMeasured(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("sync", "v", "")
	left := ""
	transport := telemetry.NewExchanges(m.Registerer).Transport(forge(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			return nil, errors.New("cut")
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Ratelimit-Remaining": {left}}, Body: http.NoBody}, nil
	}))
	look := func(want ...string) {
		t.Helper()
		out := httptest.NewRecorder()
		m.Handler().ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
		for _, w := range want {
			if !strings.Contains(out.Body.String(), w) {
				t.Errorf("lacks %s", w)
			}
		}
	}
	send := func(method string) {
		r := httptest.NewRequestWithContext(t.Context(), method, "https://git.example.org/", http.NoBody)
		if response, err := transport.RoundTrip(r); err == nil {
			_ = response.Body.Close()
		}
	}
	send(http.MethodGet)
	send(http.MethodPost)
	look(`middleware_api_remote_budget_requests{worker="sync"} -1`,
		`middleware_api_remote_duration_seconds_count{method="GET",status="200",worker="sync"} 1`,
		`middleware_api_remote_duration_seconds_count{method="POST",status="none",worker="sync"} 1`)
	left = "597"
	send(http.MethodGet)
	look(`middleware_api_remote_budget_requests{worker="sync"} 597`)
}

// Counters that others keep and days of certificates are read when somebody looks.
func TestNumbersAreAskedFor(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("1", "v", "")
	telemetry.Counts(m.Registerer, "refused_total", "Refused.", "reason", func() map[string]int64 { return map[string]int64{"full": 3, "share": 0} })
	telemetry.Counts(m.Registerer, "waits_total", "Waits.", "", func() map[string]int64 { return map[string]int64{"": 7} })
	end := telemetry.CertificateEnd{Subject: "CN=x", File: "/x", Days: 12}
	telemetry.CertificateDays(m.Registerer, func() []telemetry.CertificateEnd { return []telemetry.CertificateEnd{end, end} })
	out := httptest.NewRecorder()
	m.Handler().ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	for _, want := range []string{
		`middleware_api_refused_total{reason="full",worker="1"} 3`, `middleware_api_refused_total{reason="share",worker="1"} 0`,
		`middleware_api_waits_total{worker="1"} 7`, `middleware_api_certificate_days{file="/x",subject="CN=x",worker="1"} 12`,
	} {
		if !strings.Contains(out.Body.String(), want) {
			t.Errorf("status %d, lacks %s", out.Code, want)
		}
	}
}
