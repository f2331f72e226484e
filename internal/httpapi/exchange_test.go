package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/httpapi/auth"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
)

// How long a client would like to wait is in any of its Prefer headers, in any case; what
// is no time is no wish, and what would take too long ends while an answer is still in time.
func TestPreferredWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		prefer  []string
		want    time.Duration
		applied string
	}{
		{nil, 0, ""}, {[]string{"wait=5"}, 5 * time.Second, "wait=5"}, {[]string{"respond-async,Wait = 7"}, 7 * time.Second, "wait=7"},
		{[]string{"respond-async", "wait=3"}, 3 * time.Second, "wait=3"}, {[]string{"wait=2, wait=9"}, 2 * time.Second, "wait=2"},
		{[]string{"wait=0"}, 0, ""}, {[]string{"wait=-1"}, 0, ""}, {[]string{"wait=x"}, 0, ""}, {[]string{"wait"}, 0, ""}, {[]string{"waiting=5"}, 0, ""},
		{[]string{"wait=60"}, 20 * time.Second, "wait=60"}, {[]string{"wait=9999999999"}, 20 * time.Second, "wait=9999999999"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
		r.Header["Prefer"] = c.prefer
		x := &exchange{api: &API{options: Options{Timeout: 25 * time.Second}}, w: &writer{ResponseWriter: w}, r: r}
		if got := x.preferredWait(); got != c.want || w.Header().Get("Preference-Applied") != c.applied {
			t.Errorf("%q: got %s, applied %q; want %s, %q", c.prefer, got, w.Header().Get("Preference-Applied"), c.want, c.applied)
		}
	}
}

// Times are told in UTC, to the microsecond, without a fraction if it is zero.
func TestTimesOfAnswers(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("east", 2*60*60)
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 3, 1, 11, 15, 30, 123456789, east), "2026-03-01T09:15:30.123456"},
		{time.Date(2026, 3, 1, 9, 15, 30, 100000000, time.UTC), "2026-03-01T09:15:30.100000"},
		{time.Date(2026, 3, 1, 9, 15, 30, 999, time.UTC), "2026-03-01T09:15:30"},
	} {
		if got := zulu(c.at); got != c.want+"Z" {
			t.Errorf("%s: got %s", c.at, got)
		}
		if got := stamp(c.at); got != c.want+"+00:00Z" {
			t.Errorf("%s: got %s", c.at, got)
		}
	}
}

// The audit trail has a word for senders without a name, who are nobody's clients.
func TestCallers(t *testing.T) {
	t.Parallel()
	x := &exchange{w: &writer{record: Record{RequestID: "r"}}, client: auth.Client{ID: "jane", Fingerprint: "f"}}
	if by := x.caller(); by.ClientID == nil || *by.ClientID != "jane" || by.Actor.Subject != "jane" || by.Actor.Fingerprint != "f" || by.Actor.RequestID != "r" {
		t.Errorf("got %+v", by)
	}
	x.client = auth.Client{}
	if by := x.caller(); by.ClientID != nil || by.Actor.Subject != "anonymous" || by.Actor.RequestID != "r" {
		t.Errorf("without a name: got %+v", by)
	}
}

// What a body is taken for by its Content-Type.
func TestMediaTypes(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "", "application/json": "json", "Application/JSON ; charset=utf-8": "json", "application/ld+json": "json", "text/json": "",
		"application/json/x": "", "json": "", "application/x-json": "", "application/xjson": "", "a/b/application/x+json": "",
		"application/x-ndjson": "lines", "application/ndjson": "lines", "application/jsonl": "lines", "application/x-jsonlines;x=y": "lines",
		"APPLICATION/X-NDJSON": "lines", "text/x-ndjson": "",
	} {
		got := ""
		switch {
		case isJSON(header) && isNDJSON(header):
			got = "both"
		case isJSON(header):
			got = "json"
		case isNDJSON(header):
			got = "lines"
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}

// A place is a JSON Pointer for those who validate, with what that escapes.
func TestPointers(t *testing.T) {
	t.Parallel()
	for want, loc := range map[string]wire.Loc{"": nil, "/@graph/3/name": {"@graph", 3, "name"}, "/a~1b/c~0d": {"a/b", "c~d"}, "/~01": {"~1"}} {
		if got := pointer(loc); got != want {
			t.Errorf("%v: got %q, want %q", loc, got, want)
		}
	}
}
