package sqltoarc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/sqltoarc"
	"github.com/fairagro/middleware-api/internal/sqltoarc/apitest"
	"github.com/fairagro/middleware-api/internal/sqltoarc/datagen"
	"github.com/fairagro/middleware-api/internal/sqltoarc/mapping"
	"github.com/fairagro/middleware-api/internal/sqltoarc/mariadbtest"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
)

// loaded gives a database with datasets.
func loaded(tb testing.TB, connection string, s datagen.Shape, change func(n int, d *source.Dataset)) string {
	tb.Helper()
	if err := datagen.Load(tb.Context(), connection, s, datagen.Options{Change: change, Ordered: true}); err != nil {
		tb.Fatal(err)
	}
	return connection
}

// options are those of a run against a service.
func options(connection, url string) sqltoarc.Options {
	return sqltoarc.Options{
		ConnectionString: connection, Schema: source.SchemaViews, RDI: "demo", RDIURL: "https://rdi.example.org", BatchSize: 5,
		Upload: upload.Options{URL: url, Backoff: time.Millisecond, MaxRetries: 2},
	}
}

// exec changes a database.
func exec(tb testing.TB, connection, statement string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), connection)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(tb.Context(), statement); err != nil {
		tb.Fatal(err)
	}
}

// findings collects what is found.
func findings(o *sqltoarc.Options) *[]source.Finding {
	var all []source.Finding
	o.Report = func(e sqltoarc.Event) {
		if e.Finding != nil {
			all = append(all, *e.Finding)
		}
	}
	return &all
}

func run(tb testing.TB, o sqltoarc.Options) *sqltoarc.Report {
	tb.Helper()
	report, err := sqltoarc.Run(tb.Context(), o)
	if err != nil {
		tb.Fatalf("run: %v", err)
	}
	return report
}

// Every dataset of a database arrives once, in one harvest that is completed,
// whichever database it is; and both databases give the same ARCs.
func TestRunBringsEveryDataset(t *testing.T) {
	t.Parallel()
	shape := datagen.Small()
	var mu sync.Mutex
	arrived := map[string]map[string]string{}
	t.Cleanup(func() {
		if !t.Failed() && !maps.Equal(arrived["postgresql"], arrived["mariadb"]) {
			t.Error("the two databases give different ARCs")
		}
	})
	for name, connection := range map[string]func(testing.TB) string{"postgresql": postgres, "mariadb": mariadbtest.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := apitest.New(t)
			o := options(loaded(t, connection(t), shape, nil), api.URL)
			found := findings(&o)
			report := run(t, o)
			if report.Counts.Uploaded != int64(shape.Investigations) || report.Counts.Failed > 0 {
				t.Errorf("report: %+v, findings: %v", report.Counts, *found)
			}
			if report.Counts.Studies != int64(shape.Investigations*shape.Studies) || report.Counts.Assays != int64(shape.Investigations*shape.Assays) {
				t.Errorf("report: %+v", report.Counts)
			}
			harvests := api.Harvests()
			h := harvests["harvest-1"]
			if len(harvests) != 1 || h.Status != "COMPLETED" || len(h.ARCs) != shape.Investigations || fmt.Sprint(h.Expected) != fmt.Sprint(shape.Investigations) {
				t.Errorf("harvests: %d, %s with %d ARCs, expected %v", len(harvests), h.Status, len(h.ARCs), h.Expected)
			}
			for n := range shape.Investigations {
				if id := shape.Dataset(n).Key(); h.ARCs[id] == "" {
					t.Errorf("%s has not arrived", id)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			arrived[name] = h.ARCs
		})
	}
}

// A dataset that cannot be converted is reported with its view, key and column,
// and keeps no other from arriving; a row that cannot be used is left out.
func TestBadDatasetsHarmNoOther(t *testing.T) {
	t.Parallel()
	shape := datagen.Shape{Investigations: 12, Studies: 2, Assays: 2, Cells: 10}
	null := source.Value{}
	text := func(s string) source.Value { return source.Value{Text: s, Valid: true} }
	change := func(n int, d *source.Dataset) {
		switch n {
		case 1:
			d.Investigation[source.InvestigationTitle] = null
		case 2:
			d.Studies[0][source.StudyIdentifier] = text("stüdy/1")
		case 3:
			d.Studies[1][source.StudyIdentifier] = text("study_1")
		case 4:
			d.Studies[1][source.StudyTitle] = null
		case 5:
			d.Assays[0][source.AssayStudies] = text(`["nowhere"]`)
		case 6:
			d.Cells[0][source.CellTarget] = text("nowhere")
		case 7:
			d.Contacts[0][source.ContactRoles] = text("boss")
		case 8:
			d.Cells[3][source.CellRow] = text("-1")
		case 9:
			d.Cells[2][source.CellColumnType] = text("colour")
		}
	}
	api := apitest.New(t)
	o := options(loaded(t, postgres(t), shape, change), api.URL)
	found := findings(&o)
	report := run(t, o)
	if want := []string{"DS-0000001", "DS-0000002", "DS-0000003"}; !slices.Equal(report.Failed, want) || report.Counts.Uploaded != 9 {
		t.Errorf("failed: %v, want %v; %+v", report.Failed, want, report.Counts)
	}
	for _, want := range []string{
		"vInvestigation.title [DS-0000001]: a required value is missing",
		`vStudy.identifier [DS-0000002]: the identifier "stüdy/1" becomes a folder`,
		`vStudy.identifier [DS-0000003] study "study_1": two rows with this identifier differ`,
		`vStudy.title [DS-0000004] study "study_2": a required value is missing`,
		`vAssay.study_ref [DS-0000005] assay "assay-1": there is no study "nowhere"`,
		`vAnnotationTable.target_ref [DS-0000006] table "Process 1" of assay "nowhere"`,
		`vContact.roles [DS-0000007] contact "Meyer0": it is not a JSON array`,
		`vAnnotationTable.row_index [DS-0000008] table "Process 1" of assay "assay-1": "-1" is not a row number`,
		`vAnnotationTable.column_type [DS-0000009] table "Process 1" of assay "assay-1": "colour" is not a documented type`,
	} {
		if !slices.ContainsFunc(*found, func(f source.Finding) bool { return strings.HasPrefix(f.String(), want) }) {
			t.Errorf("missing finding %q in:\n%v", want, *found)
		}
	}
	// The three are in the database: their ARCs must not count as missing.
	want := `{"status":"COMPLETED","keep":["DS-0000001","DS-0000002","DS-0000003"]}`
	if h := api.Harvests()["harvest-1"]; h.Status != "COMPLETED" || len(h.ARCs) != 9 || h.Ending != want {
		t.Errorf("harvest: %s with %d ARCs, %q", h.Status, len(h.ARCs), h.Ending)
	}
}

// A dataset with more than the allowed studies or assays is not converted, one with as
// many is.
func TestLimits(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 2, Studies: 3, Assays: 3, Cells: 1}, nil)
	for limits, failed := range map[mapping.Limits]int64{{Studies: 2}: 2, {Assays: 2}: 2, {Studies: 3, Assays: 3}: 0} {
		o := options(connection, "http://127.0.0.1:1")
		o.DryRun, o.Limits = true, limits
		if report := run(t, o); report.Counts.Failed != failed {
			t.Errorf("%+v: %+v", limits, report.Counts)
		}
	}
}

// Only some datasets are no harvest: the others must not count as missing.
func TestPartialRunsHaveNoHarvest(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 9, Studies: 1, Cells: 5}, nil)
	for _, set := range []func(o *sqltoarc.Options){
		func(o *sqltoarc.Options) { o.Only = []string{"DS-0000003", "DS-0000004"} },
		func(o *sqltoarc.Options) { o.Limit = 2 },
	} {
		api := apitest.New(t)
		o := options(connection, api.URL)
		set(&o)
		if report := run(t, o); report.Counts.Uploaded != 2 || len(api.ARCs()) != 2 || len(api.Harvests()) != 0 {
			t.Errorf("%+v: %d ARCs, %d harvests", report.Counts, len(api.ARCs()), len(api.Harvests()))
		}
	}
}

// Datasets that are named are sent in any case, and alone: the last run may have brought
// them, and a harvest that was interrupted still needs them.
func TestNamedDatasetsAreNoPartOfAHarvest(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 6, Studies: 1}, nil)
	api := apitest.New(t)
	cut := cutAt(api, "/arcs")
	cut.Store(false)
	o := options(connection, api.URL)
	o.StateDir = t.TempDir()
	named := o
	named.Only = []string{"DS-0000003"}
	run(t, o)
	if c := run(t, named).Counts; c.Uploaded != 1 || c.Unchanged != 0 {
		t.Errorf("after a run: %+v", c)
	}
	exec(t, connection, "UPDATE t_vinvestigation SET title = 'changed'")
	cut.Store(true)
	if _, err := sqltoarc.Run(t.Context(), o); fault.CodeOf(err) != upload.CodeUnreachable {
		t.Fatalf("cut run: %v", err)
	}
	cut.Store(false)
	run(t, named)
	o.Resume = true
	run(t, o)
	if h := api.Harvests()["harvest-2"]; h.Status != "COMPLETED" || len(h.ARCs) != 6 || len(api.Harvests()) != 2 {
		t.Errorf("harvest: %s with %d ARCs of 6", h.Status, len(h.ARCs))
	}
}

// cutAt lets the connection of every request end whose path ends so, for as long as what it gives is true.
func cutAt(api *apitest.Server, path string) *atomic.Bool {
	var cut atomic.Bool
	cut.Store(true)
	api.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if cut.Load() && strings.HasSuffix(r.URL.Path, path) {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	return &cut
}

// A dataset that has changed since an interrupted run has brought it is refused by name,
// because a harvest has one content of each; the others arrive.
func TestChangedSinceTheInterruption(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 10, Studies: 1}, nil)
	api := apitest.New(t)
	cut := cutAt(api, "/complete")
	o := options(connection, api.URL)
	o.StateDir = t.TempDir()
	if report, err := sqltoarc.Run(t.Context(), o); fault.CodeOf(err) != upload.CodeUnreachable || report.Counts.Uploaded != 10 {
		t.Fatalf("cut run: %v", err)
	}
	cut.Store(false)
	exec(t, connection, "UPDATE t_vinvestigation SET title = 'changed' WHERE identifier = 'DS-0000003'")
	o.Resume = true
	sent := api.Requests("POST /v3/harvests/{id}/arcs")
	found := findings(&o)
	report := run(t, o)
	if c := report.Counts; c.Unchanged != 9 || !slices.Equal(report.Failed, []string{"DS-0000003"}) || len(*found) != 1 || !strings.Contains((*found)[0].Text, "this harvest has brought the dataset already") {
		t.Errorf("%+v, %v", c, *found)
	}
	if n := api.Requests("POST /v3/harvests/{id}/arcs"); n != sent {
		t.Errorf("%d more submissions", n-sent)
	}
}

// While the API cannot tell what has become of the interrupted harvest, no other is
// begun; once it tells that the harvest has ended, another one is.
func TestResumeAsksFirst(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 5, Studies: 1}, nil)
	api := apitest.New(t)
	var cut atomic.Value
	cut.Store("/arcs")
	api.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, cut.Load().(string)) {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	o := options(connection, api.URL)
	o.StateDir, o.Resume = t.TempDir(), true
	for _, path := range []string{"/arcs", "/harvest-1"} {
		cut.Store(path)
		if _, err := sqltoarc.Run(t.Context(), o); fault.CodeOf(err) != upload.CodeUnreachable {
			t.Fatalf("%s cut: %v", path, err)
		}
		if n := len(api.Harvests()); n != 1 {
			t.Fatalf("%s cut: %d harvests", path, n)
		}
	}
	cut.Store("nothing")
	c, err := upload.New(o.Upload)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.End(t.Context(), "harvest-1", upload.Failed, upload.Rest{}); err != nil {
		t.Fatal(err)
	}
	run(t, o)
	if h := api.Harvests(); len(h) != 2 || h["harvest-2"].Status != "COMPLETED" || len(h["harvest-2"].ARCs) != 5 {
		t.Errorf("harvests: %+v", h)
	}
}

// A run that is cut off in the middle, by the network, by its database or by a
// signal, leaves its harvest open; resuming goes on with that harvest, sends what is missing and
// nothing twice, and completes it.
func TestResume(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"network", "database", "signal"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			connection := loaded(t, postgres(t), datagen.Shape{Investigations: 40, Studies: 1, Assays: 1, Cells: 10}, nil)
			api := apitest.New(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var uploads, resumed atomic.Int64
			var cut atomic.Bool
			cut.Store(true)
			api.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/arcs") {
					return false
				}
				if !cut.Load() {
					resumed.Add(1)
					return false
				}
				if uploads.Add(1) < 20 {
					return false
				}
				switch how {
				case "database":
					exec(t, connection, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
						WHERE datname = current_database() AND application_name = 'sql-to-arc'`)
					return false
				case "signal":
					cancel()
				}
				panic(http.ErrAbortHandler)
			}
			o := options(connection, api.URL)
			o.StateDir = t.TempDir()
			o.Builds, o.Tasks = 2, 1 // so that something is left to be read
			_, err := sqltoarc.Run(ctx, o)
			want := map[string]fault.Code{"network": upload.CodeUnreachable, "database": source.CodeUnreachable, "signal": sqltoarc.CodeInterrupted}
			if code := fault.CodeOf(err); code != want[how] {
				t.Fatalf("the cut run ends with %v", err)
			}
			before := api.Harvests()["harvest-1"]
			if before.Status != "RUNNING" || len(before.ARCs) == 0 || len(before.ARCs) == 40 {
				t.Fatalf("harvest after the cut: %s with %d ARCs", before.Status, len(before.ARCs))
			}
			acknowledged := len(before.ARCs)
			cut.Store(false)
			o.Resume = true
			report := run(t, o)
			after := api.Harvests()
			if len(after) != 1 || after["harvest-1"].Status != "COMPLETED" || len(after["harvest-1"].ARCs) != 40 {
				t.Errorf("after resuming: %d harvests, %s with %d ARCs", len(after), after["harvest-1"].Status, len(after["harvest-1"].ARCs))
			}
			if report.Counts.Done() != 40 || report.Counts.Failed > 0 {
				t.Errorf("report: %+v", report.Counts)
			}
			// Some may have arrived without the answer coming back.
			if n := resumed.Load(); n > int64(40-acknowledged)+20 {
				t.Errorf("%d uploads for the %d missing", n, 40-acknowledged)
			}
		})
	}
}

// What the service has acknowledged is remembered although the rest of the same upload
// has failed: the resumed run does not send it again, to a service that cannot tell.
func TestWhatWasAcknowledgedIsRememberedAtOnce(t *testing.T) {
	t.Parallel()
	const all, acknowledged = 5, 2
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: all, Studies: 1}, nil)
	api := apitest.New(t)
	var sent atomic.Int64
	var cut atomic.Bool
	cut.Store(true)
	api.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/arcs") && sent.Add(1) > acknowledged && cut.Load() {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	o := options(connection, api.URL)
	o.StateDir, o.Tasks, o.BatchSize, o.Upload.MaxConcurrency = t.TempDir(), 1, all, 1
	// The first attempt finds out that there is no bulk.
	sent.Store(-1)
	report, err := sqltoarc.Run(t.Context(), o)
	if n := len(api.Harvests()["harvest-1"].ARCs); fault.CodeOf(err) != upload.CodeUnreachable || report.Counts.Uploaded != acknowledged || n != acknowledged {
		t.Fatalf("cut run: %v, %d arrived, %+v; want %d", err, n, report.Counts, acknowledged)
	}
	cut.Store(false)
	o.Resume = true
	if c := run(t, o).Counts; c.Unchanged != acknowledged || c.Uploaded != all-acknowledged {
		t.Errorf("resumed run: %+v, want %d unchanged and the rest uploaded", c, acknowledged)
	}
}

// Rows that the database counts to a dataset, but whose reference is spelled
// otherwise, are told of.
func TestRowsOfNoDataset(t *testing.T) {
	t.Parallel()
	connection := postgres(t)
	exec(t, connection, `CREATE VIEW vinvestigation AS SELECT 'I ' AS identifier, 'T' AS title, 'D' AS description_text;
		CREATE VIEW vstudy AS SELECT 'S' AS identifier, 'T' AS title, 'I'::char(3) AS investigation_ref`)
	o := options(connection, apitest.New(t).URL)
	found := findings(&o)
	report := run(t, o)
	last := (*found)[len(*found)-1]
	if report.Counts.Uploaded != 1 || report.Counts.Studies != 0 || last.View != "vStudy" || last.Key != "I" || last.Severity != source.Warning {
		t.Errorf("%+v, findings: %v", report.Counts, *found)
	}
}

// What the service will store, but will not be able to bring into git, is told when
// it is built.
func TestWhatKeepsAnARCOutOfGit(t *testing.T) {
	t.Parallel()
	connection := postgres(t)
	exec(t, connection, `CREATE VIEW vinvestigation AS SELECT 'I' AS identifier, 'T' AS title, 'D' AS description_text;
		CREATE VIEW vstudy AS SELECT 'S' AS identifier, 'T' AS title, 'I' AS investigation_ref;
		CREATE VIEW vannotationtable AS SELECT 'T[' || n || ']' AS table_name, 'study' AS target_type, 'S' AS target_ref, 'I' AS investigation_ref,
			'input' AS column_type, 0 AS row_index, 'x' AS cell_value FROM generate_series(1, 12) n`)
	o := options(connection, apitest.New(t).URL)
	found := findings(&o)
	report := run(t, o)
	var told []string
	for _, f := range *found {
		if f.Key == "I" && f.Severity == source.Warning {
			told = append(told, f.Text)
		}
	}
	o.Out, o.Folders = t.TempDir(), true
	*found = nil
	if report := run(t, o); report.Counts.Failed != 1 || slices.ContainsFunc(*found, func(f source.Finding) bool { return strings.Contains(f.Text, "in git") }) {
		t.Errorf("as a folder: %+v, %v", report.Counts, *found)
	}
	if report.Counts.Uploaded != 1 || len(told) != 11 || !strings.Contains(told[0], `"T[1]"`) || !strings.Contains(told[0], "cannot arrive in git") || told[10] != "2 more such reasons are not listed" {
		t.Errorf("%+v, told:\n%s", report.Counts, strings.Join(told, "\n"))
	}
}

// Without resuming, the harvest that was left open is declared failed, so that
// none stays open for ever.
func TestAbandonedHarvestIsDeclaredFailed(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 10, Studies: 1, Cells: 5}, nil)
	api := apitest.New(t)
	cut := cutAt(api, "/arcs")
	o := options(connection, api.URL)
	o.StateDir = t.TempDir()
	if _, err := sqltoarc.Run(t.Context(), o); fault.CodeOf(err) != upload.CodeUnreachable {
		t.Fatalf("cut run: %v", err)
	}
	cut.Store(false)
	for range 2 {
		run(t, o)
	}
	if h := api.Harvests(); h["harvest-1"].Status != "FAILED" || h["harvest-2"].Status != "COMPLETED" || h["harvest-3"].Status != "COMPLETED" {
		t.Errorf("harvests: %v, %v, %v", h["harvest-1"].Status, h["harvest-2"].Status, h["harvest-3"].Status)
	}
	if n := api.Requests("PATCH /v3/harvests/{id}"); n != 1 {
		t.Errorf("%d harvests were declared failed, want the one", n)
	}
}

// Where nothing is remembered nobody can go on: a run that is cut off declares its harvest
// failed itself, also if it was told to end.
func TestWithoutStateNothingIsLeftOpen(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 5, Studies: 1}, nil)
	for how, want := range map[string]fault.Code{"network": upload.CodeUnreachable, "signal": sqltoarc.CodeInterrupted} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		api := apitest.New(t)
		api.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/arcs") {
				return false
			}
			if how == "signal" {
				cancel()
			}
			panic(http.ErrAbortHandler)
		}
		_, err := sqltoarc.Run(ctx, options(connection, api.URL))
		f, _ := fault.Of(err)
		if h := api.Harvests()["harvest-1"]; f == nil || f.Code != want || strings.Contains(f.Remedy, "--resume") || h.Status != "FAILED" {
			t.Errorf("%s: %+v, harvest %s", how, f, h.Status)
		}
	}
}

// A database that fails in the middle fails the harvest: it is not complete.
func TestDatabaseFailureFailsTheHarvest(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 60, Studies: 1, Cells: 5}, nil)
	exec(t, connection, `DROP VIEW "vContact"; CREATE VIEW "vContact" AS SELECT last_name, first_name, mid_initials, email, phone, fax, postal_address,
		affiliation, roles, target_type, target_ref, investigation_ref || CASE WHEN n = 50 THEN (1 / (n - 50))::text ELSE '' END AS investigation_ref FROM t_vcontact`)
	api := apitest.New(t)
	o := options(connection, api.URL)
	report, err := sqltoarc.Run(t.Context(), o)
	if fault.CodeOf(err) != source.CodeQuery || report == nil {
		t.Fatalf("run: %v", err)
	}
	if h := api.Harvests()["harvest-1"]; h.Status != "FAILED" {
		t.Errorf("harvest: %s", h.Status)
	}
	var d map[string]any
	text, _ := json.Marshal(report)
	if json.Unmarshal(text, &d) != nil || d["status"] != "schema:FailedActionStatus" {
		t.Errorf("report: %s", text)
	}
}

// Two runs of one configuration exclude each other.
func TestOneRunAtATime(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 1}, nil)
	api := apitest.New(t)
	o := options(connection, api.URL)
	o.StateDir = t.TempDir()
	inside := false
	api.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if !inside && r.URL.Path == "/v3/harvests" {
			inside = true
			if _, err := sqltoarc.Run(context.Background(), o); fault.CodeOf(err) != sqltoarc.CodeBusy {
				t.Errorf("a second run: %v", err)
			}
		}
		return false
	}
	run(t, o)
}

// Crates and folders can be written to a folder, whatever the identifiers are.
func TestOut(t *testing.T) {
	t.Parallel()
	ids := []string{"DS-0000000", "../../escape", "a/b", "ä"}
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 4, Studies: 1, Assays: 1, Cells: 10}, func(n int, d *source.Dataset) {
		d.Investigation[source.InvestigationIdentifier].Text = ids[n]
		for _, rows := range []struct {
			rows []source.Row
			ref  int
		}{{d.Studies, source.StudyInvestigation}, {d.Assays, source.AssayInvestigation}, {d.Cells, source.CellInvestigation}} {
			for _, r := range rows.rows {
				r[rows.ref].Text = ids[n]
			}
		}
	})
	o := options(connection, "http://127.0.0.1:1")
	dir := t.TempDir()
	o.Out = filepath.Join(dir, "crates")
	if report := run(t, o); report.Counts.Uploaded != 4 {
		t.Fatalf("%+v", report.Counts)
	}
	files, err := os.ReadDir(o.Out)
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(o.Out, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		seen[apitest.Identifier(data)] = true
	}
	for _, id := range ids {
		if !seen[id] {
			t.Errorf("no file for %q", id)
		}
	}
	o.Out, o.Folders = filepath.Join(dir, "folders"), true
	run(t, o)
	for _, name := range []string{"isa.investigation.xlsx", "studies/study_1/isa.study.xlsx", "assays/assay-1/isa.assay.xlsx"} {
		if _, err := os.Stat(filepath.Join(o.Out, "DS-0000000", name)); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("written outside: %v, %v", entries, err)
	}
	exec(t, connection, "UPDATE t_vstudy SET identifier = 'renamed' WHERE investigation_ref = 'DS-0000000'")
	var told []string
	o.Report = func(e sqltoarc.Event) {
		if e.Kind == sqltoarc.EventFinding && strings.Contains(e.Finding.Text, "no more") {
			told = append(told, e.Finding.Key+": "+e.Finding.Text)
		}
	}
	run(t, o)
	if len(told) != 1 || !strings.HasPrefix(told[0], "DS-0000000: ") || !strings.HasSuffix(told[0], ": studies/study_1") {
		t.Errorf("left over: %q", told)
	}
}

// Who waits for an API that is away is told so, and not for every request.
func TestWaitingIsTold(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 1}, nil)
	o := options(connection, "http://127.0.0.1:1")
	o.Upload.MaxRetries, o.Upload.Backoff = 3, time.Millisecond
	var notes []string
	o.Report = func(e sqltoarc.Event) {
		if e.Kind == sqltoarc.EventNote {
			notes = append(notes, e.Text)
		}
	}
	_, err := sqltoarc.Run(t.Context(), o)
	if fault.CodeOf(err) != upload.CodeUnreachable {
		t.Fatal(err)
	}
	if len(notes) != 1 || !strings.HasPrefix(notes[0], "the API at 127.0.0.1:1 cannot be reached: ") || !strings.HasSuffix(notes[0], "; trying again in 1s") {
		t.Errorf("%q", notes)
	}
}

// The report has the members that its readers know.
func TestReportShape(t *testing.T) {
	t.Parallel()
	r := &sqltoarc.Report{RDI: "demo", RDIURL: "https://rdi.example.org", Duration: 1234 * time.Millisecond,
		Counts: sqltoarc.Counts{Found: 3, Failed: 1, Studies: 4, Assays: 5}, Failed: []string{"x"}}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `"@type":["prov:Activity","schema:CreateAction"],"schema:name":"SQL to ARC Conversion Run",` +
		`"schema:instrument":{"@type":"schema:SoftwareApplication","schema:name":"FAIRagro Middleware SQL-to-ARC"},` +
		`"status":"schema:FailedActionStatus","duration":"PT1.23S","duration_seconds":1.234,"found_datasets":3,"total_studies":4,"total_assays":5,` +
		`"failed_datasets":1,"failed_ids":["x"],"prov:used":{"@id":"https://rdi.example.org","@type":"schema:Organization",` +
		`"schema:identifier":"demo","schema:name":"Research Data Infrastructure: demo"}}`
	if !strings.HasSuffix(string(text), want) {
		t.Errorf("got  %s\nwant …%s", text, want)
	}
	if _, err := sqltoarc.Run(t.Context(), sqltoarc.Options{ConnectionString: "nonsense", DryRun: true}); !errors.As(err, new(*fault.Error)) {
		t.Errorf("a run that cannot begin: %v", err)
	}
}

// A run that is interrupted before its first dataset, while the database counts or the API does not answer, says so and nothing else.
func TestInterruptedBeforeTheFirstDataset(t *testing.T) {
	t.Parallel()
	slow := postgres(t)
	exec(t, slow, "CREATE VIEW vinvestigation AS SELECT 'I'::text AS identifier, 'T' || pg_sleep(60)::text AS title")
	fast := loaded(t, postgres(t), datagen.Shape{Investigations: 1}, nil)
	silent := apitest.New(t)
	asked := make(chan struct{}, 1)
	silent.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done()
		return true
	}
	for name, connection := range map[string]string{"database": slow, "API": fast} {
		ctx, stop := context.WithCancel(t.Context())
		if name == "database" {
			time.AfterFunc(time.Second, stop)
		} else {
			go func() { <-asked; stop() }()
		}
		_, err := sqltoarc.Run(ctx, options(connection, silent.URL))
		stop()
		if f, ok := fault.Of(err); !ok || f.Code != sqltoarc.CodeInterrupted || f.Remedy != "run again" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A check tells also the anonymous that the API does not know their RDI.
func TestCheckOfAnUnknownRDI(t *testing.T) {
	t.Parallel()
	api := newService(t)
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 1}, nil)
	for rdi, want := range map[string]bool{"demo": true, "unknown": false} {
		o := options(connection, api.url)
		o.RDI, o.Upload.URL = rdi, strings.Replace(api.url, "://", "://rdi:s3cret@", 1)
		checks := sqltoarc.Check(t.Context(), o)
		if text := fmt.Sprint(checks); strings.Contains(text, "s3cret") || !strings.Contains(text, "answers at") {
			t.Errorf("the password is shown: %s", text)
		}
		if last := checks[len(checks)-1]; last.What != "rights" || last.OK != want || !want && !strings.Contains(last.Text, "anonymous may not send for unknown, only for: demo") {
			t.Errorf("%s: %+v", rdi, last)
		}
	}
}
