package report_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

func scrape(tb testing.TB, facts report.BacklogFacts) string {
	tb.Helper()
	metrics := telemetry.NewMetrics("1", "v", "c")
	metrics.Registerer.MustRegister(report.NewCollector(facts))
	answer := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		tb.Fatalf("status %d: %s", answer.Code, answer.Body.String())
	}
	return answer.Body.String()
}

// The backlog and paused git stores are numbers; a database that is down is
// one as well, instead of an error that hides all others.
func TestCollector(t *testing.T) {
	t.Parallel()
	s := open(t)
	submit(t, s, "edal", "A")
	submit(t, s, "edal", "B")
	push(t, s, func(c *store.Claim) *store.Failure {
		if c.Identifier == "A" {
			return &refused
		}
		return &passing
	})
	submit(t, s, "bonares", "C")
	if err := s.PauseRemote(t.Context(), "git", &fault.Error{Code: "remote_down"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	got := scrape(t, s)
	for _, want := range []string{
		`middleware_api_database_up{worker="1"} 1`,
		`middleware_api_backlog_arcs{rdi="edal",state="parked",worker="1"} 1`,
		`middleware_api_backlog_arcs{rdi="edal",state="failing",worker="1"} 1`,
		`middleware_api_backlog_arcs{rdi="bonares",state="due",worker="1"} 1`,
		`middleware_api_backlog_oldest_seconds{rdi="bonares",state="due",worker="1"} `,
		`middleware_api_remote_paused{code="remote_down",remote="git",worker="1"} 1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("metrics lack %s:\n%s", want, got)
		}
	}

	down, err := store.Open(t.Context(), store.Options{DSN: "postgres:///x?host=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer down.Close()
	if got := scrape(t, down); !strings.Contains(got, `middleware_api_database_up{worker="1"} 0`) || strings.Contains(got, "backlog") {
		t.Errorf("without a database:\n%s", got)
	}
}

// Several processes on a host have one token as a rule; if not, the one that ends first
// is told, and none of a process that is gone.
func TestTheTokenThatEndsFirst(t *testing.T) {
	t.Parallel()
	ends := func(days int, alive bool) store.Synchroniser {
		return store.Synchroniser{Host: "a", Remote: "git", Alive: alive, Token: store.Token{Ends: time.Now().Add(time.Duration(days)*24*time.Hour + time.Hour)}}
	}
	f := &facts{synchronisers: []store.Synchroniser{ends(20, true), ends(10, true), ends(30, true), ends(5, false)}}
	if got := scrape(t, f); !strings.Contains(got, `middleware_api_token_days{host="a",remote="git",worker="1"} 10.0`) {
		t.Errorf("got %s", got)
	}
}

// However many ask at a time, the database is asked once.
func TestNumbersAreReadOnce(t *testing.T) {
	t.Parallel()
	f := &facts{}
	metrics := telemetry.NewMetrics("1", "v", "c")
	metrics.Registerer.MustRegister(report.NewCollector(f))
	for range 3 {
		metrics.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
	}
	if len(f.asked) != 1 {
		t.Errorf("asked %d times", len(f.asked))
	}
}
