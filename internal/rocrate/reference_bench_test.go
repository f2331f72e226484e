package rocrate_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/scaffold"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// measureLibrary converts a crate several times within one process of the
// reference library and prints the CPU time of one conversion (median) and the
// peak memory of the process.
const measureLibrary = `
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ARC } from './lib/canon.mjs';
const [file, times] = process.argv.slice(2);
const text = fs.readFileSync(file, 'utf8');
const used = [];
for (let i = 0; i < Number(times); i++) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'reference-'));
  const before = process.cpuUsage();
  const arc = ARC.fromROCrateJsonString(text);
  await arc.WriteAsync(dir);
  const { user, system } = process.cpuUsage(before);
  used.push((user + system) / 1000);
  fs.rmSync(dir, { recursive: true });
}
used.sort((a, b) => a - b);
process.stdout.write(JSON.stringify({ milliseconds: used[used.length >> 1], bytes: process.resourceUsage().maxRSS * 1024 }));
`

// BenchmarkAgainstReferenceLibrary converts the same crates with the reference
// library and with ours, in one run, and reports how many times less CPU ours
// takes. The library is warm: its first conversions do not count.
func BenchmarkAgainstReferenceLibrary(b *testing.B) {
	kit := testenv.ReferenceKit(b)
	script := filepath.Join(kit, "measure.mjs")
	if err := os.WriteFile(script, []byte(measureLibrary), 0o600); err != nil {
		b.Fatal(err)
	}
	long := filepath.Join(b.TempDir(), "rows-10000.json")
	if err := os.WriteFile(long, longTable(b, 10_000), 0o600); err != nil {
		b.Fatal(err)
	}
	cases := filepath.Join(testenv.ConformanceDir(b), "cases")
	for _, x := range []struct {
		name, crate string
		times       int
	}{
		{"minimal", filepath.Join(cases, "up-minimal.json"), 31},
		{"sample", filepath.Join(cases, "up-sample.json"), 15},
		{"rows=10000", long, 3},
	} {
		b.Run(x.name, func(b *testing.B) {
			out, err := testenv.Node(b, kit, script, x.crate, strconv.Itoa(x.times))
			if err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			var theirs struct{ Milliseconds, Bytes float64 }
			if err := json.Unmarshal(out[strings.LastIndexByte(string(out), '{'):], &theirs); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			doc, err := os.ReadFile(x.crate)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				convertTo(b, doc, io.Discard)
			}
			ours := (cpuTime(b) - before).Seconds() * 1000 / float64(b.N)
			b.ReportMetric(ours, "cpu-ms/op")
			b.ReportMetric(theirs.Milliseconds/ours, "times-less-cpu")
			b.ReportMetric(theirs.Bytes/(1<<20), "library-MB")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "our-MB")
		})
	}
}

func convertTo(tb testing.TB, doc []byte, w io.Writer) {
	tb.Helper()
	inv, findings := rocrate.Read(doc)
	if inv == nil {
		tb.Fatalf("not readable: %+v", findings)
	}
	files, err := scaffold.Files(inv)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range files {
		if _, err := f.WriteTo(w); err != nil {
			tb.Fatal(err)
		}
	}
}

// longTable makes the crate of a study with one table.
func longTable(tb testing.TB, rows int) []byte {
	tb.Helper()
	t := arc.NewTableBuilder("growth")
	unit := arc.NewTerm("degree celsius", "UO:0000027")
	for i := range rows {
		t.Add(arc.NewHeader(arc.InputColumn, arc.IOSource), arc.NewTextCell("seed "+strconv.Itoa(i)))
		t.Add(arc.NewHeader(arc.ProtocolREFColumn, ""), arc.NewTextCell("growth"))
		t.Add(arc.Header{Kind: arc.ParameterColumn, Term: arc.NewTerm("temperature", "PATO:0000146")}, arc.NewUnitizedCell(strconv.Itoa(i%40), unit))
		t.Add(arc.NewHeader(arc.OutputColumn, arc.IOSample), arc.NewTextCell("plant "+strconv.Itoa(i)))
		t.EndRow()
	}
	doc, err := rocrate.Encode(&arc.Investigation{
		Identifier: "long", Title: "long", Studies: []*arc.Study{{Identifier: "s", Tables: []*arc.Table{t.Table()}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return doc
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
