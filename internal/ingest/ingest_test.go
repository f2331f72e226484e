package ingest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
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

// What became of a submission is told as it is stored, to whoever submits and to whoever
// asks for the task: times, outcome in the two words of clients, and the log if it is wanted.
func TestWhatBecameOfASubmission(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by := client("jane")
	described, err := rocrate.Scan([]byte(`{"@context":"x","@graph":[{"@id":"./","identifier":"A","name":"Barley","description":"in spring"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	other := crate(t, "A", "Oats")
	var accepted []*ingest.Accepted
	for _, c := range []struct {
		p       rocrate.Payload
		log     ingest.Log
		outcome store.Outcome
		status  string
		events  int
	}{
		{described, ingest.WithLog, store.Created, "created", 1}, {described, ingest.WithLog, store.Unchanged, "updated", 1},
		{other, ingest.WithoutLog, store.Updated, "updated", 0}, {other, ingest.WithLog, store.Unchanged, "updated", 2},
	} {
		a := must[*ingest.Accepted](t)(w.Submit(t.Context(), by, "r", c.p, c.log))
		stored := must[store.ARC](t)(w.ARC(t.Context(), a.ID.String()))
		if a.Outcome != c.outcome || a.Status() != c.status || len(a.Log) != c.events || a.Lifecycle != store.Active || a.Identifier != "A" || a.RDI != "r" ||
			a.Hash != c.p.Hash || !a.FirstSeen.Equal(stored.FirstSeen) || !a.LastSeen.Equal(stored.LastSeen) || a.LastSeen.IsZero() {
			t.Errorf("got %+v, want %s; stored %+v", a, c.outcome, stored)
		}
		if stored.Name != c.p.Name || stored.Description != c.p.Description || stored.Size != int64(len(c.p.Document)) {
			t.Errorf("stored %+v, want %+v", stored, c.p)
		}
		accepted = append(accepted, a)
	}
	for _, entry := range must[[]store.Audit](t)(w.store.AuditTrail(t.Context(), accepted[0].ID, 0, 10)) {
		if entry.Actor.Subject != by.Actor.Subject {
			t.Errorf("the audit trail says %+v", entry)
		}
	}
	for failed, status := range map[string]string{"": ingest.TaskSuccess, "boom": ingest.TaskFailure} {
		id, err := w.KeepTask(t.Context(), by, "r", "message", accepted[:3], failed)
		if err != nil {
			t.Fatal(err)
		}
		task := must[store.Task](t)(w.Task(t.Context(), id.String()))
		if task.Status != status || task.Message != "message" || task.RDI != "r" || (task.Error != nil) != (failed != "") || task.Error != nil && *task.Error != failed {
			t.Errorf("task: got %+v, want %s", task, status)
		}
		for i, want := range []store.Outcome{store.Created, store.Updated, store.Updated} {
			if got := task.ARCs[i]; got.Status != want || !got.At.Equal(accepted[i].LastSeen) || got.ID != accepted[i].ID {
				t.Errorf("task, ARC %d: got %+v, want %s of %+v", i, got, want, accepted[i])
			}
		}
	}
	if _, err := w.ARC(t.Context(), "x"); fault.CodeOf(err) != fault.ARCNotFound {
		t.Errorf("no id: got %v", err)
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

// Lists hold no texts of many megabytes, whoever has sent some: neither of ARCs nor of
// refused submissions. The ARC is told by all of its identifier nevertheless.
func TestTextsInListsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ingest.Options{})
	by, long := client("c"), strings.Repeat("x", 1<<20)
	h := begin(t, w, by)
	p := crate(t, long, long)
	accepted := must[*ingest.Accepted](t)(w.SubmitInHarvest(t.Context(), by, h, p, ingest.WithoutLog))
	if accepted.ID != rocrate.Identity(long, h.RDI) {
		t.Errorf("id %s", accepted.ID)
	}
	w.NoteRefusal(t.Context(), by, h, long, long)
	var texts []string
	arcs, _, err := w.ARCs(t.Context(), store.ARCFilter{RDIs: []string{h.RDI}, Limit: 10})
	if err != nil || len(arcs) != 1 {
		t.Fatalf("%d ARCs, %v", len(arcs), err)
	}
	texts = append(texts, arcs[0].Identifier, arcs[0].Name)
	for e, err := range w.Refusals(t.Context(), h) {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, e.Identifier, e.Text)
	}
	for i, text := range texts {
		if len(text) > rocrate.MaxShown+len("…") || len(texts) != 4 {
			t.Errorf("text %d of %d has %d bytes", i, len(texts), len(text))
		}
	}
}
