package sqltoarc_test

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/sqltoarc"
	"github.com/fairagro/middleware-api/internal/sqltoarc/datagen"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
	"github.com/fairagro/middleware-api/internal/store"
)

// service is the real API.
type service struct {
	url   string
	store *store.Store
	// fault, set before the first request, may answer in the service's place.
	fault func(w http.ResponseWriter, r *http.Request) bool
}

func newService(tb testing.TB) *service {
	tb.Helper()
	quiet := slog.New(slog.DiscardHandler)
	st, err := store.Open(tb.Context(), store.Options{DSN: pgtest.DSN(tb), Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(st.Close)
	api, err := httpapi.New(ingest.New(st, ingest.Options{Logger: quiet}), httpapi.Options{KnownRDIs: []string{"demo"}, Log: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	s := &service{store: st}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.fault == nil || !s.fault(w, r) {
			api.ServeHTTP(w, r)
		}
	}))
	tb.Cleanup(func() { api.Drain(); web.Close() })
	s.url = web.URL
	return s
}

// harvests gives what has become of the harvests, newest first.
func (s *service) harvests(tb testing.TB) []store.Harvest {
	tb.Helper()
	all, err := s.store.Harvests(tb.Context(), store.HarvestFilter{RDIs: []string{"demo"}, Limit: 100})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// The service gets everything in bulk; a second run sends only what has changed,
// and neither builds nor sends the rest; both harvests say so.
func TestSecondRunSendsWhatHasChanged(t *testing.T) {
	t.Parallel()
	shape := datagen.Small()
	connection := loaded(t, postgres(t), shape, nil)
	api := newService(t)
	o := options(connection, api.url)
	o.StateDir = t.TempDir()
	first := run(t, o)
	if first.Counts.Uploaded != int64(shape.Investigations) {
		t.Errorf("first run: %+v", first.Counts)
	}
	exec(t, connection, "UPDATE t_vinvestigation SET title = 'changed' WHERE identifier IN ('DS-0000003', 'DS-0000005')")
	second := run(t, o)
	if c := second.Counts; c.Uploaded != 2 || c.Built != 2 || c.Unchanged != int64(shape.Investigations)-2 {
		t.Errorf("second run: %+v", c)
	}
	h := api.harvests(t)
	if len(h) != 2 || h[0].Status != store.Completed || h[1].Status != store.Completed {
		t.Fatalf("harvests: %+v", h)
	}
	if s := h[0].Statistics; s.Updated != 2 || s.Unchanged != int64(shape.Investigations)-2 || s.New != 0 || s.Errors != 0 {
		t.Errorf("statistics of the second harvest: %+v", s)
	}
	if s := h[1].Statistics; s.New != int64(shape.Investigations) || s.Errors != 0 {
		t.Errorf("statistics of the first harvest: %+v", s)
	}
}

// Large ARCs are sent a few at a time.
func TestLargeARCsAreSentAFewAtATime(t *testing.T) {
	t.Parallel()
	connection := wide(t, 25)
	api := newService(t)
	var bulk atomic.Int64
	api.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/arcs") {
			bulk.Add(1)
		}
		return false
	}
	o := options(connection, api.url)
	o.StateDir, o.BatchSize, o.Tasks = t.TempDir(), 25, 1
	if c := run(t, o).Counts; c.Uploaded != 25 {
		t.Errorf("%+v", c)
	}
	if n := bulk.Load(); n < 2 || n > 5 { // 10 MB, 4 MiB at a time
		t.Errorf("%d requests", n)
	}
}

// wide gives a database with datasets of which each becomes an ARC of 400 KB.
func wide(tb testing.TB, datasets int) string {
	tb.Helper()
	connection := postgres(tb)
	exec(tb, connection, fmt.Sprintf(`CREATE VIEW vinvestigation AS SELECT 'I' || n AS identifier, 'T' AS title,
		(SELECT string_agg(md5(n || '/' || k), '') FROM generate_series(1, 12500) k) AS description_text FROM generate_series(1, %d) n`, datasets))
	return connection
}

// A lane builds no more than it may send at a time before it sends that, however many
// datasets it has read.
func TestALaneHoldsAFewLargeARCs(t *testing.T) {
	t.Parallel()
	api := newService(t)
	api.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/arcs") {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	}
	o := options(wide(t, 25), api.url)
	o.StateDir, o.BatchSize, o.Tasks = t.TempDir(), 25, 1
	report, err := sqltoarc.Run(t.Context(), o)
	if err == nil {
		t.Fatal("a service that denies access got everything")
	}
	if n := report.Counts.Built; n < 5 || n > 15 { // of 10 MB, 4 MiB
		t.Errorf("%d of 25 ARCs were built before the first was sent", n)
	}
}

// ARCs that are built again because the service lacks them are sent a few at a time as well.
func TestLargeARCsAreBuiltAgainAFewAtATime(t *testing.T) {
	t.Parallel()
	connection := wide(t, 25)
	api := newService(t)
	var lost atomic.Bool
	var bulk atomic.Int64
	api.fault = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/arcs"):
			bulk.Add(1)
		case lost.Load() && strings.HasSuffix(r.URL.Path, "/diff"):
			w.WriteHeader(http.StatusNotFound) // as a service that cannot say
			return true
		}
		return false
	}
	o := options(connection, api.url)
	o.StateDir, o.BatchSize, o.Tasks = t.TempDir(), 25, 1
	run(t, o)
	bulk.Store(0)
	lost.Store(true)
	if c := run(t, o).Counts; c.Built != 25 || c.Uploaded != 25 {
		t.Errorf("%+v, want all built again and sent", c)
	}
	if n := bulk.Load(); n < 2 || n > 5 {
		t.Errorf("%d requests for 10 MB, 4 MiB at a time", n)
	}
}

// A dataset that repeats the identifier of another is told to do that in every run, also
// in the one that has just brought the other: it is not taken for that one, changed since.
func TestADuplicateIsNotRecalled(t *testing.T) {
	t.Parallel()
	connection := postgres(t)
	exec(t, connection, `CREATE VIEW vinvestigation AS SELECT 'I' AS identifier, 'T' AS title FROM generate_series(1, 2)`)
	o := options(connection, newService(t).url)
	o.StateDir, o.Tasks, o.BatchSize = t.TempDir(), 1, 1
	for n, want := range []sqltoarc.Counts{{Uploaded: 1}, {Unchanged: 1}, {Unchanged: 1}} {
		found := findings(&o)
		c := run(t, o).Counts
		if c.Uploaded != want.Uploaded || c.Unchanged != want.Unchanged || c.Failed != 1 {
			t.Errorf("run %d: %+v", n+1, c)
		}
		if !slices.ContainsFunc(*found, func(f source.Finding) bool {
			return f.Severity == source.Error && strings.HasPrefix(f.Text, "another investigation has the same identifier")
		}) {
			t.Errorf("run %d: found %v", n+1, *found)
		}
	}
}

// Blanks around an identifier are no part of it for the service; the second run finds
// the ARC all the same.
func TestBlanksAroundIdentifiers(t *testing.T) {
	t.Parallel()
	connection := postgres(t)
	exec(t, connection, `CREATE VIEW vinvestigation AS SELECT ' I ' AS identifier, 'T' AS title`)
	o := options(connection, newService(t).url)
	o.StateDir = t.TempDir()
	run(t, o)
	if c := run(t, o).Counts; c.Unchanged != 1 || c.Built != 0 {
		t.Errorf("second run: %+v", c)
	}
}

// What a database marks as unchanged is neither looked at nor counted otherwise; a
// marker that changes for nothing costs one look, a wrong one hides a change until
// a thorough run.
func TestMarkersSpareTheLook(t *testing.T) {
	t.Parallel()
	shape := datagen.Small()
	connection := loaded(t, postgres(t), shape, func(_ int, d *source.Dataset) {
		d.Investigation[source.InvestigationMarker] = source.Value{Text: "1", Valid: true}
	})
	o := options(connection, newService(t).url)
	o.StateDir = t.TempDir()
	want := run(t, o).Counts
	want.Uploaded, want.Built, want.Unchanged, want.Warnings = 0, 0, want.Uploaded, 0
	same := func(when string) {
		t.Helper()
		if c := run(t, o).Counts; c != want {
			t.Errorf("%s: %+v, want %+v", when, c, want)
		}
	}
	same("second run")
	exec(t, connection, `CREATE FUNCTION broken() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'a look'; END $$;
		CREATE OR REPLACE VIEW "vStudy" AS SELECT identifier, broken() AS title, description_text, submission_date, public_release_date, investigation_ref FROM t_vstudy`)
	same("rows that nobody looks at")
	exec(t, connection, `CREATE OR REPLACE VIEW "vStudy" AS SELECT identifier, title, description_text, submission_date, public_release_date, investigation_ref FROM t_vstudy;
		UPDATE t_vinvestigation SET change_marker = '2'`)
	same("markers changed for nothing")
	exec(t, connection, `UPDATE t_vstudy SET title = title || '.' WHERE investigation_ref = 'DS-0000003'`)
	same("a change behind the marker")
	o.Thorough = true
	if c := run(t, o).Counts; c.Uploaded != 1 || c.Built != 1 {
		t.Errorf("thorough: %+v", c)
	}
	same("after it")
	o.Thorough = false
	same("in the end")
}

// A service that has lost its ARCs, or never had them, gets them although this
// side believes that nothing has changed.
func TestTheServiceHasTheLastWord(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 8, Studies: 1, Assays: 1, Cells: 10}, nil)
	api := newService(t)
	o := options(connection, api.url)
	o.StateDir = t.TempDir()
	run(t, o)
	lost, _, err := api.store.ARCs(t.Context(), store.ARCFilter{RDIs: []string{"demo"}, Limit: 100})
	if err != nil || len(lost) != 8 {
		t.Fatalf("%d ARCs, %v", len(lost), err)
	}
	exec(t, connection, "UPDATE t_vinvestigation SET title = title || ' once' WHERE identifier = 'DS-0000001'")
	other := o
	other.StateDir = t.TempDir()
	run(t, other) // another machine has brought a change
	exec(t, connection, "UPDATE t_vinvestigation SET title = replace(title, ' once', '') WHERE identifier = 'DS-0000001'")
	report := run(t, o)
	if c := report.Counts; c.Uploaded != 1 || c.Unchanged != 7 {
		t.Errorf("%+v", c)
	}
}

// Of what a harvest does not bring, that is missing which is gone from the database,
// and nothing that has merely failed; if it is not known what has failed, nothing is.
func TestFailedIsNotGone(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 10, Studies: 1}, nil)
	api := newService(t)
	o := options(connection, api.url)
	o.StateDir = t.TempDir()
	run(t, o)
	expect := func(step string, failed int, want map[string]store.Lifecycle) {
		t.Helper()
		if report := run(t, o); len(report.Failed) != failed {
			t.Errorf("%s: failed %q", step, report.Failed)
		}
		arcs, _, err := api.store.ARCs(t.Context(), store.ARCFilter{RDIs: []string{"demo"}, Limit: 100})
		if err != nil || len(arcs) != 10 {
			t.Fatalf("%d ARCs, %v", len(arcs), err)
		}
		for _, a := range arcs {
			if now := cmp.Or(want[a.Identifier], store.Active); a.Lifecycle != now {
				t.Errorf("%s: %s is %s, want %s", step, a.Identifier, a.Lifecycle, now)
			}
		}
	}
	exec(t, connection, "UPDATE t_vinvestigation SET title = NULL WHERE identifier = 'DS-0000003'")
	exec(t, connection, "UPDATE t_vinvestigation SET identifier = NULL WHERE identifier = 'DS-0000004'")
	expect("one has lost its identifier", 2, nil)
	exec(t, connection, "DELETE FROM t_vinvestigation WHERE identifier IS NULL")
	expect("it is gone", 1, map[string]store.Lifecycle{"DS-0000004": store.Missing})
	exec(t, connection, "UPDATE t_vinvestigation SET title = 'mended' WHERE identifier = 'DS-0000003'")
	expect("the other is mended", 0, map[string]store.Lifecycle{"DS-0000004": store.Missing})
}

// Whenever the connection is cut, at random, what was acknowledged stays, and
// running again until it succeeds brings everything into one completed harvest.
func TestCutsAtRandom(t *testing.T) {
	t.Parallel()
	const datasets = 60
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: datasets, Studies: 1, Assays: 1, Cells: 10}, nil)
	api := newService(t)
	var requests atomic.Int64
	api.fault = func(http.ResponseWriter, *http.Request) bool {
		if n := requests.Add(1); n%4 == 0 && n < 60 {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	o := options(connection, api.url)
	o.StateDir, o.Resume, o.Upload.MaxRetries = t.TempDir(), true, -1
	for attempt := 1; ; attempt++ {
		report, err := sqltoarc.Run(t.Context(), o)
		if err == nil {
			if report.Counts.Done() != datasets || report.Counts.Failed != 0 {
				t.Errorf("last run: %+v", report.Counts)
			}
			break
		}
		if attempt == 60 {
			t.Fatalf("no end after %d attempts: %v", attempt, err)
		}
	}
	arcs, _, err := api.store.ARCs(t.Context(), store.ARCFilter{RDIs: []string{"demo"}, Limit: 100})
	if err != nil || len(arcs) != datasets {
		t.Errorf("%d ARCs, want %d (%v)", len(arcs), datasets, err)
	}
	completed := 0
	for _, h := range api.harvests(t) {
		if h.Status == store.Completed {
			completed++
			if n := h.Statistics.Submitted(); n != datasets {
				t.Errorf("completed with %d ARCs, want %d", n, datasets)
			}
		}
	}
	if completed != 1 {
		t.Errorf("%d completed harvests, want 1", completed)
	}
}

// Data that changes between a cut and resuming does not get into the harvest that has
// the former already, whether or not the answer about that was heard; each dataset is
// told of with what to do, and running again brings it.
func TestResumeAfterAChange(t *testing.T) {
	t.Parallel()
	const datasets = 12
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: datasets, Studies: 1}, nil)
	api := newService(t)
	var uploads atomic.Int64
	api.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/arcs") || uploads.Add(1) != 2 {
			return false
		}
		// The service takes the second upload, but nobody hears of it.
		again, err := http.NewRequestWithContext(r.Context(), r.Method, api.url+r.URL.Path, r.Body)
		if err != nil {
			t.Error(err)
			return false
		}
		again.Header = r.Header
		if resp, err := http.DefaultClient.Do(again); err != nil {
			t.Error(err)
		} else {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		panic(http.ErrAbortHandler)
	}
	o := options(connection, api.url)
	o.StateDir, o.Upload.MaxRetries = t.TempDir(), -1
	o.Builds, o.Tasks, o.BatchSize = 1, 1, 4
	if _, err := sqltoarc.Run(t.Context(), o); fault.CodeOf(err) != upload.CodeUnreachable {
		t.Fatalf("the cut run ends with %v", err)
	}
	exec(t, connection, "UPDATE t_vinvestigation SET title = 'changed'")
	o.Resume = true
	found := findings(&o)
	if c := run(t, o).Counts; c.Failed != 8 || c.Uploaded != datasets-8 {
		t.Errorf("resumed: %+v", c)
	}
	for _, f := range *found {
		if f.Severity == source.Error && (f.Text != "this harvest has brought the dataset already, with other content" || !strings.Contains(f.Remedy, "run again")) {
			t.Errorf("%v", f)
		}
	}
	if c := run(t, o).Counts; c.Failed != 0 || c.Uploaded != 8 {
		t.Errorf("run again: %+v", c)
	}
}

// BenchmarkSecondRun converts a database into the real service twice, and
// reports how much faster nothing to do is than everything: with a look at every
// row, where the versions of the rows tell that nothing has changed, and where the
// database marks what has.
func BenchmarkSecondRun(b *testing.B) {
	n := benchmarkSize(b)
	for _, c := range []struct {
		name   string
		marker source.Value
		look   bool
	}{
		{"rows", source.Value{}, true},
		{"versions", source.Value{}, false},
		{"marker", source.Value{Text: "2026-01-01 00:00:00", Valid: true}, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			connection := postgres(b)
			mark := func(_ int, d *source.Dataset) { d.Investigation[source.InvestigationMarker] = c.marker }
			if err := datagen.Load(b.Context(), connection, datagen.Benchmark(n), datagen.Options{Change: mark}); err != nil {
				b.Fatal(err)
			}
			secondRun(b, n, connection, c.look)
		})
	}
}

func secondRun(b *testing.B, n int, connection string, look bool) {
	b.Helper()
	for b.Loop() {
		api := newService(b)
		o := sqltoarc.Options{ConnectionString: connection, Schema: source.SchemaViews, RDI: "demo", StateDir: b.TempDir()}
		o.Upload.URL = api.url
		_, first := measure(b, o)
		o.Thorough = look
		report, second := measure(b, o)
		if report.Counts.Unchanged != int64(n) || report.Counts.Built != 0 {
			b.Fatalf("second run: %+v", report.Counts)
		}
		b.Logf("first:  %v", first)
		b.Logf("second: %v", second)
		b.ReportMetric(first.took.Seconds()/second.took.Seconds(), "ratio")
		b.ReportMetric((first.own+first.database).Seconds()/(second.own+second.database).Seconds(), "cpu-ratio")
	}
}

// A run that does not build what is unchanged says that there were warnings about it, until they are mended.
func TestWarningsOfUnchangedDatasetsAreNotForgotten(t *testing.T) {
	t.Parallel()
	shape := datagen.Shape{Investigations: 6, Studies: 1, Assays: 1, Cells: 4}
	connection := loaded(t, postgres(t), shape, func(n int, d *source.Dataset) {
		if n == 2 {
			d.Publications = append(d.Publications, slices.Clone(d.Publications[0]))
			d.Publications[1][source.PublicationTargetType].Text = "nothing"
		}
	})
	o := options(connection, newService(t).url)
	o.StateDir = t.TempDir()
	var notes []string
	o.Report = func(e sqltoarc.Event) {
		if e.Kind == sqltoarc.EventNote {
			notes = append(notes, e.Text)
		}
	}
	first := run(t, o)
	if first.Counts.Warnings == 0 || len(notes) > 0 {
		t.Fatalf("first run: %+v, %q", first.Counts, notes)
	}
	for range 2 {
		notes = nil
		want := fmt.Sprintf("1 dataset that has not changed had %s when last built; sql-to-arc run --dry-run gives them again",
			source.Counted(first.Counts.Warnings, "warning", "warnings"))
		if second := run(t, o); second.Counts.Warnings != 0 || len(notes) != 1 || notes[0] != want {
			t.Errorf("second run: %+v, %q, want %q", second.Counts, notes, want)
		}
	}
	exec(t, connection, `DELETE FROM t_vpublication WHERE target_type = 'nothing'`)
	notes = nil
	if third := run(t, o); third.Counts.Built != 1 || len(notes) > 0 {
		t.Errorf("once mended: %+v, %q", third.Counts, notes)
	}
}

// An ARC that is built again, because the service lacks it although nothing has changed
// here, tells its warnings again, and they are remembered as they are.
func TestAnARCBuiltAgainTellsItsWarnings(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 6, Studies: 1, Assays: 1, Cells: 4}, func(n int, d *source.Dataset) {
		if n == 2 {
			d.Publications = append(d.Publications, slices.Clone(d.Publications[0]))
			d.Publications[1][source.PublicationTargetType].Text = "nothing"
		}
	})
	o := options(connection, newService(t).url)
	o.StateDir = t.TempDir()
	first := run(t, o)
	if first.Counts.Warnings == 0 {
		t.Fatalf("first run: %+v", first.Counts)
	}
	other := o // another machine brings a change, which is taken back
	other.StateDir = t.TempDir()
	exec(t, connection, "UPDATE t_vinvestigation SET title = title || ' once' WHERE identifier = 'DS-0000002'")
	run(t, other)
	exec(t, connection, "UPDATE t_vinvestigation SET title = replace(title, ' once', '') WHERE identifier = 'DS-0000002'")
	var notes []string
	o.Report = func(e sqltoarc.Event) {
		if e.Kind == sqltoarc.EventNote {
			notes = append(notes, e.Text)
		}
	}
	if c := run(t, o).Counts; c.Built != 1 || c.Warnings != first.Counts.Warnings || len(notes) > 0 {
		t.Errorf("built again: %+v, %q; want %d warnings", c, notes, first.Counts.Warnings)
	}
	want := "1 dataset that has not changed had " + source.Counted(first.Counts.Warnings, "warning", "warnings") + " when last built"
	if c := run(t, o).Counts; c.Built != 0 || len(notes) != 1 || !strings.HasPrefix(notes[0], want) {
		t.Errorf("afterwards: %+v, %q; want %q", c, notes, want)
	}
}
