package sqltoarc_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/sqltoarc"
	"github.com/fairagro/middleware-api/internal/sqltoarc/datagen"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

// benchmarkSize is the number of investigations; SQL_TO_ARC_BENCH sets another,
// such as 100000.
func benchmarkSize(tb testing.TB) int {
	tb.Helper()
	text := os.Getenv("SQL_TO_ARC_BENCH")
	if text == "" {
		return 4000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// postgres gives the URL of an empty database.
func postgres(tb testing.TB) string {
	tb.Helper()
	c, err := pgx.ParseConfig(pgtest.Empty(tb))
	if err != nil {
		tb.Fatal(err)
	}
	u := url.URL{Scheme: "postgresql", User: url.User(c.User), Path: "/" + c.Database, RawQuery: url.Values{"host": {c.Host}}.Encode()}
	return u.String()
}

// cpu gives the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ticks sums some fields of a line of /proc/stat or /proc/PID/stat, counted from
// 0 behind the name, in units of 10 ms (proc(5)). What has ended counts nothing.
func ticks(path string, from, to int) time.Duration {
	data, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(data), "\n")
	line = line[strings.LastIndexByte(line, ')')+1:]
	fields, sum := strings.Fields(line), int64(0)
	if len(fields) < to {
		return 0
	}
	for _, text := range fields[from:to] {
		n, _ := strconv.ParseInt(text, 10, 64)
		sum += n
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

// idle gives how long the processors of this machine had nothing to do, summed
// over them, whoever used them otherwise.
func idle() time.Duration { return ticks("/proc/stat", 4, 5) }

// postmaster gives the process that a database belongs to.
func postmaster(tb testing.TB, connection string) string {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), connection)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var file string
	if err := conn.QueryRow(tb.Context(), "SELECT pg_read_file('postmaster.pid')").Scan(&file); err != nil {
		tb.Fatal(err)
	}
	pid, _, _ := strings.Cut(file, "\n")
	return pid
}

// processesCPU gives the processor time of a process and its children, those that
// have ended included. A child that ends in between is counted neither with its parent
// nor by itself, so it looks again if there was one.
func processesCPU(parent string) time.Duration {
	for {
		stat := "/proc/" + parent + "/stat"
		ended := ticks(stat, 13, 15)
		sum := ended + ticks(stat, 11, 13)
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range stats {
			data, _ := os.ReadFile(path)
			text := string(data)
			if f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]); len(f) > 1 && f[1] == parent {
				sum += ticks(path, 11, 13)
			}
		}
		if ticks(stat, 13, 15) == ended {
			return sum
		}
	}
}

// watchMemory gives the largest amount of memory held while it watches.
func watchMemory() (stop func() uint64) {
	var peak atomic.Uint64
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.Sys-m.HeapReleased))
			case <-done:
				return
			}
		}
	})
	return func() uint64 { close(done); wg.Wait(); return peak.Load() }
}

// measurement is what a run took.
type measurement struct {
	took, own, database, idle time.Duration
	peak                      uint64
	datasets                  int64
}

func (m measurement) String() string {
	each := func(d time.Duration) time.Duration { return (d / time.Duration(m.datasets)).Round(time.Microsecond) }
	return fmt.Sprintf("%d datasets in %v, %.0f/s; processor time of each: %v own, %v database; %.2f cores idle; %.0f MiB",
		m.datasets, m.took.Round(time.Millisecond), float64(m.datasets)/m.took.Seconds(), each(m.own), each(m.database),
		m.idle.Seconds()/m.took.Seconds(), float64(m.peak)/(1<<20))
}

// measure runs once and gives what it took.
func measure(b *testing.B, o sqltoarc.Options) (*sqltoarc.Report, measurement) {
	b.Helper()
	parent := postmaster(b, o.ConnectionString)
	runtime.GC()
	began, own, database, unused, stop := time.Now(), cpu(), processesCPU(parent), idle(), watchMemory()
	report, err := sqltoarc.Run(b.Context(), o)
	m := measurement{took: time.Since(began), peak: stop(), own: cpu() - own, database: processesCPU(parent) - database, idle: idle() - unused}
	if err != nil {
		b.Fatal(err)
	}
	if report.Counts.Failed > 0 {
		b.Fatalf("%d datasets failed", report.Counts.Failed)
	}
	m.datasets = report.Counts.Found
	return report, m
}

// convert builds every ARC on so many cores.
func convert(b *testing.B, o sqltoarc.Options, cores int) measurement {
	b.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	o.Builds = cores
	_, m := measure(b, o)
	b.Logf("cores %d: %v", cores, m)
	b.ReportMetric(float64(m.datasets)/m.took.Seconds(), fmt.Sprintf("ARCs/s-%d", cores))
	b.ReportMetric(float64(m.peak)/(1<<20), fmt.Sprintf("MiB-%d", cores))
	return m
}

// BenchmarkCores builds every ARC with one core and with two, side by side, and
// reports the ratio. The database works on the same cores.
func BenchmarkCores(b *testing.B) {
	connection := postgres(b)
	if err := datagen.Load(b.Context(), connection, datagen.Benchmark(benchmarkSize(b)), datagen.Options{}); err != nil {
		b.Fatal(err)
	}
	o := sqltoarc.Options{ConnectionString: connection, Schema: source.SchemaViews, RDI: "demo", DryRun: true}
	for b.Loop() {
		one, two := convert(b, o, 1), convert(b, o, 2)
		b.ReportMetric(one.took.Seconds()/two.took.Seconds(), "ratio")
		b.ReportMetric(1-two.idle.Seconds()/two.took.Seconds()/2, "busy-2")
	}
}
