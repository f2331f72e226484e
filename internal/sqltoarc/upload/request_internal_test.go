package upload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
)

// service answers requests within the process, so that time can be made up.
type service func(r *http.Request) *http.Response

func (s service) RoundTrip(r *http.Request) (*http.Response, error) { return s(r), nil }

// answer is an answer with a whole body.
func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func newClient(t *testing.T, o Options, s service) *Client {
	t.Helper()
	o.URL = "http://api.invalid"
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if s != nil {
		c.http.Transport = s
	}
	return c
}

// An API that is away is asked again as often as is configured, after waits that
// double up to half a minute, each shortened by up to a half, however many there are.
func TestWaitsDoubleUpToABound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		retries           int
		shortest, longest time.Duration // of all waits together
	}{
		{-1, 0, 0},
		{0, 75 * time.Second, 150 * time.Second}, // the default, eight
		{1, time.Second, 2 * time.Second},
		{5, 30 * time.Second, 60 * time.Second},
		{100, (15 + 96*15) * time.Second, (30 + 96*30) * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, Options{MaxRetries: tt.retries}, nil)
			began, attempts, want := time.Now(), 0, max(c.options.MaxRetries, 0)+1
			err := c.attempts(t.Context(), true, func(context.Context) (time.Duration, error) {
				attempts++
				return 0, io.ErrUnexpectedEOF
			})
			if took := time.Since(began); err == nil || attempts != want || took < tt.shortest || took > tt.longest {
				t.Errorf("%d retries: %d attempts in %s, want %d in %s to %s; %v", tt.retries, attempts, took, want, tt.shortest, tt.longest, err)
			}
		})
	}
}

// How long the service wants to be left alone is told in seconds or as a date, and
// believed up to a bound.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for text, want := range map[string]time.Duration{
			"": 0, "soon": 0, "-5": 0, "7": 7 * time.Second, "86400": maxRetryAfter,
			time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat): 90 * time.Second,
			time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat):       0,
		} {
			if got := retryAfter(&http.Response{Header: http.Header{"Retry-After": {text}}}); got != want {
				t.Errorf("%q: %s, want %s", text, got, want)
			}
		}
	})
}

// What is safe to repeat is repeated where the trouble may pass; anything else only
// where the service has not begun to work on it.
func TestWhatIsTriedAgain(t *testing.T) {
	t.Parallel()
	status := func(n int) error { return &StatusError{Status: n} }
	for _, tt := range []struct {
		err          error
		safe, unsafe bool
	}{
		{status(http.StatusServiceUnavailable), true, true},
		{status(http.StatusTooManyRequests), true, true},
		{status(http.StatusBadGateway), true, false},
		{status(http.StatusGatewayTimeout), true, false},
		{status(http.StatusInternalServerError), false, false},
		{status(http.StatusNotFound), false, false},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true, true},
		{&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, true, false},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, false, false},
		{&tls.CertificateVerificationError{Err: errors.New("unknown authority")}, false, false},
		{&fault.Error{Code: CodeAnswer}, false, false},
		{ErrUnsupported, false, false},
		{errNoAnswer, true, false},
	} {
		err := fmt.Errorf("wrapped: %w", tt.err)
		if safe, unsafe := passing(err, true), passing(err, false); safe != tt.safe || unsafe != tt.unsafe {
			t.Errorf("%v: repeated if safe: %t, if not: %t; want %t and %t", tt.err, safe, unsafe, tt.safe, tt.unsafe)
		}
	}
}

// However many ask at the same time, no more requests are in flight than allowed.
func TestRequestsInFlightAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		c := newClient(t, Options{MaxConcurrency: 2}, func(*http.Request) *http.Response {
			n := now.Add(1)
			defer now.Add(-1)
			for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
			}
			<-time.After(time.Second)
			return answer(http.StatusOK, "{}")
		})
		began := time.Now()
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if err := c.Alive(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); most.Load() != 2 || took != 3*time.Second {
			t.Errorf("%d at a time in %s, want 2 in 3s", most.Load(), took)
		}
	})
}

// A large batch may take as long as it likes as long as answers come; the one to
// an ARC that the service has no time for is no refusal, and is asked for again.
func TestBulkTakesItsTime(t *testing.T) {
	t.Parallel()
	// All tests share it, so what it makes with its first use must not belong to the bubble.
	enc, err := encoder()
	if err != nil {
		t.Fatal(err)
	}
	enc.EncodeAll([]byte("x"), nil)
	synctest.Test(t, func(t *testing.T) {
		const pause = 20 * time.Second
		requests := 0
		c := newClient(t, Options{Timeout: 30 * time.Second, Backoff: time.Second}, func(r *http.Request) *http.Response {
			requests++
			lines := []string{`{"status":200}`, `{"status":422,"error":{"message":"no good"}}`, `{"status":200}`, `{"status":503,"error":{"message":"full"}}`}
			if requests == 2 {
				lines = []string{`{"status":200}`, `{"status":200}`}
			}
			body, w := io.Pipe()
			context.AfterFunc(r.Context(), func() { _ = w.CloseWithError(r.Context().Err()) })
			go func() {
				for _, line := range lines {
					if sleep(r.Context(), pause) != nil {
						return
					}
					_, _ = io.WriteString(w, line+"\n")
				}
				_ = w.Close()
			}()
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body}
		})
		batch := make([]*Submission, 5)
		for i := range batch {
			batch[i] = &Submission{Document: []byte("{}")}
		}
		if err := c.Submit(t.Context(), "demo", "h", batch); err != nil || requests != 2 {
			t.Errorf("%d requests, want 2; %v", requests, err)
		}
		for i, s := range batch {
			if !s.Settled() || (s.Err != nil) != (i == 1) {
				t.Errorf("submission %d: settled %t, %v", i, s.Settled(), s.Err)
			}
		}
	})
}
