package sqltoarc_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/fairagro/middleware-api/internal/sqltoarc/datagen"
	"github.com/fairagro/middleware-api/internal/sqltoarc/mariadbtest"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// members gives rows as objects, as they are handed to the reference library.
func members(view *source.View, rows []source.Row) []map[string]any {
	all := make([]map[string]any, 0, len(rows))
	for _, row := range rows {
		m := make(map[string]any, len(row))
		for i, v := range row {
			m[view.Columns[i].Name] = nil
			if v.Valid {
				m[view.Columns[i].Name] = v.Text
			}
		}
		all = append(all, m)
	}
	return all
}

// Of the same rows, in whatever database, the converter makes folders in which the
// reference library finds what it has written itself, cell by cell.
func TestReferenceLibraryBuildsTheSame(t *testing.T) {
	t.Parallel()
	kit := testenv.ReferenceKit(t)
	shape := datagen.Small()
	views := source.Views()
	datasets := make([]map[string]any, shape.Investigations)
	for n := range datasets {
		d := shape.Dataset(n)
		datasets[n] = map[string]any{}
		for i, rows := range [][]source.Row{{d.Investigation}, d.Studies, d.Assays, d.Publications, d.Contacts, d.Cells} {
			datasets[n][views[i].Name] = members(views[i], rows)
		}
	}
	rows, err := json.Marshal(datasets)
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "reference-arc.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"rows.json": rows, "reference-arc.mjs": script} {
		if err := os.WriteFile(filepath.Join(kit, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, database := range map[string]func(testing.TB) string{"postgresql": postgres, "mariadb": mariadbtest.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(loaded(t, database(t), shape, nil), "")
			o.Out, o.Folders = t.TempDir(), true
			run(t, o)
			out, err := testenv.Node(t, kit, "reference-arc.mjs", "rows.json", o.Out)
			if all := fmt.Sprintf("%d of %d are the same\n", shape.Investigations, shape.Investigations); err != nil || string(out) != all {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
