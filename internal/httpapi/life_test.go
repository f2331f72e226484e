package httpapi

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// newLifeAPI makes an API without database, with routes of the test's own beside the real ones.
func newLifeAPI(tb testing.TB, o Options, more ...route) *API {
	tb.Helper()
	db, err := store.Open(tb.Context(), store.Options{DSN: "host=" + tb.TempDir() + " user=nobody dbname=none"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(db.Close)
	o.KnownRDIs = []string{"edal"}
	a, err := New(ingest.New(db, ingest.Options{}), o)
	if err != nil {
		tb.Fatal(err)
	}
	a.register(append(routes(), more...)...)
	return a
}

func call(a http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

// holding is a route whose requests stay until the test lets them go.
func holding() (rt route, entered, leave chan struct{}) {
	entered, leave = make(chan struct{}), make(chan struct{})
	return route{http.MethodGet, "/test/hold", 0, func(_ *API, x *exchange) error {
		entered <- struct{}{}
		<-leave
		return x.json(http.StatusOK, map[string]string{"message": "held"})
	}}, entered, leave
}

// With all places taken, everything but probes and the ends of harvests is refused before it is looked at.
func TestAdmission(t *testing.T) {
	t.Parallel()
	hold, entered, leave := holding()
	a := newLifeAPI(t, Options{MaxConcurrent: 2, RetryAfter: 3 * time.Second}, hold)
	var held sync.WaitGroup
	for range 2 {
		held.Go(func() { call(a, "GET", "/test/hold", "") })
		<-entered
	}
	seen := map[string]bool{}
	for range 60 {
		w := call(a, "POST", "/v3/arcs", "{not even JSON", "Content-Type", mediaJSON)
		if w.Code != 503 || w.Body.String() != `{"detail":"Service temporarily unavailable"}` {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		seconds := w.Header().Get("Retry-After")
		if n, err := strconv.Atoi(seconds); err != nil || n < 1 || n > 3 {
			t.Fatalf("got Retry-After %q", seconds)
		}
		seen[seconds] = true
	}
	if len(seen) < 2 {
		t.Errorf("Retry-After is not spread: %v", seen)
	}
	for _, path := range []string{"/nowhere", "/docs", "/v1/whoami", "/v3/arcs/"} {
		if w := call(a, "GET", path, ""); w.Code != 503 {
			t.Errorf("%s: got %d", path, w.Code)
		}
	}
	for path, want := range map[string]int{"/v3/liveness": 200, "/v1/liveness": 200, "/v3/readiness": 503, "/v3/liveness/": 307} {
		if w := call(a, "GET", path, ""); w.Code != want || strings.Contains(w.Body.String(), "temporarily") {
			t.Errorf("%s: got %d %s", path, w.Code, w.Body)
		}
	}
	if w := call(a, "POST", "/v3/harvests", `{}`, "Content-Type", mediaJSON); w.Code != 422 {
		t.Errorf("begin of a harvest: got %d %s", w.Code, w.Body)
	}
	close(leave)
	held.Wait()
	if w := call(a, "GET", "/v1/whoami", ""); w.Code != 200 {
		t.Errorf("afterwards: got %d %s", w.Code, w.Body)
	}
}

// slowBody comes when its request has given its place away, and not alone.
type slowBody struct {
	tb     testing.TB
	gate   *gate
	others int
}

func insideOf(g *gate) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}

func (b *slowBody) Read(p []byte) (int, error) {
	testenv.Await(b.tb, "the place is given away", func() bool { return insideOf(b.gate) == 0 })
	for range b.others {
		b.gate.comeBack("others")
	}
	return copy(p, "{}"), io.EOF
}

// A request that has waited for its client is worked on beside as many as there are
// places, and refused if there are more.
func TestACrowdOfSlowClientsIsRefused(t *testing.T) {
	t.Parallel()
	for others, want := range map[int]int{1: 422, 2: 503} {
		a := newLifeAPI(t, Options{MaxConcurrent: 1})
		r := httptest.NewRequest(http.MethodPost, "/v3/arcs", &slowBody{t, a.gate, others})
		r.Header.Set("Content-Type", mediaJSON)
		r.ContentLength = -1
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("beside %d others: got %d %s, want %d", others, w.Code, w.Body, want)
		}
	}
}

// unread fails the test when somebody reads it.
type unread struct{ tb testing.TB }

func (u unread) Read([]byte) (int, error) {
	u.tb.Error("the body was read")
	return 0, io.ErrUnexpectedEOF
}

// A refusal for want of a place does not read the body.
func TestAdmissionBeforeTheBody(t *testing.T) {
	t.Parallel()
	hold, entered, leave := holding()
	a := newLifeAPI(t, Options{MaxConcurrent: 1}, hold)
	var held sync.WaitGroup
	held.Go(func() { call(a, "GET", "/test/hold", "") })
	<-entered
	r := httptest.NewRequest(http.MethodPost, "/v3/arcs", unread{t})
	r.ContentLength = 100
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if w.Code != 503 {
		t.Errorf("got %d", w.Code)
	}
	close(leave)
	held.Wait()
}

// A panic is a mistake of ours: 500 in the known words, the stack in the log, and the next request is served.
func TestPanics(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	panicking := route{http.MethodGet, "/test/panic", 0, func(*API, *exchange) error { panic("secret reason") }}
	late := route{http.MethodGet, "/test/late", 0, func(_ *API, x *exchange) error {
		_ = x.json(http.StatusOK, map[string]string{"message": "half"})
		panic("too late")
	}}
	a := newLifeAPI(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, panicking, late)
	w := call(a, "GET", "/test/panic", "")
	if w.Code != 500 || w.Body.String() != `{"detail":"`+textInternal+`"}` {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "secret reason") || !strings.Contains(log.String(), "life_test.go") ||
		!strings.Contains(log.String(), w.Header().Get("X-Request-Id")) {
		t.Errorf("got log %s", &log)
	}
	aborted := func() (reason any) {
		defer func() { reason = recover() }()
		call(a, "GET", "/test/late", "")
		return nil
	}()
	if aborted != http.ErrAbortHandler { //nolint:errorlint // the value itself is the signal
		t.Errorf("a panic after the answer began: got %v, want the connection to be cut", aborted)
	}
	if w := call(a, "GET", "/v3/liveness", ""); w.Code != 200 {
		t.Errorf("afterwards: got %d", w.Code)
	}
	if n := a.InFlight(); n != 0 {
		t.Errorf("%d requests still in flight", n)
	}
}

// The number of requests under way is known.
func TestInFlight(t *testing.T) {
	t.Parallel()
	hold, entered, leave := holding()
	a := newLifeAPI(t, Options{}, hold)
	call(a, "GET", "/v3/liveness", "")
	var held sync.WaitGroup
	held.Go(func() { call(a, "GET", "/test/hold", "") })
	<-entered
	if n := a.InFlight(); n != 1 {
		t.Errorf("%d requests are under way, want 1", n)
	}
	close(leave)
	held.Wait()
	if n := a.InFlight(); n != 0 {
		t.Errorf("%d requests are under way, want none", n)
	}
}

// After each answer its record is given away; an id that came along is kept if it is harmless.
func TestAccessRecord(t *testing.T) {
	t.Parallel()
	var records []Record
	a := newLifeAPI(t, Options{Access: func(_ context.Context, r Record) { records = append(records, r) }})
	w := call(a, "GET", "/v3/harvests/x?a=b", "", "X-Request-Id", "abc-1.2_Z", "User-Agent", "ua", "Referer", "ref")
	got := records[0]
	if got.Method != http.MethodGet || got.Path != "/v3/harvests/x?a=b" || got.Route != "/v3/harvests/{harvest_id}" || got.Status != 404 || got.HarvestID != "x" ||
		got.Bytes != int64(w.Body.Len()) || got.RequestID != "abc-1.2_Z" || got.UserAgent != "ua" || got.Referer != "ref" || got.Peer != "192.0.2.1" {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{"", "a b", "a\nb", "ä", strings.Repeat("x", 65)} {
		if id := call(a, "GET", "/v3/liveness", "", "X-Request-Id", bad).Header().Get("X-Request-Id"); id == bad || len(id) != 24 {
			t.Errorf("%q became %q", bad, id)
		}
	}
}

// A status that the table does not know is a mistake of ours and tells nothing.
func TestUnknownErrors(t *testing.T) {
	t.Parallel()
	for _, err := range []error{io.ErrShortWrite, &fault.Error{Code: "listed_nowhere", Text: "short of memory"}} {
		broken := route{http.MethodGet, "/test/broken", 0, func(*API, *exchange) error { return err }}
		a := newLifeAPI(t, Options{}, broken)
		w := call(a, "GET", "/test/broken", "")
		if w.Code != 500 || strings.Contains(w.Body.String(), "short") || w.Header().Get("X-Error-Code") != "" {
			t.Errorf("%v: got %d %v %s", err, w.Code, w.Header(), w.Body)
		}
	}
}

// Media types are chosen by what the client likes best.
func TestNegotiate(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "text/csv": "text/csv", "text/*": "text/csv", "TEXT/HTML": "text/html",
		"text/html,application/xhtml+xml,*/*;q=0.8": "text/html", "application/json;q=0.1, text/csv;q=0.2": "text/csv",
		"image/png": "", "text/csv;q=0": "", "*/*;q=0.5, application/json;q=0": "text/csv", "text/html;q=x": "",
	} {
		if got := negotiate(header, "application/json", "text/csv", "text/html"); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}

// A refusal whose reason says when trying again makes sense says so to the client, never
// less, and spread: a full disk is not empty a moment later.
func TestRetryAfterIsThatOfTheReason(t *testing.T) {
	t.Parallel()
	failing := route{http.MethodGet, "/test/{code}", 0, func(_ *API, x *exchange) error {
		f := fault.New(fault.StoreFull, nil)
		if x.param("code") == "part" {
			f.RetryAfter = 1500 * time.Millisecond
		}
		return f
	}}
	a := newLifeAPI(t, Options{RetryAfter: 3 * time.Second, Log: slog.New(slog.DiscardHandler)}, failing)
	full := int(fault.New(fault.StoreFull, nil).RetryAfter / time.Second)
	if full < 10 {
		t.Fatalf("a full disk is to be tried again after %d s", full)
	}
	for path, least := range map[string]int{"/test/full": full, "/test/part": 2} {
		seen := map[int]bool{}
		for range 60 {
			w := call(a, "GET", path, "")
			n, err := strconv.Atoi(w.Header().Get("Retry-After"))
			if w.Code != 503 || err != nil || n < least || n > least+2 {
				t.Fatalf("%s: got %d, Retry-After %q, want %d to %d", path, w.Code, w.Header().Get("Retry-After"), least, least+2)
			}
			if code := w.Header().Get("X-Error-Code"); code != string(fault.StoreFull) {
				t.Fatalf("%s: got X-Error-Code %q", path, code)
			}
			seen[n] = true
		}
		if len(seen) < 2 {
			t.Errorf("%s: Retry-After is not spread: %v", path, seen)
		}
	}
}
