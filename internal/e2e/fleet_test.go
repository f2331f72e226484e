package e2e

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// No request fails, whatever is done to the fleet: keep-alive and not, fast
// and slow, uploads in flight.
func TestNoRequestFails(t *testing.T) {
	sizes := []int{3}
	if long() {
		sizes = []int{1, 3, 9}
		if shipped := 2*runtime.NumCPU() + 1; !slices.Contains(sizes, shipped) {
			sizes = append(sizes, shipped)
		}
	}
	b := prepare(t)
	for _, n := range sizes {
		t.Run(fmt.Sprintf("%d workers", n), func(t *testing.T) { everyScenario(t, b, n) })
	}
	b.as(t)
}

// everyScenario is all that may happen to n workers.
func everyScenario(t *testing.T, b *box, n int) {
	t.Helper()
	b.as(t)
	scenario := func(name string, rounds int, action func(round int)) {
		t.Run(name, func(t *testing.T) { b.as(t).during(name, rounds, action) })
		b.as(t)
	}
	resize := func(n int) {
		b.fleet(n)
		b.sh("systemctl reload middleware-api")
		b.untilWorkers(n)
	}
	resize(n)
	scenario("reload", 2, func(int) { b.sh("systemctl reload middleware-api") })
	scenario("restart", 3, func(int) {
		b.sh("systemctl restart middleware-api")
		b.untilWorkers(n)
	})
	scenario("daemon-reload", 3, func(round int) {
		b.sh([]string{"systemctl daemon-reload", "systemctl daemon-reexec"}[round%2])
	})
	scenario("growth and shrinkage", 3, func(round int) { resize(n + []int{2, 0, 1}[round%3]) })
	resize(n)
	scenario("upgrade and downgrade", 2, func(round int) {
		version := []string{secondVersion, firstVersion}[round%2]
		b.apt("install", "--allow-downgrades", b.deb(version))
		b.allRun(version)
	})
	if n > 1 { // a single worker has nobody to go on while it is broken
		scenario("upgrade to a version that does not start", 1, func(int) {
			out := b.apt("install", b.deb(brokenVersion))
			if !strings.Contains(out, "the upgrade is not complete") {
				b.tb.Errorf("apt does not say that the upgrade is not complete:\n%s", out)
			}
			if left := len(b.workers()); left != n-1 {
				b.tb.Errorf("%d workers are left, want those after the first", left)
			}
			b.apt("install", "--allow-downgrades", b.deb(secondVersion))
			b.untilWorkers(n)
			b.allRun(secondVersion)
		})
	}
	b.configure("worker: {max_age: 3s}")
	scenario("recycling", 3+n, func(int) {
		b.untilRecycled()
	})
	b.oneAtATime(n)
	b.configure()
}

// as gives the same box, reporting to another test.
func (b *box) as(tb testing.TB) *box {
	tb.Helper()
	b.tb = tb
	return b
}

// allRun fails unless every worker runs the installed program of a version.
func (b *box) allRun(version string) {
	b.tb.Helper()
	if out := b.sh("middleware-api version"); !strings.Contains(out, version) {
		b.tb.Errorf("installed is %s, want %s", out, version)
	}
	for _, pid := range b.workers() {
		if exe := b.sh("readlink /proc/" + pid + "/exe"); exe != "/usr/lib/middleware-api/middleware-api" {
			b.tb.Errorf("worker %s runs %s", pid, exe)
		}
	}
}

// oneAtATime lets n workers recycle themselves and checks in the journal that
// none did while another one was away.
func (b *box) oneAtATime(n int) {
	b.tb.Helper()
	// Without load: a journal that is behind no longer knows the units of
	// processes that have ended.
	mark := b.mark()
	for range 2 * n {
		b.untilRecycled()
	}
	out := b.sh(since(mark) + `-o json --output-fields=_SYSTEMD_UNIT,MESSAGE -t middleware-api -g '^worker (ready|stopping)' |
		sed -E 's/.*"_SYSTEMD_UNIT":"([^"]*)".*/\1 &/; s/^([^ ]*) .*(recycling|worker ready).*/\1 \2/'`)
	away := ""
	recycled := 0
	for line := range strings.SplitSeq(out, "\n") {
		unit, what, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(unit, "middleware-api@") {
			continue
		}
		switch what {
		case "recycling":
			recycled++
			if away != "" && away != unit {
				b.tb.Errorf("%s recycled itself while %s was away:\n%s", unit, away, out)
			}
			away = unit
		case "worker ready":
			if away == unit {
				away = ""
			}
		}
	}
	if recycled < n {
		b.tb.Errorf("only %d workers recycled themselves:\n%s", recycled, out)
	}
}

// untilRecycled waits for any of the workers to end.
func (b *box) untilRecycled() {
	b.tb.Helper()
	pids := b.workers()
	for limit := time.Now().Add(waitLimit); len(pids) == 0; pids = b.workers() { // a lone one is away just now
		if time.Now().After(limit) {
			b.tb.Fatalf("no worker within %s", waitLimit)
		}
	}
	b.until("a worker is recycled", "! kill -0 "+strings.Join(pids, " 2>/dev/null || ! kill -0 ")+" 2>/dev/null")
}

// A worker killed by SIGKILL takes no more than the requests it had with it.
func TestCrashLosesOnlyItsOwnRequests(t *testing.T) {
	b := prepare(t)
	b.fleet(3)
	b.sh("systemctl reload middleware-api")
	b.untilWorkers(3)
	kinds := everybody()
	clients := 0
	for _, k := range kinds {
		clients += k.Count
	}
	r := b.load(kinds...)
	kills := 0
	began := r.seen()
	for kills < 4 || r.total-began < enough() {
		victim := b.workers()[kills%2]
		// All connections of this process; a request may be in flight on each.
		b.sh("kill -9 " + victim)
		kills++
		b.untilWorkers(3)
		r.seen()
	}
	var failed, total int64
	for _, report := range r.stop() {
		failed += report.Failed
		total += report.Total
		for text := range report.Errors {
			if strings.Contains(text, "connect: ") || strings.Contains(text, "dial") || strings.Contains(text, "answered") {
				t.Errorf("a crash was seen as %q: %s", text, report)
			}
		}
	}
	if failed > int64(kills*clients) {
		t.Errorf("%d of %d requests failed for %d kills with %d clients", failed, total, kills, clients)
	}
	t.Logf("%d of %d requests failed for %d kills with %d clients", failed, total, kills, clients)
}

// A worker that hangs is killed by the watchdog, leaves its stacks in the
// journal and is replaced, while the others serve.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.fleet(3)
	b.write("/etc/systemd/system/middleware-api@.service.d/watchdog.conf", []byte("[Service]\nWatchdogSec=2s\n"), 0o644)
	b.sh("systemctl reload middleware-api")
	b.untilWorkers(3)
	// Connections that the stopped worker holds already must fail; new ones not.
	r := b.load(loadKind{newConn, 4, 0})
	r.seen()
	victim := b.workers()[0]
	b.sh("kill -STOP " + victim)
	b.until("the end of the worker", "! kill -0 "+victim)
	b.untilWorkers(3)
	report := r.stop()[0]
	// Connections accepted before the stop are the worker's own.
	if report.Failed > 4 || report.Total < 100 {
		t.Error(report)
	}
	b.until("stacks in the journal", "journalctl --no-pager -t middleware-api _PID="+victim+" | grep -q 'goroutine .*running\\|SIGABRT'")
	b.until("a word of the watchdog", "journalctl --no-pager -u 'middleware-api@*' | grep -q 'Watchdog timeout'")
}

// A cold start answers before a person notices, idle workers are small, and
// STATUS= tells what a worker has done.
func TestStartAndSize(t *testing.T) {
	b := prepare(t)
	b.fleet(9)
	b.sh("systemctl reload middleware-api")
	b.untilWorkers(9)
	// Each of them idle, and below 20 MB resident.
	sizes := strings.Fields(b.until("small workers", `for pid in `+strings.Join(b.workers(), " ")+`; do
		awk '/^VmRSS/ { print $2; if ($2 > 20000) exit 1 }' /proc/$pid/status || exit 1; done`))
	b.until("status line", `systemctl show -p StatusText middleware-api@1.service | grep -Eq 'serving: [0-9]+ requests served, [0-9]+ in flight, up '`)
	b.fleet(5)
	best := time.Hour
	for range 5 {
		b.sh("systemctl stop middleware-api.socket middleware-api.service && systemctl start middleware-api.socket")
		text := b.sh(`curl -sS -o /dev/null --max-time 20 -w '%{time_total}' http://127.0.0.1:8000/v3/liveness`)
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Duration(seconds*float64(time.Second)))
	}
	t.Logf("idle workers, KiB resident: %v; cold start to first answer: %s at best", sizes, best)
	// Otherwise other tests have the machine as well.
	if limit := 150 * time.Millisecond; long() && best > limit {
		t.Errorf("from socket activation to the first answer: %s, want %s", best, limit)
	}
}
