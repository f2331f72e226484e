package scaffold_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/scaffold"
)

// contents lays an ARC out and gives the bytes of all files by path.
func contents(tb testing.TB, inv *arc.Investigation) map[string][]byte {
	tb.Helper()
	files, err := scaffold.Files(inv)
	if err != nil {
		tb.Fatalf("plan the files: %v", err)
	}
	out := make(map[string][]byte, len(files))
	for _, f := range files {
		var b bytes.Buffer
		n, err := f.WriteTo(&b)
		if err != nil {
			tb.Fatalf("write %s: %v", f.Path, err)
		}
		if n != int64(b.Len()) {
			tb.Errorf("%s: reported %d bytes, wrote %d", f.Path, n, b.Len())
		}
		if _, twice := out[f.Path]; twice {
			tb.Errorf("%s is there twice", f.Path)
		}
		out[f.Path] = b.Bytes()
	}
	return out
}

// open reads a workbook with a library that is not ours.
func open(tb testing.TB, content []byte) *excelize.File {
	tb.Helper()
	f, err := excelize.OpenReader(bytes.NewReader(content))
	if err != nil {
		tb.Fatalf("open the workbook: %v", err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	return f
}

func rowsOf(tb testing.TB, f *excelize.File, sheet string) [][]string {
	tb.Helper()
	rows, err := f.GetRows(sheet)
	if err != nil {
		tb.Fatalf("read sheet %q: %v", sheet, err)
	}
	return rows
}

// value gives the cells right of the only row with a label.
func values(tb testing.TB, rows [][]string, label string) []string {
	tb.Helper()
	var found [][]string
	for _, row := range rows {
		if len(row) > 0 && row[0] == label {
			found = append(found, row[1:])
		}
	}
	if len(found) != 1 {
		tb.Fatalf("%d rows are labelled %q, want 1", len(found), label)
	}
	return found[0]
}

// problems gives the problems of an ARC that cannot be laid out.
func problems(tb testing.TB, inv *arc.Investigation) scaffold.Problems {
	tb.Helper()
	files, err := scaffold.Files(inv)
	found, ok := err.(scaffold.Problems) //nolint:errorlint // the type is the interface
	if !ok {
		tb.Fatalf("got %d files and error %v, want problems", len(files), err)
	}
	for _, p := range found {
		if p.Code == "" || p.Path == "" || len(p.Parts) == 0 || p.Text == "" || p.Remedy == "" {
			tb.Errorf("incomplete problem %+v", p)
		}
	}
	return found
}

// Every ARC has the workbook of the investigation and the four folders; parts
// bring their own files, and nothing else is there.
func TestFileList(t *testing.T) {
	t.Parallel()
	prefix := "x"
	got := contents(t, &arc.Investigation{
		Identifier: "i",
		Studies:    []*arc.Study{{Identifier: "S 1", DataMap: arc.DataMap{{Data: arc.Data{Name: "f"}}}}},
		Assays:     []*arc.Assay{{Identifier: "A"}},
		Workflows:  []*arc.Workflow{{Identifier: "W", Unit: &arc.ProcessingUnit{Class: arc.CommandLineTool}}},
		Runs:       []*arc.Run{{Identifier: "R", Unit: &arc.ProcessingUnit{Class: arc.CommandLineTool, Inputs: []arc.CWLParameter{{Name: "a", Type: arc.CWLType{Kind: arc.CWLFile}, Prefix: &prefix}}}}},
	})
	want := strings.Fields(`isa.investigation.xlsx assays/.gitkeep studies/.gitkeep workflows/.gitkeep runs/.gitkeep
		assays/A/isa.assay.xlsx assays/A/README.md assays/A/dataset/.gitkeep assays/A/protocols/.gitkeep
		workflows/W/isa.workflow.xlsx workflows/W/README.md workflows/W/workflow.cwl
		runs/R/isa.run.xlsx runs/R/README.md runs/R/run.cwl`)
	want = append(want, "studies/S 1/isa.study.xlsx", "studies/S 1/isa.datamap.xlsx", "studies/S 1/README.md", "studies/S 1/resources/.gitkeep", "studies/S 1/protocols/.gitkeep")
	wanted := map[string]bool{}
	for _, p := range want {
		wanted[p] = true
	}
	have := map[string]bool{}
	for p, content := range got {
		have[p] = true
		if (strings.HasSuffix(p, ".gitkeep") || strings.HasSuffix(p, ".md")) && len(content) > 0 {
			t.Errorf("%s is not empty: %q", p, content)
		}
	}
	if diff := cmp.Diff(wanted, have); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
