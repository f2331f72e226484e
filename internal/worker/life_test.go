package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/e2e/load"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// The watchdog gets its beat three times per interval while requests are
// answered, and none any more when the handlers hang; the log says why.
func TestWatchdogBeatsFromTheRequestPath(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	stall := filepath.Join(t.TempDir(), "stall")
	const interval = 600 * time.Millisecond
	began := time.Now()
	p := m.start(childOptions{StallFile: stall}, withWatchdog(interval)).ready()
	p.until("five beats", func() bool { return p.count("WATCHDOG=1") >= 5 })
	if took := time.Since(began); took < 4*interval/3 {
		t.Errorf("five beats within %s", took)
	}
	if err := os.WriteFile(stall, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.until("complaint", func() bool { return strings.Contains(p.logText(), "health check failed") })
	beats := p.count("WATCHDOG=1")
	p.until("third complaint", func() bool { return strings.Count(p.logText(), "health check failed") >= 3 })
	if n := p.count("WATCHDOG=1"); n != beats {
		t.Errorf("%d more beats from a worker that hangs", n-beats)
	}
	// What the service manager does next.
	p.signal(syscall.SIGABRT)
	p.wait()
	if text := p.logText(); !strings.Contains(text, "childHandler") || !strings.Contains(text, "chan receive") {
		t.Error("the stack dump does not show where it hangs")
	}
}

// A worker is well that refuses requests, for overload or for want of a database; not one
// of which the handlers fail or panic.
func TestWhatIsWell(t *testing.T) {
	t.Parallel()
	for status, well := range map[int]bool{
		http.StatusOK: true, http.StatusNotFound: true, http.StatusTooManyRequests: true, http.StatusServiceUnavailable: true,
		http.StatusInternalServerError: false, http.StatusBadGateway: false, 0: false, // a panic
	} {
		p := probe{path: "/v3/liveness", traffic: newTraffic(time.Minute, func(uint64) {}), stuck: time.Minute}
		p.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !IsProbe(r.Context()) || r.URL.Path != p.path {
				t.Errorf("asked for %s", r.URL)
			}
			if status == 0 {
				panic("broken")
			}
			w.WriteHeader(status)
		})
		if err := p.check(t.Context(), patience); (err == nil) != well {
			t.Errorf("%d: %v, want well: %t", status, err, well)
		}
	}
}

// A single request that makes no progress stops the beat as well.
func TestStuckRequestStopsTheBeat(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	p := m.start(childOptions{StuckLimit: 300 * time.Millisecond}, withWatchdog(300*time.Millisecond)).ready()
	p.until("beat", func() bool { return p.count("WATCHDOG=1") > 0 })
	request(t, m.address, "GET /slow?for=1h")
	p.until("complaint", func() bool { return strings.Contains(p.logText(), "made no progress") })
}

// A worker goes by itself after max_requests, having answered each of them,
// and its status line tells how many.
func TestRecyclingByRequests(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	p := m.start(childOptions{Recycling: Recycling{MaxRequests: 50, RequestJitter: 10}}).ready()
	loaded := make(chan []load.Report)
	go func() {
		loaded <- load.Run(t.Context(), load.Clients{
			Network: "tcp", Address: m.address, Count: 2, KeepAlive: true, Limit: 70,
			Next: func(int) load.Request { return load.Get("/fast") },
		})
	}()
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	m.start(childOptions{}).ready() // the requests that are left wait for it
	if report := (<-loaded)[0]; report.Failed > 0 || report.Total != 70 {
		t.Error(report)
	}
	if p.count("STATUS=draining: ") == 0 || !strings.Contains(p.logText(), "recycling: ") {
		t.Errorf("notes %q", p.allNotes())
	}
}

// Age ends a worker as well. A worker that is busy enough to reach another
// limit at once stays for the minimum uptime nevertheless.
func TestRecyclingByAge(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	old := m.start(childOptions{Recycling: Recycling{MaxAge: 100 * time.Millisecond, AgeJitter: 0.1, MinUptime: time.Hour}}).ready()
	if status := old.wait(); status != 0 || !strings.Contains(old.logText(), "recycling: age of") {
		t.Errorf("exit status %d, want 0 because of age", status)
	}
	began := time.Now()
	busy := m.startAs("1", childOptions{Recycling: Recycling{MaxRequests: 1, MinUptime: time.Second}}).ready()
	_, r := request(t, m.address, "GET /fast")
	drainBody(t, answerTo(t, r))
	if status := busy.wait(); status != 0 || !strings.Contains(busy.logText(), "recycling: 1 requests") {
		t.Errorf("exit status %d, want 0 because of requests", status)
	}
	if lived := time.Since(began); lived < time.Second {
		t.Errorf("lived %s, less than the minimum uptime", lived)
	}
}

// Whatever limit is reached at once, but for age, nobody goes before the minimum uptime.
func TestTheMinimumUptimeIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limits Recycling
		kind   StopReason
		uptime time.Duration
	}{
		{Recycling{MaxRequests: 1, MinUptime: time.Minute}, StopRequests, time.Minute},
		{Recycling{MaxMemory: 1, MinUptime: time.Minute}, StopMemory, time.Minute},
		{Recycling{MaxMemory: 1, MinUptime: time.Second}, StopMemory, memoryPeriod},
		{Recycling{MaxAge: time.Second, MinUptime: time.Minute}, StopAge, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			r := newRecycler(tt.limits, turns{}, began)
			r.served(1)
			reason, _ := r.wait(t.Context())
			if uptime := time.Since(began); reason == nil || reason.kind != tt.kind || uptime != tt.uptime {
				t.Errorf("%v after %s, want %s after %s", reason, uptime, tt.kind, tt.uptime)
			}
		})
	}
}

// Workers that were started together, and get the same requests, do not want to go
// together: their limits differ, by no more than was configured.
func TestLimitsDiffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const age, requests, jitter = time.Hour, 1000, 100
		ages, counts := map[time.Duration]bool{}, map[uint64]bool{}
		for range 20 {
			began := time.Now()
			r := newRecycler(Recycling{MaxAge: age, AgeJitter: 0.1, MaxRequests: requests, RequestJitter: jitter}, turns{}, began)
			_, _ = r.wait(t.Context())
			lived := time.Since(began)
			if lived < age*9/10 || lived > age*11/10 || r.requests < requests || r.requests > requests+jitter {
				t.Errorf("age %s, %d requests", lived, r.requests)
			}
			ages[lived], counts[r.requests] = true, true
		}
		if len(ages) == 1 || len(counts) == 1 {
			t.Errorf("20 workers have %d limits of age and %d of requests", len(ages), len(counts))
		}
	})
}

// Why workers ended is counted by reason and survives them; one that was killed
// counts nothing, and a directory that is not there neither.
func TestStopsAreCountedByReason(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	for range 2 {
		m.startAs("1", childOptions{Recycling: Recycling{MaxAge: 50 * time.Millisecond}}).ready().wait()
	}
	told := m.startAs("1", childOptions{}).ready()
	told.signal(syscall.SIGTERM)
	told.wait()
	killed := m.startAs("1", childOptions{}).ready()
	killed.signal(syscall.SIGKILL)
	killed.wait()
	served := m.startAs("1", childOptions{Recycling: Recycling{MaxRequests: 1}}).ready()
	_, r := request(t, m.address, "GET /fast")
	drainBody(t, answerTo(t, r))
	served.wait()
	want := map[string]int64{"age": 2, "signal": 1, "requests": 1, "memory": 0, "failure": 0}
	if got := Stops(m.runtime, filepath.Join(m.runtime, "absent")); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// The measure of memory is the resident set, and a limit below it counts only
// A signal that has ended the context of who runs a worker counts as one; an end that nobody asked for does not.
func TestASignalMayComeAsTheEndOfTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	w := newWorker(ctx, Options{Logger: slog.New(slog.DiscardHandler)}.withDefaults())
	asked := errors.New("terminated")
	if got := w.reasonOf(asked); got != StopFailure {
		t.Errorf("before: %s", got)
	}
	cancel(asked)
	if got := w.reasonOf(fmt.Errorf("end: %w", asked)); got != StopSignal {
		t.Errorf("asked for: %s", got)
	}
	if got := w.reasonOf(errors.New("broken")); got != StopFailure {
		t.Errorf("something else: %s", got)
	}
}

// if giving memory back does not help.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	if size := tooLarge(1); size < 1<<20 {
		t.Errorf("resident size of a Go program is %d bytes", size)
	}
	if size := tooLarge(1 << 40); size != 0 {
		t.Errorf("%d bytes are above 1 TiB", size)
	}
}

// Workers that all want to recycle go one by one: the next one leaves only
// when a worker of the same name has returned.
func TestRecyclingTakesTurns(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	options := childOptions{KeepAlive: 500 * time.Millisecond, Recycling: Recycling{MaxAge: 300 * time.Millisecond}}
	fleet := map[string]*process{}
	for _, name := range []string{"1", "2", "3"} {
		fleet[name] = m.startAs(name, options).ready()
	}
	ctx, cancel := context.WithCancel(t.Context())
	loaded := make(chan []load.Report)
	go func() {
		loaded <- load.Run(ctx, load.Clients{
			Network: "tcp", Address: m.address, Count: 8, KeepAlive: true, Think: 5 * time.Millisecond,
			Next: func(int) load.Request { return load.Get("/fast") },
		})
	}()
	for range 8 {
		name := firstToLeave(t, fleet)
		fleet[name].wait()
		// While it is away the others want to go and must not.
		away := time.NewTimer(600 * time.Millisecond)
		<-away.C
		for other, p := range fleet {
			if other != name && p.count("STOPPING=1") > 0 {
				t.Errorf("worker %s left while worker %s was away", other, name)
			}
		}
		fleet[name] = m.startAs(name, options).ready()
	}
	cancel()
	if report := (<-loaded)[0]; report.Failed > 0 || report.Total == 0 {
		t.Error(report)
	}
}

func firstToLeave(tb testing.TB, fleet map[string]*process) string {
	tb.Helper()
	left := make(chan string, len(fleet))
	done := make(chan struct{})
	defer close(done)
	for name, p := range fleet {
		go func() {
			select {
			case <-p.exited:
				left <- name
			case <-done:
			}
		}()
	}
	select {
	case name := <-left:
		return name
	case <-time.After(patience):
		tb.Fatal("no worker recycled")
		return ""
	}
}

// Turns are exclusive whatever the workers do: of any sequence of taking,
// leaving and returning, at most one worker is away, until the absence has
// lasted too long.
func TestTurnsAreExclusive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "turns")
		if err != nil {
			rt.Fatal(err)
		}
		away := ""
		var held func()
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			name := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(rt, "worker")
			turn := newTurns(dir, name)
			switch rapid.SampledFrom([]string{"take", "exit", "back"}).Draw(rt, "what") {
			case "take":
				release, err := turn.take(time.Now())
				if err != nil {
					rt.Fatal(err)
				}
				allowed := held == nil && (away == "" || away == name)
				if (release != nil) != allowed {
					rt.Fatalf("worker %s got the turn: %t; away is %q, held %t", name, release != nil, away, held != nil)
				}
				if release != nil {
					away, held = name, release
				}
			case "exit":
				if held != nil {
					held()
					held = nil
				}
			case "back":
				if turn.back() && away == name && held == nil {
					away = ""
				}
			}
		}
		if held != nil {
			held()
		}
		// Nor is one for ever that began in the future, as after the clock was set back.
		for _, later := range []time.Duration{2 * absence, -2 * absence} {
			if release, err := newTurns(dir, later.String()).take(time.Now().Add(later)); err != nil || release == nil {
				rt.Fatalf("an absence lasts for ever, %s later: %v", later, err)
			} else {
				release()
			}
		}
	})
}

// Whoever holds the lock, as a rolling restart does, keeps the workers in.
func TestForeignLockKeepsWorkersIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	turn := newTurns(dir, "1")
	release, err := turn.take(time.Now())
	if err != nil || release == nil {
		t.Fatal("no turn:", err)
	}
	release()
	f, err := os.Open(filepath.Join(dir, "recycle")) // for reading only
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if release, err := turn.take(time.Now()); err != nil || release != nil {
		t.Errorf("took the turn in spite of the lock: %v", err)
	}
	if turn.back() {
		t.Error("returned in spite of the lock")
	}
}

// A worker that recycles itself keeps its turn while it drains: a rolling restart that
// begins meanwhile waits for it.
func TestTheTurnIsKeptToTheEnd(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	p := m.start(childOptions{DrainLimit: time.Hour, Recycling: Recycling{MaxRequests: 1}}).ready()
	request(t, m.address, "GET /slow?for=1h")
	_, r := request(t, m.address, "GET /fast")
	drainBody(t, answerTo(t, r))
	p.until("the drain", func() bool { return p.count("STATUS=draining: ") > 0 })
	f, err := os.Open(filepath.Join(m.runtime, "recycle"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		t.Error("the turn is free while the worker drains")
	}
}

// A worker killed while it drains hands its turn to nobody but its successor,
// and the lock does not outlive it.
func TestKilledWhileAway(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	options := childOptions{Recycling: Recycling{MaxAge: 200 * time.Millisecond}}
	p := m.startAs("1", options).ready()
	conn, err := net.Dial("tcp", m.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /slow?for=1h HTTP/1.1\r\nHost: test\r\n\r\n")
	p.until("STOPPING=1", func() bool { return p.count("STOPPING=1") > 0 })
	p.signal(syscall.SIGKILL)
	p.wait()
	if release, err := newTurns(m.runtime, "2").take(time.Now()); err != nil || release != nil {
		t.Errorf("worker 2 may leave while worker 1 is away: %v", err)
	}
	m.startAs("1", childOptions{}).ready()
	deadline := time.Now().Add(patience)
	for {
		release, err := newTurns(m.runtime, "2").take(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if release != nil {
			release()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("worker 2 may not leave although worker 1 is back")
		}
	}
	if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
		t.Error("a killed worker answered")
	}
}

// Once it serves, a worker gives back the memory that only its start has needed.
func TestAWorkerReleasesItsStart(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(newManager(t).start(childOptions{}).ready().cmd.Process.Pid)
	before := testenv.FileResident(t, pid)
	testenv.Await(t, "less of the program to be resident", func() bool { return testenv.FileResident(t, pid) < before*3/4 })
}
