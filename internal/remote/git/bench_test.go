package git_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
)

// yard is a git server in a process of its own with repositories that hold so
// many files each.
type yard struct {
	url, root string
	files     int
	remote    *git.Remote
	states    map[string][]byte
	mu        sync.Mutex
	serial    atomic.Int64
}

func newYard(tb testing.TB, arcs, files int) *yard {
	tb.Helper()
	y := &yard{files: files, states: map[string][]byte{}}
	y.url, y.root = gitlabtest.NewApart(tb)
	y.remote = open(tb, git.Options{URL: y.url, Group: group, Concurrency: 8}, nil)
	for n := range arcs {
		arc := fmt.Sprintf("%064x", n)
		if err := gitlabtest.InitBare(filepath.Join(y.root, group, arc+".git")); err != nil {
			tb.Fatal(err)
		}
		y.ours(tb, arc)
	}
	return y
}

// content gives the files of an ARC, one of which is new each time.
func (y *yard) content() []remote.File {
	n := y.serial.Add(1)
	list := []remote.File{{Path: "isa.investigation.xlsx", Content: text(strings.Repeat(fmt.Sprint("version ", n, "\n"), 300))}}
	for i := range y.files - 1 {
		list = append(list, remote.File{Path: fmt.Sprintf("studies/s%04d/isa.study.xlsx", i), Content: text(fmt.Sprint("study ", i))})
	}
	return list
}

// ours pushes the next version as the synchroniser does.
func (y *yard) ours(tb testing.TB, arc string) {
	tb.Helper()
	y.mu.Lock()
	state := y.states[arc]
	y.mu.Unlock()
	res, err := y.remote.Push(tb.Context(), &remote.Push{ARC: arc, Files: y.content(), When: time.Now(), Recorded: state})
	if err != nil {
		tb.Error(err)
		return
	}
	y.mu.Lock()
	y.states[arc] = res.State
	y.mu.Unlock()
}

// theOldWay pushes the next version with git processes: clone, empty, write, add, commit, push.
func (y *yard) theOldWay(tb testing.TB, arc string) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "old-")
	if err != nil {
		tb.Error(err)
		return
	}
	defer os.RemoveAll(dir)
	step := func(args ...string) {
		cmd := exec.CommandContext(tb.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Errorf("git %v: %v: %s", args, err, out)
		}
	}
	step("clone", "--quiet", "--branch=main", "--", y.url+"/"+group+"/"+arc+".git", ".")
	step("config", "user.name", "Middleware API")
	step("config", "user.email", "middleware@fairagro.net")
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != ".git" {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	for _, f := range y.content() {
		path := filepath.Join(dir, f.Path)
		_ = os.MkdirAll(filepath.Dir(path), 0o755)
		_ = os.WriteFile(path, []byte(f.Content.(text)), 0o600)
	}
	step("add", "-A")
	step("commit", "--quiet", "-m", "Update ARC "+arc)
	step("push", "--quiet", "--porcelain", "--", "origin", "main")
}

// cpu gives the processor time of this process and of those that it waited for;
// the server is none of them.
func cpu() time.Duration {
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return total
}

type cost struct{ cpu, wall time.Duration }

// measure runs push so often, with so many at a time, and gives what one costs.
func measure(times, concurrent int, push func(n int)) cost {
	began, used := time.Now(), cpu()
	var wg sync.WaitGroup
	for w := range concurrent {
		wg.Go(func() {
			for n := w; n < times; n += concurrent {
				push(w)
			}
		})
	}
	wg.Wait()
	return cost{(cpu() - used) / time.Duration(times), time.Since(began) / time.Duration(times)}
}

// BenchmarkUpdate compares an update of one file with the way by git processes,
// over smart HTTP on loopback, side by side in one run.
func BenchmarkUpdate(b *testing.B) {
	for _, c := range []struct{ files, concurrent int }{{6, 1}, {6, 8}, {1000, 1}} {
		b.Run(fmt.Sprintf("files=%d/concurrent=%d", c.files, c.concurrent), func(b *testing.B) {
			y := newYard(b, c.concurrent, c.files)
			arc := func(n int) string { return fmt.Sprintf("%064x", n) }
			const rounds = 24
			var ours, old cost
			for b.Loop() {
				ours = measure(rounds*4, c.concurrent, func(n int) { y.ours(b, arc(n)) })
				old = measure(rounds, c.concurrent, func(n int) { y.theOldWay(b, arc(n)) })
				// Their commits are not ours: look once, outside of the measurement.
				for n := range c.concurrent {
					y.ours(b, arc(n))
				}
			}
			b.ReportMetric(float64(ours.cpu.Microseconds())/1000, "ours-cpu-ms")
			b.ReportMetric(float64(old.cpu.Microseconds())/1000, "old-cpu-ms")
			b.ReportMetric(float64(old.cpu)/float64(ours.cpu), "cpu-ratio")
			b.ReportMetric(float64(time.Second)/float64(ours.wall), "ours/s")
			b.ReportMetric(float64(time.Second)/float64(old.wall), "old/s")
			b.ReportMetric(float64(old.wall)/float64(ours.wall), "rate-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}
