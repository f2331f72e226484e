package ingest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

// world is a service on a database of the test's own.
type world struct {
	store *store.Store
	*ingest.Service
}

func newWorld(tb testing.TB, o ingest.Options) world {
	tb.Helper()
	s, err := store.Open(context.Background(), store.Options{DSN: pgtest.DSN(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return world{s, ingest.New(s, o)}
}

// client gives a caller with a certificate.
func client(name string) ingest.Caller {
	return ingest.Caller{ClientID: &name, Actor: store.Actor{Subject: "CN=" + name}}
}

// crate scans a small crate; the content says how it differs from others.
func crate(tb testing.TB, identifier, content string) rocrate.Payload {
	tb.Helper()
	p, err := rocrate.Scan(fmt.Appendf(nil,
		`{"@context":"x","@graph":[{"@id":"./","identifier":%q,"name":%q}]}`, identifier, content))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func contextWithTimeout(tb testing.TB, d time.Duration) (context.Context, context.CancelFunc) {
	tb.Helper()
	return context.WithTimeout(tb.Context(), d)
}

func must[T any](tb testing.TB) func(T, error) T {
	tb.Helper()
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// Who may see no RDI, or does not say which, sees nothing.
func TestNoRDIsMeansNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	must[*ingest.Accepted](t)(w.Submit(t.Context(), client("c"), "r", crate(t, "A", "x"), ingest.WithoutLog))
	begin(t, w, client("c"))
	for _, rdis := range [][]string{nil, {}, {"other"}} {
		arcs, _, err := w.ARCs(t.Context(), store.ARCFilter{RDIs: rdis, Limit: 10})
		harvests, herr := w.Harvests(t.Context(), store.HarvestFilter{RDIs: rdis, Limit: 10})
		if err != nil || herr != nil || len(arcs) > 0 || len(harvests) > 0 {
			t.Errorf("%q: got %d ARCs, %d harvests, %v, %v", rdis, len(arcs), len(harvests), err, herr)
		}
	}
}

// What is stored is exactly the document that was sent, and it survives being compressed.
func TestTheStoredDocumentIsTheOneThatWasSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	p := crate(t, "A", "ü€😀")
	a := must[*ingest.Accepted](t)(w.Submit(t.Context(), client("c"), "r", p, ingest.WithoutLog))
	if a.Status() != "created" {
		t.Errorf("status: got %q, want created", a.Status())
	}
	doc, hash, err := w.Document(t.Context(), a.ID)
	if err != nil || string(doc) != string(p.Document) || hash != p.Hash {
		t.Errorf("document: got %s, %s, %v; want %s", doc, hash, err, p.Document)
	}
}
