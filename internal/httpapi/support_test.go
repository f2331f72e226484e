package httpapi_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// server is an API behind a real listener.
type server struct {
	*httptest.Server
	api *httpapi.API
	log *testenv.Log
}

// newServer serves the service; RDIs edal and bonares are known and nobody needs a certificate, unless changed.
func newServer(tb testing.TB, service *ingest.Service, change func(*httpapi.Options)) *server {
	tb.Helper()
	log := &testenv.Log{}
	options := httpapi.Options{
		Version: "1.2.3", KnownRDIs: []string{"edal", "bonares"},
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	if change != nil {
		change(&options)
	}
	api, err := httpapi.New(service, options)
	if err != nil {
		tb.Fatal(err)
	}
	s := &server{Server: httptest.NewServer(httpapi.CheckedByContract(tb, api)), api: api, log: log}
	tb.Cleanup(func() {
		api.Drain()
		s.Close()
		if tb.Failed() {
			tb.Logf("log of the server:\n%s", log)
		}
	})
	return s
}

// newService makes the real service on a database of the test's own.
func newService(tb testing.TB) (*ingest.Service, *store.Store) {
	tb.Helper()
	return serviceOn(tb, pgtest.DSN(tb))
}

// synchroniseElsewhere lets the database believe, until the test ends, that a
// synchroniser lives on another host.
func synchroniseElsewhere(tb testing.TB, db *store.Store) {
	tb.Helper()
	ctx, stop := context.WithCancel(tb.Context())
	beat := func() error {
		return db.Beat(ctx, store.Synchroniser{Holder: "elsewhere/1", Host: "elsewhere", Remote: "git"})
	}
	if err := beat(); err != nil {
		tb.Fatal(err)
	}
	var heart sync.WaitGroup
	heart.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-tick.C:
				_ = beat() // the next one may be in time
			case <-ctx.Done():
			}
		}
	})
	tb.Cleanup(func() { stop(); heart.Wait() })
}

// noDatabase makes a service whose PostgreSQL is absent.
func noDatabase(tb testing.TB) *ingest.Service {
	tb.Helper()
	service, _ := serviceOn(tb, "host="+tb.TempDir()+" user=nobody dbname=none")
	return service
}

func serviceOn(tb testing.TB, dsn string) (*ingest.Service, *store.Store) {
	tb.Helper()
	quiet := slog.New(slog.DiscardHandler)
	s, err := store.Open(tb.Context(), store.Options{DSN: dsn, Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return ingest.New(s, ingest.Options{Logger: quiet}), s
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request; headers come in pairs. Redirects are not followed and nothing is added but what Go adds.
func (s *server) send(tb testing.TB, method, path, body string, headers ...string) answer {
	tb.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	return s.sendReader(tb, method, path, reader, headers...)
}

func (s *server) sendReader(tb testing.TB, method, path string, body io.Reader, headers ...string) answer {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := s.Client().Transport.RoundTrip(r)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("%s %s: read answer: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

const media = "application/json"

// post sends JSON as the Python clients do.
func (s *server) post(tb testing.TB, path, body string, headers ...string) answer {
	tb.Helper()
	return s.send(tb, http.MethodPost, path, body, append([]string{"Accept", media, "Content-Type", media}, headers...)...)
}

func (s *server) get(tb testing.TB, path string, headers ...string) answer {
	tb.Helper()
	return s.send(tb, http.MethodGet, path, "", append([]string{"Accept", media}, headers...)...)
}

// wantAnswer compares status and exact body.
func wantAnswer(tb testing.TB, got answer, status int, body string) {
	tb.Helper()
	if got.status != status {
		tb.Errorf("got status %d, want %d; body %s", got.status, status, clip(got.body))
	}
	if diff := cmp.Diff(body, got.body); diff != "" {
		tb.Errorf("body (-want +got):\n%s", clip(diff))
	}
}

func wantHeader(tb testing.TB, got answer, name, value string) {
	tb.Helper()
	if g := got.header.Get(name); g != value {
		tb.Errorf("got %s %q, want %q", name, g, value)
	}
}

func clip(s string) string {
	if len(s) > 2000 {
		return s[:2000] + "…"
	}
	return s
}
