package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"weak"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/sqltoarc/datagen"
	"github.com/fairagro/middleware-api/internal/sqltoarc/mariadbtest"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

// postgres gives the URL form of a database, which is how users write it.
func postgres(tb testing.TB) string {
	tb.Helper()
	return pgURL(tb, pgtest.Empty(tb))
}

func pgURL(tb testing.TB, dsn string) string {
	tb.Helper()
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("postgresql://%s@/%s?host=%s", c.User, c.Database, c.Host)
}

// databases are the two products that tests can start.
func databases(tb testing.TB) map[string]func(tb testing.TB) string {
	tb.Helper()
	return map[string]func(tb testing.TB) string{"postgresql": postgres, "mariadb": mariadbtest.URL}
}

func open(tb testing.TB, connectionString string, schema source.Schema) *source.Database {
	tb.Helper()
	d, err := source.Open(tb.Context(), connectionString, schema)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(d.Close)
	return d
}

func resolve(tb testing.TB, d *source.Database) []source.Finding {
	tb.Helper()
	findings, err := d.Resolve(tb.Context())
	if err != nil {
		tb.Fatalf("resolve: %v", err)
	}
	return findings
}

// readAll passes over the database with several readers at once.
func readAll(tb testing.TB, d *source.Database, o source.ReadOptions, readers int) map[string]*source.Dataset {
	tb.Helper()
	r, _, err := d.Read(tb.Context(), o)
	if err != nil {
		tb.Fatalf("read: %v", err)
	}
	defer r.Close()
	all := map[string]*source.Dataset{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for {
				batch, err := r.Next(tb.Context())
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					tb.Errorf("next: %v", err)
					return
				}
				mu.Lock()
				for _, ds := range batch {
					if all[ds.Key()] != nil {
						tb.Errorf("%s came twice", ds.Key())
					}
					all[ds.Key()] = ds
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if int64(len(all)) != r.Total() {
		tb.Errorf("got %d datasets, announced %d", len(all), r.Total())
	}
	return all
}

// What did not fit into its batch is let go of once it has been read, so that memory
// does not grow with the number of large datasets.
func TestReadDatasetsAreLetGo(t *testing.T) {
	t.Parallel()
	const datasets = 40
	connection := postgres(t)
	if err := datagen.Load(t.Context(), connection, datagen.Shape{Investigations: datasets, Cells: 40}, datagen.Options{}); err != nil {
		t.Fatal(err)
	}
	d := open(t, connection, source.SchemaViews)
	resolve(t, d)
	r, _, err := d.Read(t.Context(), source.ReadOptions{BatchBytes: 8 << 10, DatasetBytes: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var read []weak.Pointer[source.Dataset]
	for len(read) < datasets*3/4 {
		batch, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, ds := range batch {
			read = append(read, weak.Make(ds))
		}
	}
	runtime.GC()
	held := 0
	for _, p := range read {
		if p.Value() != nil {
			held++
		}
	}
	if held > 3 {
		t.Errorf("%d of %d datasets that were read are still held", held, len(read))
	}
}

// Of several investigations with one identifier, for which blanks around it do not count,
// it is always the first that counts, however far apart they are and whoever reads them.
func TestTheFirstOfSeveralCounts(t *testing.T) {
	t.Parallel()
	for product, database := range databases(t) {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			connection := database(t)
			change := func(n int, d *source.Dataset) {
				d.Investigation[source.InvestigationIdentifier].Text = fmt.Sprint(n % 30)
				if n >= 35 {
					d.Investigation[source.InvestigationIdentifier].Text += " "
				}
				d.Investigation[source.InvestigationTitle].Text = fmt.Sprint("title ", n)
			}
			if err := datagen.Load(t.Context(), connection, datagen.Shape{Investigations: 40}, datagen.Options{Change: change, Ordered: true}); err != nil {
				t.Fatal(err)
			}
			d := open(t, connection, source.SchemaViews)
			resolve(t, d)
			r, _, err := d.Read(t.Context(), source.ReadOptions{BatchSize: 7, Sessions: 3})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var mu sync.Mutex
			duplicates := 0
			var readers sync.WaitGroup
			for range 3 {
				readers.Go(func() {
					for {
						batch, err := r.Next(t.Context())
						if err != nil {
							if !errors.Is(err, io.EOF) {
								t.Error(err)
							}
							return
						}
						mu.Lock()
						for _, ds := range batch {
							first := ds.Investigation.Text(source.InvestigationTitle) == "title "+ds.Key()
							if ds.Duplicate == first {
								t.Errorf("%v: duplicate %v", ds.Investigation, ds.Duplicate)
							}
							if ds.Duplicate {
								duplicates++
							}
						}
						mu.Unlock()
					}
				})
			}
			readers.Wait()
			if duplicates != 10 {
				t.Errorf("%d duplicates, want 10", duplicates)
			}
		})
	}
}

// comparable spells times alike and sorts the rows: PostgreSQL may put a row
// into a gap of an earlier page, so its order is not that of insertion.
func comparable(d *source.Dataset) [][]source.Row {
	fix := func(rows []source.Row, columns ...int) []source.Row {
		out := make([]source.Row, 0, len(rows))
		for _, r := range rows {
			r = append(source.Row(nil), r...)
			for _, c := range columns {
				r[c].Text, _ = source.ISOTime(r[c].Text)
			}
			out = append(out, r)
		}
		slices.SortFunc(out, func(a, b source.Row) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return out
	}
	return [][]source.Row{
		fix([]source.Row{d.Investigation}, source.InvestigationSubmission, source.InvestigationRelease),
		fix(d.Studies, source.StudySubmission, source.StudyRelease),
		fix(d.Assays), fix(d.Publications), fix(d.Contacts), fix(d.Cells),
	}
}

// Every value of every view arrives as it was stored, whatever the database, the spelling of the names and the number of readers.
func TestEveryValueArrives(t *testing.T) {
	t.Parallel()
	shape := datagen.Small()
	for name, database := range databases(t) {
		for _, lower := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/lower=%v", name, lower), func(t *testing.T) {
				t.Parallel()
				url := database(t)
				if err := datagen.Load(t.Context(), url, shape, datagen.Options{LowerCase: lower}); err != nil {
					t.Fatal(err)
				}
				d := open(t, url, source.SchemaViews)
				if findings := resolve(t, d); len(findings) > 0 {
					t.Errorf("findings in a database as documented: %v", findings)
				}
				got := readAll(t, d, source.ReadOptions{BatchSize: 7, Sessions: 3}, 3)
				for n := range shape.Investigations {
					want := shape.Dataset(n)
					if diff := cmp.Diff(comparable(want), comparable(got[want.Key()])); diff != "" {
						t.Fatalf("dataset %d (-want +got):\n%s", n, diff)
					}
				}
			})
		}
	}
}

// A run sees one state of the database, even if it changes meanwhile, on all of
// its connections.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	shape := datagen.Shape{Investigations: 30, Studies: 1, Assays: 1, Cells: 5}
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			if err := datagen.Load(t.Context(), url, shape, datagen.Options{}); err != nil {
				t.Fatal(err)
			}
			d := open(t, url, source.SchemaViews)
			resolve(t, d)
			r, _, err := d.Read(t.Context(), source.ReadOptions{BatchSize: 10, Sessions: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			change := []string{"DELETE FROM t_vstudy", "DELETE FROM t_vinvestigation", "UPDATE t_vannotationtable SET cell_value = 'changed'"}
			if name == "mariadb" {
				mariaExec(t, url, change)
			} else {
				pgExec(t, url, strings.Join(change, ";"))
			}
			seen := 0
			for {
				batch, err := r.Next(t.Context())
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, ds := range batch {
					seen++
					if len(ds.Studies) != 1 || len(ds.Cells) == 0 || ds.Cells[0].Text(source.CellValue) == "changed" {
						t.Errorf("%s: saw a later state: %d studies, %d cells", ds.Key(), len(ds.Studies), len(ds.Cells))
					}
				}
			}
			if seen != shape.Investigations {
				t.Errorf("saw %d investigations, want %d", seen, shape.Investigations)
			}
		})
	}
}

// Nothing is ever written, not even by a view that would like to.
func TestNothingIsWritten(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	pgExec(t, url, `CREATE TABLE log (n integer);
		CREATE FUNCTION logged() RETURNS text LANGUAGE sql AS $$ INSERT INTO log VALUES (1); SELECT 'S' $$;
		CREATE VIEW vinvestigation AS SELECT 'I' AS identifier, 'T' AS title;
		CREATE VIEW vstudy AS SELECT logged() AS identifier, 'T' AS title, 'I' AS investigation_ref`)
	d := open(t, url, source.SchemaViews)
	resolve(t, d)
	r, _, err := d.Read(t.Context(), source.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "read-only transaction") {
		t.Errorf("got %v", err)
	}
}

// Behind a pooler of transactions a session is that of other programs at the next moment: none of ours leaves a
// setting behind, and theirs may go on writing.
func TestAPoolerOfTransactions(t *testing.T) {
	t.Parallel()
	direct := pgtest.Empty(t)
	pgExec(t, pgURL(t, direct), `CREATE TABLE inv (id text, title text); INSERT INTO inv VALUES ('I', 'T');
		CREATE VIEW vinvestigation AS SELECT id AS identifier, title FROM inv;
		CREATE VIEW vstudy AS SELECT 'S' AS identifier, 'T' AS title, id AS investigation_ref FROM inv`)
	pooled := pgtest.Pooler(t, direct, "transaction")
	config, err := pgx.ParseConfig(pooled)
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, pgURL(t, pooled)+"&port=6432", source.SchemaViews)
	resolve(t, d)
	if _, _, err := d.Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, d, source.ReadOptions{Sessions: 2}, 2); len(got) != 1 || len(got["I"].Studies) != 1 {
		t.Errorf("got %v", got)
	}
	d.Close()
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	for range 4 { // each takes another session of the pool
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		var set string
		if err := conn.QueryRow(t.Context(), "SELECT COALESCE(string_agg(name, ' ' ORDER BY name), '') FROM pg_settings WHERE source = 'session' AND name IN "+
			"('default_transaction_read_only', 'idle_in_transaction_session_timeout', 'max_parallel_workers_per_gather', 'quote_all_identifiers', 'synchronize_seqscans')").Scan(&set); err != nil || set != "" {
			t.Errorf("left behind: %s, %v", set, err)
		}
		if _, err := conn.Exec(t.Context(), "BEGIN; INSERT INTO inv VALUES ('J', 'T')"); err != nil {
			t.Errorf("another program: %v", err)
		}
	}
}

// No batch names more identifiers than a query may, whatever is asked for.
func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	pgExec(t, url, `CREATE VIEW vinvestigation AS SELECT 'I' || n AS identifier, 'T' AS title FROM generate_series(1, 2500) n`)
	d := open(t, url, source.SchemaViews)
	resolve(t, d)
	if _, _, err := d.Read(t.Context(), source.ReadOptions{Only: make([]string, 1001)}); err == nil || !strings.Contains(err.Error(), "at most 1000") {
		t.Errorf("1001 identifiers: %v", err)
	}
	r, _, err := d.Read(t.Context(), source.ReadOptions{BatchSize: 5000})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen, largest := 0, 0
	for {
		batch, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen, largest = seen+len(batch), max(largest, len(batch))
	}
	if seen != 2500 || largest != 1000 {
		t.Errorf("%d datasets, at most %d at a time, want 2500 and 1000", seen, largest)
	}
}

// Only the datasets asked for are read, and no more than asked for.
func TestOnlyAndLimit(t *testing.T) {
	t.Parallel()
	shape := datagen.Shape{Investigations: 20, Studies: 1, Cells: 5}
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			change := func(n int, d *source.Dataset) {
				if n == 3 {
					d.Investigation[source.InvestigationIdentifier].Text = `odd "$1' \ key`
				}
			}
			if err := datagen.Load(t.Context(), url, shape, datagen.Options{Change: change}); err != nil {
				t.Fatal(err)
			}
			d := open(t, url, source.SchemaViews)
			resolve(t, d)
			got := readAll(t, d, source.ReadOptions{Only: []string{"DS-0000007", `odd "$1' \ key`, "absent"}}, 1)
			if len(got) != 2 || got["DS-0000007"] == nil || got[`odd "$1' \ key`] == nil {
				t.Errorf("got %d datasets, want the two that exist", len(got))
			}
			if got := readAll(t, d, source.ReadOptions{Limit: 4}, 1); len(got) != 4 {
				t.Errorf("got %d datasets, want 4", len(got))
			}
		})
	}
}

// A batch that does not fit is read in smaller pieces, and a dataset that does
// not fit alone is told so without being read.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	shape := datagen.Shape{Investigations: 12, Studies: 1, Assays: 1, Cells: 200}
	url := postgres(t)
	huge := func(n int, d *source.Dataset) {
		if n == 5 {
			d.Cells[0][source.CellValue] = source.Value{Text: strings.Repeat("x", 2<<20), Valid: true}
		}
	}
	if err := datagen.Load(t.Context(), url, shape, datagen.Options{Change: huge}); err != nil {
		t.Fatal(err)
	}
	d := open(t, url, source.SchemaViews)
	resolve(t, d)
	got := readAll(t, d, source.ReadOptions{BatchBytes: 50 << 10, DatasetBytes: 1 << 20}, 1)
	for n := range shape.Investigations {
		ds := got[shape.Dataset(n).Key()]
		if ds.TooLarge != (n == 5) {
			t.Errorf("dataset %d: too large: %v", n, ds.TooLarge)
		}
		if !ds.TooLarge && len(ds.Cells) < 200 {
			t.Errorf("dataset %d: %d cells, want at least 200", n, len(ds.Cells))
		}
	}
}

// A first batch of datasets each of which is just allowed is not kept as a whole:
// what does not fit waits, new or known, and everything comes once.
func TestLargeDatasetsComeAFewAtATime(t *testing.T) {
	t.Parallel()
	const large = 100 << 10
	shape := datagen.Shape{Investigations: 30, Studies: 1, Assays: 1, Cells: 2}
	fill := func(_ int, d *source.Dataset) {
		d.Studies[0][source.StudyDescription] = source.Value{Text: strings.Repeat("x", large), Valid: true}
	}
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			if err := datagen.Load(t.Context(), url, shape, datagen.Options{Ordered: true, Change: fill}); err != nil {
				t.Fatal(err)
			}
			d := open(t, url, source.SchemaViews)
			resolve(t, d)
			prints := map[string][32]byte{}
			o := source.ReadOptions{BatchBytes: 10 << 10, DatasetBytes: 4 * large}
			o.Known = func(key string) (source.Earlier, bool, error) {
				f, ok := prints[key]
				return source.Earlier{Fingerprint: f}, ok, nil
			}
			kept := func(batch []*source.Dataset) (n int) {
				for _, ds := range batch {
					if len(ds.Studies) > 0 {
						n++
					}
				}
				return n
			}
			for _, pass := range []string{"new", "changed", "unchanged"} {
				r, _, err := d.Read(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				seen := map[string]int{}
				var unchanged []*source.Dataset
				for {
					batch, err := r.Next(t.Context())
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatalf("%s: %v", pass, err)
					}
					if n := kept(batch); n > 3 {
						t.Errorf("%s: a batch with the rows of %d datasets, of which 3 fit", pass, n)
					}
					for _, ds := range batch {
						seen[ds.Key()]++
						prints[ds.Key()] = ds.Fingerprint
						if pass == "new" {
							prints[ds.Key()] = [32]byte{1}
						}
						if ds.Unchanged {
							unchanged = append(unchanged, ds)
						}
					}
				}
				for key, n := range seen {
					if n != 1 {
						t.Errorf("%s: %s came %d times", pass, key, n)
					}
				}
				if len(seen) != shape.Investigations || (pass == "unchanged") != (len(unchanged) == len(seen)) {
					t.Errorf("%s: %d datasets, %d unchanged, want %d", pass, len(seen), len(unchanged), shape.Investigations)
				}
				for len(unchanged) > 0 {
					if err := r.Fetch(t.Context(), unchanged); err != nil {
						t.Fatal(err)
					}
					n := kept(unchanged)
					if n < 1 || n > 3 || unchanged[n-1].Unchanged {
						t.Fatalf("fetched the rows of %d datasets, of which 3 fit", n)
					}
					unchanged = unchanged[n:]
				}
				r.Close()
			}
		})
	}
}

// The three tables of the first generation are read with their mapping;
// identifiers may have any type.
func TestSeedTables(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), `
		CREATE TABLE "ARC_Investigation" (id integer, title text, description text, submission_time timestamp, release_time timestamptz);
		CREATE TABLE "ARC_Study" (id bigint, investigation_id integer, title text, description text, submission_time timestamp, release_time timestamp);
		CREATE TABLE "ARC_Assay" (id integer, study_id bigint, measurement_type text, technology_type text);
		INSERT INTO "ARC_Investigation" VALUES (7, 'T', NULL, '2026-03-01 10:00:00', '2026-03-01 10:00:00.5+02');
		INSERT INTO "ARC_Study" VALUES (70, 7, 'S', 'D', NULL, NULL), (71, 8, 'other', NULL, NULL, NULL);
		INSERT INTO "ARC_Assay" VALUES (700, 70, 'm', 't')`)
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, url, source.SchemaTables)
	if findings := resolve(t, d); len(findings) > 0 {
		t.Fatalf("findings: %v", findings)
	}
	got := readAll(t, d, source.ReadOptions{}, 1)["7"]
	if got == nil || len(got.Studies) != 1 || len(got.Assays) != 1 {
		t.Fatalf("got %+v", got)
	}
	if a := got.Assays[0]; a.Text(source.AssayIdentifier) != "700" || a.Text(source.AssayStudies) != "70" || a[source.AssayMeasurementTerm].Valid {
		t.Errorf("assay: %+v", a)
	}
	if iso, err := source.ISOTime(got.Investigation.Text(source.InvestigationRelease)); err != nil || iso != "2026-03-01T08:00:00.500000+00:00" {
		t.Errorf("release date: %q, %v", iso, err)
	}
}

// A dataset that has not changed comes without its rows, which can be fetched;
// any change, of a value or of the order, brings them.
func TestUnchangedDatasetsStayInTheDatabase(t *testing.T) {
	t.Parallel()
	shape := datagen.Shape{Investigations: 30, Studies: 2, Assays: 3, Cells: 20, Nasty: true}
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			load := func(url string, change func(n int, d *source.Dataset)) *source.Database {
				if err := datagen.Load(t.Context(), url, shape, datagen.Options{Ordered: true, Change: change}); err != nil {
					t.Fatal(err)
				}
				d := open(t, url, source.SchemaViews)
				resolve(t, d)
				return d
			}
			nothing := func(string) (e source.Earlier, ok bool, err error) { return }
			before := readAll(t, load(database(t), nil), source.ReadOptions{BatchSize: 7, Known: nothing}, 2)
			known := func(key string) (source.Earlier, bool, error) {
				d, ok := before[key]
				return source.Earlier{Fingerprint: d.Fingerprint}, ok && key != "DS-0000009", nil
			}
			d := load(database(t), func(n int, d *source.Dataset) {
				switch n {
				case 1:
					d.Studies[1][source.StudyTitle].Text += "."
				case 2:
					d.Cells[0], d.Cells[1] = d.Cells[1], d.Cells[0]
				case 3:
					d.Assays[0][source.AssayTitle] = source.Value{Valid: !d.Assays[0][source.AssayTitle].Valid}
				case 4:
					d.Investigation[source.InvestigationDescription] = source.Value{Text: "other", Valid: true}
				case 5:
					d.Assays = d.Assays[:2]
				}
			})
			after := readAll(t, d, source.ReadOptions{BatchSize: 7, Known: known}, 1)
			for n := range shape.Investigations {
				was, is := before[shape.Dataset(n).Key()], after[shape.Dataset(n).Key()]
				changed := n >= 1 && n <= 5
				if is.Unchanged == (changed || n == 9) || (is.Fingerprint != was.Fingerprint) != changed {
					t.Errorf("dataset %d: unchanged %v, changed %v", n, is.Unchanged, changed)
				}
				if is.StudyCount != 2 || is.AssayCount != len(was.Assays) && n != 5 {
					t.Errorf("dataset %d: counts %d studies, %d assays", n, is.StudyCount, is.AssayCount)
				}
				if is.Unchanged == (len(is.Cells) > 0) {
					t.Errorf("dataset %d: unchanged %v with %d cells", n, is.Unchanged, len(is.Cells))
				}
			}
			r, _, err := d.Read(t.Context(), source.ReadOptions{Known: known})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			whole := &source.Dataset{Investigation: after["DS-0000020"].Investigation, Unchanged: true}
			if err := r.Fetch(t.Context(), []*source.Dataset{whole}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(comparable(before["DS-0000020"]), comparable(whole)); diff != "" {
				t.Errorf("fetched (-want +got):\n%s", diff)
			}
		})
	}
}

// A dataset that has the marker that it had before is not looked at, unless a thorough
// look is asked for; one with another marker, or without, is judged by its rows.
func TestMarkerStandsForTheRows(t *testing.T) {
	t.Parallel()
	shape := datagen.Shape{Investigations: 12, Studies: 2, Assays: 3, Cells: 8}
	marker := func(d *source.Dataset, text string) {
		d.Investigation[source.InvestigationMarker] = source.Value{Text: text, Valid: true}
	}
	retitle := func(d *source.Dataset) { d.Studies[0][source.StudyTitle].Text += " changed" }
	for name, database := range databases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			load := func(change func(n int, d *source.Dataset)) *source.Database {
				url := database(t)
				if err := datagen.Load(t.Context(), url, shape, datagen.Options{Ordered: true, Change: change}); err != nil {
					t.Fatal(err)
				}
				d := open(t, url, source.SchemaViews)
				resolve(t, d)
				return d
			}
			known := func(string) (e source.Earlier, ok bool, err error) { return }
			before := readAll(t, load(func(n int, d *source.Dataset) {
				if n != 5 {
					marker(d, "one")
				}
			}), source.ReadOptions{Known: known}, 1)
			known = func(key string) (source.Earlier, bool, error) {
				d := before[key]
				return source.Earlier{Fingerprint: d.Fingerprint, Marker: d.Marker, StudyCount: d.StudyCount, AssayCount: d.AssayCount}, true, nil
			}
			now := load(func(n int, d *source.Dataset) {
				marker(d, "one")
				switch n {
				case 1: // the marker hides it
					retitle(d)
				case 2: // the marker tells
					retitle(d)
					marker(d, "two")
				case 3: // the marker has changed for nothing
					marker(d, "two")
				case 4: // seen without the rows
					d.Investigation[source.InvestigationTitle].Text += " changed"
				case 5: // had no marker
					retitle(d)
				case 6: // has none any more
					d.Investigation[source.InvestigationMarker] = source.Value{}
				case 7:
					d.Investigation[source.InvestigationMarker] = source.Value{}
					retitle(d)
				}
			})
			for _, thorough := range []bool{false, true} {
				after := readAll(t, now, source.ReadOptions{Known: known, Thorough: thorough}, 2)
				for n := range shape.Investigations {
					d := after[shape.Dataset(n).Key()]
					changed := n == 2 || n == 4 || n == 5 || n == 7 || n == 1 && thorough
					if d.Unchanged == changed || d.StudyCount != 2 || d.AssayCount != 3 || (len(d.Cells) > 0) != changed {
						t.Errorf("thorough %v, dataset %d: unchanged %v, %d studies, %d assays, %d cells", thorough, n, d.Unchanged, d.StudyCount, d.AssayCount, len(d.Cells))
					}
					// The versions of PostgreSQL's rows are another database's here.
					if (d.Marker == [16]byte{}) != ((n == 6 || n == 7) && name != "postgresql") || n != 1 && d.Unchanged && d.Fingerprint != before[d.Key()].Fingerprint {
						t.Errorf("thorough %v, dataset %d: marker %x, fingerprint %x", thorough, n, d.Marker[:4], d.Fingerprint[:4])
					}
				}
			}
		})
	}
}
