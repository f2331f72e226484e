package httpapi

import (
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// Conversions wait for each other, and nobody else waits for them; one whose turn does
// not come in time is refused for now, which is no mistake of its sender.
func TestConversionsTakeTurns(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), store.Options{DSN: pgtest.DSN(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	log := &testenv.Log{}
	service := ingest.New(db, ingest.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	patient, err := New(service, Options{KnownRDIs: []string{"edal"}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(service, Options{KnownRDIs: []string{"edal"}, Strict: true, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	const crate = `{"@context":"https://w3id.org/ro/crate/1.1/context","@graph":[{"@id":"./","identifier":"A"}]}`
	const upload = `{"rdi":"edal","arc":` + crate + `}`
	stored := call(patient, "POST", "/v3/arcs", upload, "Content-Type", mediaJSON)
	_, id, _ := strings.Cut(stored.Body.String(), `"arc_id":"`)
	id, _, _ = strings.Cut(id, `"`)
	h, err := service.BeginHarvest(t.Context(), ingest.Caller{}, "edal", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	harvest := "/v3/harvests/" + ingest.HarvestID(h)
	requests := [][3]string{
		{"POST", "/v3/arcs/validate", upload},
		{"POST", "/v3/arcs?validate=only", upload},
		{"POST", "/v3/arcs", upload},
		{"POST", harvest + "/arcs", `{"arc":` + crate + `}`},
		{"POST", harvest + "/arcs?validate=only", `{"arc":` + crate + `}`},
		{"GET", "/v3/arcs/" + id + "/report", ""},
	}
	for range cap(a.converts) {
		a.converts <- struct{}{}
	}
	for _, r := range requests {
		if w := call(a, r[0], r[1], r[2], "Content-Type", mediaJSON); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s %s beside others of its kind: got %d %s", r[0], r[1], w.Code, w.Body)
		}
	}
	if w := call(a, "GET", "/v3/arcs/"+id, ""); w.Code != http.StatusOK {
		t.Errorf("something else: got %d %s", w.Code, w.Body)
	}
	if h, err := service.Harvest(t.Context(), ingest.HarvestID(h)); err != nil || h.Statistics.Errors != 0 || log.String() != "" {
		t.Errorf("a turn that did not come is taken for a mistake of the sender: %+v, %v, %s", h.Statistics, err, log)
	}
	for range cap(a.converts) {
		<-a.converts
	}
	for _, r := range requests {
		if w := call(a, r[0], r[1], r[2], "Content-Type", mediaJSON); w.Code == http.StatusServiceUnavailable {
			t.Errorf("%s %s afterwards: got %d %s", r[0], r[1], w.Code, w.Body)
		}
	}
	if len(a.converts) != 0 {
		t.Errorf("%d turns do not end", len(a.converts))
	}
}

// There are as many conversions at a time as processors, if there is memory for them, and
// always one.
func TestConversionsAtATime(t *testing.T) {
	t.Parallel()
	cpus := runtime.GOMAXPROCS(0)
	for _, c := range []struct {
		body, memory int64
		want         int
	}{{32 << 20, 256 << 20, min(2, cpus)}, {1 << 20, 256 << 20, min(85, cpus)}, {32 << 20, 95 << 20, 1}, {32 << 20, 32 << 20, 1}} {
		if got := conversions(Options{MaxBody: c.body, MaxBodiesMemory: c.memory}); got != c.want {
			t.Errorf("%+v: %d at a time", c, got)
		}
	}
}
