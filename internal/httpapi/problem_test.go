package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/httpapi/auth"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// Each problem has its status, by which clients decide whether they try again; what is
// not in this list is a mistake of ours.
func TestStatusOfEachProblem(t *testing.T) {
	t.Parallel()
	want := map[fault.Code]int{}
	for status, codes := range map[int][]fault.Code{
		400: {auth.CodeCertificateUnreadable, auth.CodeCertificateNameless, auth.CodeRDIUnknown, codeUnparseable, codeBroken, codeSingleARC},
		401: {auth.CodeCertificateMissing, auth.CodeCertificateUnverified},
		403: {auth.CodeRDIForbidden, fault.HarvestNotYours},
		404: {codeNotFound, fault.ARCNotFound, fault.HarvestNotFound, fault.TaskNotFound},
		406: {codeNotAcceptable},
		408: {codeTooSlow},
		409: {fault.HarvestClosed, fault.HarvestConflict, fault.HarvestTransition},
		413: {codeTooLarge},
		415: {codeMediaType},
		422: {fault.ARCInvalid, fault.StoreRejected, fault.HarvestOtherRDI},
		503: {codeOverloaded, fault.StoreUnavailable, fault.StoreTimeout, fault.StoreFull, fault.StoreStandby, fault.StoreSchema, fault.StoreAccess, fault.StorePooler},
	} {
		for _, code := range codes {
			want[code] = status
		}
	}
	for code := range statuses {
		if _, ok := want[code]; !ok {
			t.Errorf("%s has status %d, which nobody has asked for", code, statuses[code])
		}
	}
	for _, d := range fault.Codes() {
		if _, ok := want[d.Code]; !ok {
			want[d.Code] = 500
		}
	}
	for code, status := range want {
		text := "text of " + string(code)
		got, public := statusOf(fmt.Errorf("doing something: %w", &fault.Error{Code: code, Text: text}))
		switch status {
		case 500:
			text = textInternal
		case 503:
			text = textUnavailable
		}
		if got != status || public != text {
			t.Errorf("%s: got %d %q, want %d %q", code, got, public, status, text)
		}
	}
	if got, text := statusOf(fmt.Errorf("waiting: %w", context.DeadlineExceeded)); got != 503 || text != textUnavailable {
		t.Errorf("no time left: got %d %q", got, text)
	}
}

// A client that is gone gets no answer, and the log does not tell of it.
func TestNobodyIsThereToAnswer(t *testing.T) {
	t.Parallel()
	log := &testenv.Log{}
	var status int
	late := route{http.MethodGet, "/test/late", 0, func(_ *API, x *exchange) error { return fmt.Errorf("reading: %w", x.ctx().Err()) }}
	a := newLifeAPI(t, Options{
		Log: slog.New(slog.NewTextHandler(log, nil)), Access: func(_ context.Context, r Record) { status = r.Status },
	}, late)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/test/late", http.NoBody))
	if status != 0 || w.Body.Len() > 0 || log.String() != "" {
		t.Errorf("got %d %s, log %s", status, w.Body, log)
	}
	given := route{http.MethodGet, "/test/given-up", 0, func(*API, *exchange) error { return fmt.Errorf("reading: %w", context.Canceled) }}
	if w := call(newLifeAPI(t, Options{}, given), "GET", "/test/given-up", ""); w.Code != http.StatusInternalServerError || w.Body.Len() == 0 {
		t.Errorf("somebody is there, and something else was given up: got %d %s", w.Code, w.Body)
	}
}

// The log tells of an outage once a minute, with what to do and how many requests failed
// in between, and not of a crowd; mistakes of ours it tells one by one.
func TestTheLogTellsOfAnOutageOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testenv.Log{}
		failing := func(name string, err error) route {
			return route{http.MethodGet, "/test/" + name, 0, func(*API, *exchange) error { return err }}
		}
		a := newLifeAPI(t, Options{Log: slog.New(slog.NewTextHandler(log, nil))},
			failing("full", fault.New(fault.StoreFull, nil)), failing("crowd", overloaded()), failing("mistake", context.Canceled))
		calls := func(path string, n int) {
			for range n {
				call(a, http.MethodGet, path, "")
			}
		}
		expect := func(what string, lines int, last string) {
			t.Helper()
			if n := log.Count("request failed"); n != lines {
				t.Errorf("%s: %d lines, want %d: %s", what, n, lines, log)
			}
			all := strings.Split(strings.TrimSpace(log.String()), "\n")
			if got := all[len(all)-1]; !strings.Contains(got, last) {
				t.Errorf("%s: the last line is %s, want %s", what, got, last)
			}
		}
		calls("/test/crowd", 3)
		if log.String() != "" {
			t.Errorf("the log tells of a crowd: %s", log)
		}
		calls("/test/full", 6)
		expect("the first ones", 1, "more_since_last=0")
		expect("what to do", 1, "remedy=\""+fault.New(fault.StoreFull, nil).Remedy)
		time.Sleep(59 * time.Second)
		calls("/test/full", 1)
		expect("before the minute is over", 1, "")
		time.Sleep(2 * time.Second)
		calls("/test/full", 3)
		expect("after a minute", 2, "more_since_last=6")
		time.Sleep(61 * time.Second)
		calls("/test/full", 1)
		expect("after another minute", 3, "more_since_last=2")
		calls("/test/mistake", 2)
		expect("mistakes", 5, "status=500")
	})
}
