package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// A stream tells of its harvest when something has changed, of many events page by page,
// and gives a sign of life when it has been silent for long.
func TestStepsOfAStream(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), store.Options{DSN: pgtest.DSN(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	service := ingest.New(db, ingest.Options{})
	h, err := service.BeginHarvest(t.Context(), ingest.Caller{}, "edal", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s := &eventStream{
		api: &API{service: service}, x: &exchange{w: &writer{ResponseWriter: w, request: httptest.NewRequest(http.MethodGet, "/", http.NoBody)}},
		h: h, beat: time.Now(),
	}
	step := func(wantMore bool) string {
		t.Helper()
		w.Body.Reset()
		more, err := s.step(t.Context())
		if err != nil || more != wantMore {
			t.Errorf("more at once: got %t, %v, want %t", more, err, wantMore)
		}
		return w.Body.String()
	}
	if got := step(false); !strings.HasPrefix(got, "event: harvest\ndata: {") || !strings.Contains(got, `"arcs_submitted":0`) {
		t.Errorf("at first: got %q", got)
	}
	if got := step(false); got != "" {
		t.Errorf("when nothing has happened: got %q", got)
	}
	s.beat = time.Now().Add(-progressBeat)
	if got := step(false); got != ": still there\n\n" {
		t.Errorf("after a long silence: got %q", got)
	}
	if got := step(false); got != "" {
		t.Errorf("after the sign of life: got %q", got)
	}

	const arcs = progressPage + 1
	lines := func(yield func(ingest.Line) bool) {
		for i := range arcs {
			text := fmt.Appendf(nil, `{"@context":"x","@graph":[{"@id":"./","identifier":"A%d"}]}`, i)
			if !yield(func() (rocrate.Payload, error) { return rocrate.Scan(text) }) {
				return
			}
		}
	}
	if err := service.Bulk(t.Context(), ingest.Caller{}, h, lines, func(_ *ingest.Accepted, err error) error { return err }); err != nil {
		t.Fatal(err)
	}
	if got := step(true); strings.Count(got, "event: ARC_CREATED") != progressPage || strings.Contains(got, "event: harvest") {
		t.Errorf("the first page: got %d events", strings.Count(got, "event: ARC_CREATED"))
	}
	got := step(false)
	if strings.Count(got, "event: ARC_CREATED") != 1 || !strings.Contains(got, fmt.Sprintf(`"arcs_submitted":%d`, arcs)) {
		t.Errorf("the second page: got %s", got)
	}
	if got := step(false); got != "" {
		t.Errorf("afterwards: got %q", got)
	}
}

// Who opens more streams than it leaves to others is refused, and the others are not; a stream
// that has ended makes room.
func TestStreamsAreShared(t *testing.T) {
	t.Parallel()
	a := newLifeAPI(t, Options{MaxStreams: 4})
	open := func(address string) (end func(), ok bool) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = address
		end, err := a.stream(&writer{request: r})
		return end, err == nil
	}
	end, one := open("192.0.2.1:1")
	_, two := open("192.0.2.1:2")
	_, three := open("192.0.2.1:3")
	if !one || !two || three {
		t.Errorf("of four streams a client alone gets the first %t, the second %t, the third %t", one, two, three)
	}
	if _, ok := open("192.0.2.2:1"); !ok {
		t.Error("another client gets none")
	}
	if _, ok := open("192.0.2.1:4"); ok {
		t.Error("a client gets what is left for others")
	}
	end()
	if _, ok := open("192.0.2.3:1"); !ok || a.Refusals()["streams"] != 2 {
		t.Errorf("a third client gets none, refused so far %v", a.Refusals())
	}
}
