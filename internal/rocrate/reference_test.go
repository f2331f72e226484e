package rocrate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/scaffold"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// expectAll lets the reference library say what it makes of each crate of a
// folder.
const expectAll = `
import fs from 'node:fs';
import path from 'node:path';
import { runOracle } from './lib/canon.mjs';
const dir = process.argv[2];
for (const name of fs.readdirSync(dir).filter((n) => n.endsWith('.json') && !n.endsWith('.expected.json'))) {
  const { expected } = await runOracle(fs.readFileSync(path.join(dir, name), 'utf8'));
  fs.writeFileSync(path.join(dir, name.replace(/json$/, 'expected.json')), JSON.stringify(expected));
}
`

// What we make of crates and what the reference library makes of them is the
// same, in both directions.
func TestReferenceLibrary(t *testing.T) {
	t.Parallel()
	kit := testenv.ReferenceKit(t)
	t.Run("reads encoded ARCs", func(t *testing.T) { t.Parallel(); readsEncodedARCs(t, kit) })
	t.Run("writes the same folders", func(t *testing.T) { t.Parallel(); writesTheSameFolders(t, kit) })
	t.Run("loads our folders", func(t *testing.T) { t.Parallel(); loadsOurFolders(t, kit) })
}

// The folder of an ARC and the folder that the reference library makes of its
// crate are equal, file by file and cell by cell: what Encode writes is what the
// library reads.
func readsEncodedARCs(t *testing.T, kit string) {
	t.Helper()
	crates, folders := t.TempDir(), t.TempDir()
	written := 0
	for seed := range 60 {
		inv := genInvestigation().Example(seed)
		files, err := scaffold.Files(inv)
		if err != nil {
			continue // an ARC that has no folder has nothing to compare
		}
		doc, err := rocrate.Encode(inv)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("arc-%02d", seed)
		if err := os.WriteFile(filepath.Join(crates, name+".json"), doc, 0o600); err != nil {
			t.Fatal(err)
		}
		writeFiles(t, filepath.Join(folders, name), files)
		written++
	}
	if written < 20 {
		t.Fatalf("only %d of 60 generated ARCs have a folder", written)
	}
	script := filepath.Join(kit, "expect-all.mjs")
	if err := os.WriteFile(script, []byte(expectAll), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := testenv.Node(t, kit, script, crates); err != nil {
		t.Fatalf("reference library: %v\n%s", err, out)
	}
	compareBatch(t, kit, folders, crates)
}

// Every case of the kit gives what the reference library gives, judged by the
// kit's own comparison.
func writesTheSameFolders(t *testing.T, kit string) {
	t.Helper()
	cases := filepath.Join(testenv.ConformanceDir(t), "cases")
	entries, err := os.ReadDir(cases)
	if err != nil {
		t.Fatal(err)
	}
	folders := t.TempDir()
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasSuffix(name, ".expected") || name == "INDEX" {
			continue
		}
		doc, err := os.ReadFile(filepath.Join(cases, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		inv, _ := read(t, doc)
		if inv == nil {
			continue
		}
		if files, err := scaffold.Files(inv); err == nil {
			writeFiles(t, filepath.Join(folders, name), files)
		}
	}
	compareBatch(t, kit, folders, cases)
}

// The crate that the library exports from our folder is the crate's ARC again.
func loadsOurFolders(t *testing.T, kit string) {
	t.Helper()
	for _, name := range []string{"up-sample", "up-edaphobase", "real-arc-prototype"} {
		crate := filepath.Join(testenv.ConformanceDir(t), "cases", name+".json")
		doc, err := os.ReadFile(crate)
		if err != nil {
			t.Fatal(err)
		}
		inv, findings := read(t, doc)
		if inv == nil {
			t.Fatalf("%s: %+v", name, findings)
		}
		files, err := scaffold.Files(inv)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), name)
		writeFiles(t, dir, files)
		if out, err := testenv.Node(t, kit, filepath.Join(kit, "roundtrip.mjs"), dir, crate); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func compareBatch(tb testing.TB, kit, folders, cases string) {
	tb.Helper()
	out, err := testenv.Node(tb, kit, filepath.Join(kit, "compare.mjs"), "--batch", folders, cases)
	if err == nil {
		return
	}
	var bad []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "ok ") {
			bad = append(bad, line)
		}
	}
	tb.Errorf("%v\n%s", err, strings.Join(bad, ""))
}

func writeFiles(tb testing.TB, dir string, files []scaffold.File) {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	if _, err := scaffold.WriteDir(tb.Context(), dir, files); err != nil {
		tb.Fatal(err)
	}
}
