package httpapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/csv"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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

// Places are shared between clients by certificate, however it comes, and without one by
// address; a header that is not to be believed does not make another client.
func TestClientsAreToldApart(t *testing.T) {
	t.Parallel()
	a := newLifeAPI(t, Options{})
	from := func(peer, header string, certificates ...string) string {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = peer
		if header != "" {
			r.Header.Set("ssl-client-cert", header)
		}
		if len(certificates) > 0 {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(certificates[0])}}}
		}
		return a.admissionKey(r)
	}
	const proxy, stranger = "127.0.0.1:1", "192.0.2.1:1"
	for rule, c := range map[string]struct {
		one, other string
		same       bool
	}{
		"another port":                          {from(stranger, ""), from("192.0.2.1:2", ""), true},
		"another address":                       {from(stranger, ""), from("192.0.2.2:1", ""), false},
		"another certificate behind a proxy":    {from(proxy, "a"), from(proxy, "b"), false},
		"the same certificate behind a proxy":   {from(proxy, "a"), from("127.0.0.1:2", "a"), true},
		"a header of a stranger":                {from(stranger, "a"), from(stranger, "b"), true},
		"another certificate of the connection": {from(stranger, "", "a"), from(stranger, "", "b"), false},
		"the same one from elsewhere":           {from(stranger, "", "a"), from("192.0.2.2:1", "", "a"), true},
	} {
		if same := c.one == c.other; same != c.same {
			t.Errorf("%s: one client: %t, want %t", rule, same, c.same)
		}
	}
}

// Without settings the interface has the limits that are documented.
func TestDefaultOptions(t *testing.T) {
	t.Parallel()
	got := withDefaults(Options{})
	want := Options{
		Version: "0.0.0", RetryAfter: 5 * time.Second, MaxBody: 32 << 20, MaxBodiesMemory: 256 << 20, MaxStreams: 256,
		BodyGrace: 20 * time.Second, BodyPause: 30 * time.Second, Timeout: 25 * time.Second, V1Status: V1Created, Log: got.Log,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Options{}, "Log", "Access", "Console")); diff != "" {
		t.Error(diff)
	}
	if d := withDefaults(Options{RetryAfter: time.Millisecond}).RetryAfter; d != 5*time.Second {
		t.Errorf("a Retry-After below a second becomes %s", d)
	}
}

// The bytes of a body count as long as they are in memory, and not a byte longer,
// whatever becomes of the request.
func TestBodiesLeaveTheMemory(t *testing.T) {
	t.Parallel()
	const size = 100_000
	var during atomic.Int64
	look := route{http.MethodPost, "/test/look", jsonBody, func(a *API, x *exchange) error {
		during.Store(a.BodyBytes())
		return x.json(http.StatusOK, nil)
	}}
	a := newLifeAPI(t, Options{MaxBody: 2 * size, MaxBodiesMemory: 3 * size}, look)
	text := `"` + strings.Repeat("x", size) + `"`
	for _, length := range []int64{int64(len(text)), -1} {
		r := httptest.NewRequest(http.MethodPost, "/test/look", strings.NewReader(text))
		r.ContentLength = length
		r.Header.Set("Content-Type", mediaJSON)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if n := during.Swap(0); w.Code != 200 || n < size || n > 2*size {
			t.Errorf("length %d: got %d, %d bytes in memory", length, w.Code, n)
		}
		if n := a.BodyBytes(); n != 0 {
			t.Errorf("length %d: %d bytes are left", length, n)
		}
	}
	for what, body := range map[string]io.Reader{
		"too large": strings.NewReader(strings.Repeat(" ", 3*size)), "malformed": strings.NewReader("{" + text),
		"broken": io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrUnexpectedEOF)),
	} {
		r := httptest.NewRequest(http.MethodPost, "/test/look", body)
		r.ContentLength = -1
		r.Header.Set("Content-Type", mediaJSON)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if n := a.BodyBytes(); w.Code < 400 || n != 0 {
			t.Errorf("%s: got %d, %d bytes are left", what, w.Code, n)
		}
	}
	b := newBudget(10, 10)
	if !b.of("a").take(10, true) || b.of("b").take(1, true) || b.used != 10 {
		t.Errorf("a budget of 10 bytes holds %d", b.used)
	}
}

// An error after an answer has begun adds nothing to it.
func TestErrorsAddNothingToAnAnswer(t *testing.T) {
	t.Parallel()
	begun := route{http.MethodGet, "/test/begun", 0, func(_ *API, x *exchange) error {
		_ = x.json(http.StatusOK, map[string]string{"message": "done"})
		return io.ErrShortWrite
	}}
	if w := call(newLifeAPI(t, Options{}, begun), "GET", "/test/begun", ""); w.Code != 200 || w.Body.String() != `{"message":"done"}` {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// An answer is due within the time for answers, unless it may rightly take long: a stream,
// lines, and what asks nobody.
func TestAnswersAreDue(t *testing.T) {
	t.Parallel()
	limited := map[string]bool{}
	look := func(name string, c checks) route {
		return route{http.MethodPost, "/test/" + name, c, func(_ *API, x *exchange) error {
			deadline, ok := x.ctx().Deadline()
			limited[name] = ok && time.Until(deadline) <= time.Hour
			return x.json(http.StatusOK, nil)
		}}
	}
	a := newLifeAPI(t, Options{Timeout: time.Hour}, look("plain", 0), look("body", jsonBody), look("stream", stream),
		look("instant", instant), look("lines", jsonBody|bulkBody))
	for _, c := range []struct {
		name, kind string
		want       bool
	}{
		{"plain", "", true}, {"body", mediaJSON, true}, {"body", mediaNDJSON, true}, {"stream", "", false}, {"instant", "", false},
		{"lines", mediaJSON, true}, {"lines", mediaNDJSON, false},
		{"lines", "application/ndjson; charset=utf-8", false}, {"lines", "Application/JSONL", false}, {"lines", "application/x-jsonlines", false},
	} {
		if w := call(a, "POST", "/test/"+c.name, "{}", "Content-Type", c.kind); w.Code != 200 && c.kind != mediaNDJSON || limited[c.name] != c.want {
			t.Errorf("%s with %q: got %d, limited %t, want %t", c.name, c.kind, w.Code, limited[c.name], c.want)
		}
	}
}

// The time in which a body arrives is not taken from that for the answer: a large ARC over a slow line would be
// refused however often it is sent.
func TestASlowBodyTakesNoTimeFromTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 25 * time.Second
		left := time.Duration(0)
		a := newLifeAPI(t, Options{Timeout: limit, BodyGrace: time.Hour}, route{http.MethodPost, "/test/look", jsonBody, func(_ *API, x *exchange) error {
			deadline, _ := x.ctx().Deadline()
			left = time.Until(deadline)
			return x.json(http.StatusOK, nil)
		}})
		r := httptest.NewRequest(http.MethodPost, "/test/look", io.MultiReader(strings.NewReader("{"), late{2 * limit}, strings.NewReader("}")))
		r.Header.Set("Content-Type", mediaJSON)
		w := httptest.NewRecorder()
		if a.ServeHTTP(w, r); w.Code != 200 || left != limit {
			t.Errorf("got %d, %s left for the answer, want %s", w.Code, left, limit)
		}
	})
}

// late is nothing, after a time.
type late struct{ after time.Duration }

func (l late) Read([]byte) (int, error) {
	time.Sleep(l.after)
	return 0, io.EOF
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

// Who watches the console holds no place that others need, counts among the streams, and
// has to go when the worker drains.
func TestConsoleStream(t *testing.T) {
	t.Parallel()
	entered, limited := make(chan struct{}), false
	watch := func(_ http.ResponseWriter, r *http.Request, _ Visitor) {
		_, limited = r.Context().Deadline()
		entered <- struct{}{}
		<-r.Context().Done()
	}
	a := newLifeAPI(t, Options{Console: watch, MaxConcurrent: 1, MaxStreams: 1, Timeout: time.Nanosecond})
	done := make(chan int, 1)
	go func() { done <- call(a, "GET", consoleLive, "").Code }()
	<-entered
	if limited {
		t.Error("a stream has to end in time")
	}
	if n := insideOf(a.gate); n != 0 {
		t.Errorf("%d places are held", n)
	}
	if w := call(a, "GET", consoleLive, ""); w.Code != 503 || w.Header().Get("Retry-After") == "" || a.Refusals()["streams"] != 1 {
		t.Errorf("a second stream: got %d, refusals %v", w.Code, a.Refusals())
	}
	a.Drain()
	testenv.Await(t, "the end of the stream", func() bool { return len(done) == 1 })
	if code := <-done; code != 200 {
		t.Errorf("got %d", code)
	}
	if n, _ := a.streams.state(); n != 0 {
		t.Errorf("%d streams are left", n)
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
	parts := route{http.MethodGet, "/test/parts", 0, func(_ *API, x *exchange) error {
		_, err := io.WriteString(x.w, "one")
		_, more := io.WriteString(x.w, "two")
		return errors.Join(err, more)
	}}
	a := newLifeAPI(t, Options{Access: func(_ context.Context, r Record) { records = append(records, r) }}, parts)
	w := call(a, "GET", "/v3/harvests/x?a=b", "", "X-Request-Id", "abc-0.9_AZaz", "User-Agent", "ua", "Referer", "ref")
	got := records[0]
	if got.Method != http.MethodGet || got.Path != "/v3/harvests/x?a=b" || got.Route != "/v3/harvests/{harvest_id}" || got.Status != 404 || got.HarvestID != "x" ||
		got.Bytes != int64(w.Body.Len()) || got.RequestID != "abc-0.9_AZaz" || got.UserAgent != "ua" || got.Referer != "ref" || got.Peer != "192.0.2.1" {
		t.Errorf("got %+v", got)
	}
	if call(a, "GET", "/test/parts", ""); records[1].Bytes != 6 || records[1].Status != 200 {
		t.Errorf("an answer in parts: got %+v", records[1])
	}
	if got.Duration <= 0 || time.Since(got.Time) < got.Duration {
		t.Errorf("it took %s since %s", got.Duration, got.Time)
	}
	if id := strings.Repeat("x", 64); call(a, "GET", "/v3/liveness", "", "X-Request-Id", id).Header().Get("X-Request-Id") != id {
		t.Error("an id of 64 characters was not kept")
	}
	for _, bad := range []string{"", "a b", "a\nb", "ä", strings.Repeat("x", 65), "a/b", "a:b", "a@b", "a[b", "a`b", "a{b", "a,b"} {
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
		"image/png": "", "text/csv;q=0": "", "text/csv, text/*;q=0.1, */*;q=0.2": "text/csv", "text/csv;q=0, text/*, */*;q=0.5": "text/html", "text/csv;q=0.9, text/html;q=7": "text/html",
		"text/html;q=7, text/csv;q=1": "text/csv", "*/*;q=0.5, application/json;q=0": "text/csv", "text/html;q=x": "",
	} {
		if got := negotiate(header, "application/json", "text/csv", "text/html"); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}

// No text from a crate is a formula in a spreadsheet.
func TestTablesHoldNoFormulas(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	table := &csvReceipt{w: csv.NewWriter(&out)}
	if err := errors.Join(table.row("=1", "+1", "-1", "@a", "\tx", "\rx", "a=1", "", "'x"), table.end()); err != nil {
		t.Fatal(err)
	}
	row, err := csv.NewReader(strings.NewReader(out.String())).Read()
	want := []string{"'=1", "'+1", "'-1", "'@a", "'\tx", "'\rx", "a=1", "", "'x"}
	if err != nil || !slices.Equal(row, want) {
		t.Errorf("got %q, %v, want %q", row, err, want)
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
