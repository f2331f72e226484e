package torture

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/pgtest"
)

// long says whether trials run at full length.
func long() bool { return os.Getenv("TORTURE_ACKS") != "" }

// number reads a number from the environment.
func number(name string, otherwise int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return v
	}
	return otherwise
}

// duration reads a duration from the environment.
func duration(name string, otherwise time.Duration) time.Duration {
	if v, err := time.ParseDuration(os.Getenv(name)); err == nil {
		return v
	}
	return otherwise
}

// seed makes a failing run repeatable as far as the machine allows.
var seed = func() uint64 {
	if v, err := strconv.ParseUint(os.Getenv("TORTURE_SEED"), 10, 64); err == nil {
		return v
	}
	return uint64(time.Now().UnixNano())
}()

// world is everything that can be broken.
type world struct {
	tb       testing.TB
	cluster  *pgtest.Cluster
	dsn      string // past the proxy
	fleet    *fleet
	git      *unit
	wires    map[string]*proxy // database, git, front
	disks    map[string]string // database, git: mount points; empty if we may not mount
	programs []string

	mu     sync.Mutex
	counts map[string]int
}

// newWorld starts it all: PostgreSQL and git server each behind a proxy and, if
// we may, on a small file system of its own.
func newWorld(tb testing.TB, size string) *world {
	tb.Helper()
	w := &world{tb: tb, counts: map[string]int{}, wires: map[string]*proxy{}, disks: map[string]string{}}
	w.programs = []string{shipped.program(tb), upgraded.program(tb)}
	database, repositories := tb.TempDir(), tb.TempDir()
	if os.Geteuid() == 0 {
		database = w.mount("database", size)
		repositories = w.mount("git", size)
	} else {
		tb.Log("not root: disks are not filled")
	}
	w.cluster = pgtest.Start(tb, pgtest.Options{Dir: database, Settings: []string{"max_wal_size=64MB", "min_wal_size=32MB"}})
	w.dsn = w.cluster.DSN()
	w.wires["database"] = startProxy(tb, "unix", w.cluster.Socket())
	fields := strings.Fields(w.dsn)
	dsn := fmt.Sprintf("host=127.0.0.1 port=%d sslmode=disable user=postgres %s", w.wires["database"].port(), fields[len(fields)-1])
	server, address := startGit(tb, repositories)
	w.git = server
	w.wires["git"] = startProxy(tb, "tcp", address)
	config := writeConfig(tb, dsn, "http://"+w.wires["git"].address(), "worker: {graceful_timeout: 10s}")
	w.fleet = startFleet(tb, fleetOptions{build: shipped, config: config, workers: 3, syncs: 2})
	w.wires["front"] = startProxy(tb, "tcp", w.fleet.address)
	w.disks["repositories"] = filepath.Join(repositories, "r")
	return w
}

// mount makes a file system in memory, which can be filled.
func (w *world) mount(name, size string) string {
	w.tb.Helper()
	dir, err := os.MkdirTemp("", "torture-"+name+"-")
	if err != nil {
		w.tb.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=1777,nr_inodes=0,size="+size); err != nil {
		w.tb.Logf("no file system of our own for %s (%v): it is not filled", name, err)
	} else {
		w.disks[name] = dir
	}
	w.tb.Cleanup(func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		_ = os.RemoveAll(dir)
	})
	return dir
}

// fault does something bad and gives how long it lasts and what ends it.
type fault func(w *world, r *rand.Rand) (time.Duration, func())

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// mostly draws from low to most, in the short form from the lowest tenth.
func mostly(r *rand.Rand, low, most time.Duration) time.Duration {
	if !long() {
		most = low + (most-low)/10
	}
	return between(r, low, most)
}

func nothing() {}

func one(units []*unit, r *rand.Rand) *unit { return units[r.IntN(len(units))] }

// processes is the deck of faults that concern processes, disks and upgrades.
func processes() map[string]fault {
	killWorker := func(w *world, r *rand.Rand) (time.Duration, func()) {
		one(w.fleet.workers, r).signal(syscall.SIGKILL)
		return 0, nothing
	}
	killSync := func(w *world, r *rand.Rand) (time.Duration, func()) {
		one(w.fleet.syncs, r).signal(syscall.SIGKILL)
		return 0, nothing
	}
	return map[string]fault{
		"worker killed": killWorker, "worker killed again": killWorker, "another worker killed": killWorker,
		"synchroniser killed": killSync, "synchroniser killed again": killSync,
		"every process killed": func(w *world, _ *rand.Rand) (time.Duration, func()) {
			for _, u := range w.fleet.units() {
				u.signal(syscall.SIGKILL)
			}
			return 0, nothing
		},
		"worker recycled": func(w *world, r *rand.Rand) (time.Duration, func()) {
			one(w.fleet.workers, r).signal(syscall.SIGTERM)
			return 0, nothing
		},
		"synchroniser ended": func(w *world, r *rand.Rand) (time.Duration, func()) {
			one(w.fleet.syncs, r).signal(syscall.SIGTERM)
			return 0, nothing
		},
		"PostgreSQL killed": func(w *world, r *rand.Rand) (time.Duration, func()) {
			w.cluster.Kill()
			return mostly(r, 100*time.Millisecond, 2*time.Second), w.cluster.Restart
		},
		"PostgreSQL restarted": func(w *world, _ *rand.Rand) (time.Duration, func()) {
			w.cluster.Stop()
			return 0, w.cluster.Restart
		},
		"PostgreSQL session killed": func(w *world, _ *rand.Rand) (time.Duration, func()) {
			w.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'middleware-api%'`)
			return 0, nothing
		},
		"git server killed": func(w *world, _ *rand.Rand) (time.Duration, func()) {
			w.git.signal(syscall.SIGKILL)
			return 0, nothing
		},
		"database disk full": func(w *world, r *rand.Rand) (time.Duration, func()) {
			free := w.fill("database")
			return mostly(r, 700*time.Millisecond, 4*time.Second), func() {
				free()
				if !w.cluster.Running() {
					w.cluster.Restart()
				}
			}
		},
		"git disk full": func(w *world, r *rand.Rand) (time.Duration, func()) {
			return mostly(r, 700*time.Millisecond, 4*time.Second), w.fill("git")
		},
		"upgrade": func(w *world, _ *rand.Rand) (time.Duration, func()) {
			w.mu.Lock()
			program := w.programs[(w.counts["upgrade"]+1)%2]
			w.mu.Unlock()
			w.fleet.install(program)
			for _, u := range w.fleet.units() {
				u.signal(syscall.SIGTERM)
			}
			return 0, nothing
		},
	}
}

// surroundings is the deck of faults of networks, clocks and schedulers.
func surroundings() map[string]fault {
	deck := map[string]fault{
		"clock ahead":      clock("1 hour"),
		"clock behind":     clock("-3 seconds"),
		"worker frozen":    freeze(func(w *world, r *rand.Rand) *unit { return one(w.fleet.workers, r) }),
		"git frozen":       freeze(func(w *world, _ *rand.Rand) *unit { return w.git }),
		"one sync frozen":  freeze(func(w *world, r *rand.Rand) *unit { return one(w.fleet.syncs, r) }),
		"sync frozen":      freeze(func(w *world, _ *rand.Rand) *unit { return w.fleet.syncs[0] }),
		"other frozen":     freeze(func(w *world, _ *rand.Rand) *unit { return w.fleet.syncs[1] }),
		"any worker stops": freeze(func(w *world, r *rand.Rand) *unit { return one(w.fleet.workers, r) }),
		"rows held": func(w *world, r *rand.Rand) (time.Duration, func()) {
			return mostly(r, 1500*time.Millisecond, 6*time.Second), w.hold(1 + r.IntN(20))
		},
	}
	for _, name := range []string{"database", "git", "front"} {
		deck[name+" connections cut"] = func(w *world, _ *rand.Rand) (time.Duration, func()) {
			w.wires[name].cut()
			return 0, nothing
		}
		for state, what := range map[wire]string{deaf: "hangs", closed: "refuses", slow: "slow"} {
			deck[name+" "+what] = func(w *world, r *rand.Rand) (time.Duration, func()) {
				w.wires[name].set(state)
				return mostly(r, 200*time.Millisecond, 5*time.Second), func() { w.wires[name].set(sound) }
			}
		}
	}
	return deck
}

// freeze stops a process for longer than its leases last.
func freeze(which func(*world, *rand.Rand) *unit) fault {
	return func(w *world, r *rand.Rand) (time.Duration, func()) {
		u := which(w, r)
		u.signal(syscall.SIGSTOP)
		return mostly(r, 1100*time.Millisecond, 4*time.Second), func() { u.signal(syscall.SIGCONT) }
	}
}

// clock moves every time that leases and attempts depend on, which is what they
// see when the database's clock jumps the other way.
func clock(ahead string) fault {
	return func(w *world, _ *rand.Rand) (time.Duration, func()) {
		w.query(`UPDATE arc SET due_at = due_at - $1::interval, lease_until = lease_until - $1::interval WHERE due_at IS NOT NULL`, ahead)
		w.query(`UPDATE remote SET next_probe_at = next_probe_at - $1::interval`, ahead)
		return 0, nothing
	}
}

// query asks the database past the proxy. That it cannot be reached is no matter.
func (w *world) query(sql string, arguments ...any) {
	ctx, cancel := context.WithTimeout(w.tb.Context(), 3*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, w.dsn)
	if err != nil {
		return
	}
	defer conn.Close(context.Background())
	_, _ = conn.Exec(ctx, sql, arguments...)
}

// hold locks the rows of some ARCs until it is told to free them, as a transaction
// does that somebody has forgotten in psql.
func (w *world) hold(arcs int) (free func()) {
	conn, err := pgx.Connect(w.tb.Context(), w.dsn)
	if err != nil {
		return nothing
	}
	_, _ = conn.Exec(w.tb.Context(), `BEGIN`)
	_, _ = conn.Exec(w.tb.Context(), `SELECT FROM arc WHERE id IN (SELECT id FROM arc ORDER BY random() LIMIT $1) ORDER BY id FOR UPDATE SKIP LOCKED`, arcs)
	return func() { _ = conn.Close(context.Background()) }
}

// fill takes all space of a file system until it is told to free it.
func (w *world) fill(name string) (free func()) {
	dir := w.disks[name]
	if dir == "" {
		return nothing
	}
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		return nothing
	}
	for step := int64(64 << 20); step >= 4096; step /= 2 {
		info, _ := f.Stat()
		for at := info.Size(); unix.Fallocate(int(f.Fd()), 0, at, step) == nil; at += step {
		}
	}
	return func() {
		_ = f.Close()
		_ = os.Remove(path)
	}
}

// run goes through decks of faults until the context ends, at least once
// through all of them.
func (w *world) run(ctx context.Context, r *rand.Rand, faults map[string]fault, gap time.Duration) {
	for first := true; first || ctx.Err() == nil; first = false {
		deck := slices.Sorted(maps.Keys(faults))
		r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		for _, name := range deck {
			if !first && ctx.Err() != nil {
				return
			}
			lasts, heal := faults[name](w, r)
			pause(lasts)
			heal()
			w.mu.Lock()
			w.counts[name]++
			w.mu.Unlock()
			pause(between(r, 0, gap))
		}
	}
}

// pause lets time pass, which is what most faults consist of.
func pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

// TestNothingAcknowledgedIsLost guards the first two promises and the truth of
// the statistics: whatever fails in whatever order, every acknowledged ARC is
// stored and in git in its newest version, each version once and in order, and
// no lease, row or process is left over.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	acks, size := number("TORTURE_ACKS", 400), "400m"
	if long() {
		size = "5g"
	}
	t.Logf("TORTURE_SEED=%d TORTURE_ACKS=%d", seed, acks)
	w := newWorld(t, size)
	m := newModel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients, drivers sync.WaitGroup
	for c := range 8 {
		s := &sender{
			m: m, rdi: fmt.Sprintf("r%d", c), address: w.fleet.address,
			r: rand.New(rand.NewPCG(seed, uint64(c))), arcs: max(10, number("TORTURE_ARCS", acks/25)/8),
		}
		if c%2 == 0 {
			s.address = w.wires["front"].address()
		}
		clients.Go(func() {
			for ctx.Err() == nil {
				s.step(ctx)
			}
		})
	}
	breaking, enough := context.WithCancel(ctx)
	defer enough()
	gap := 100 * time.Millisecond
	if long() {
		gap = time.Second
	}
	drivers.Go(func() { w.run(breaking, rand.New(rand.NewPCG(seed, 98)), surroundings(), gap) })
	began := time.Now()
	limit := began.Add(duration("TORTURE_TIME", 0) + 10*time.Minute + time.Duration(acks)*50*time.Millisecond)
	drivers.Go(func() {
		defer enough()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		atLeast := began.Add(duration("TORTURE_TIME", 0))
		for next := began; (m.acknowledged() < acks || time.Now().Before(atLeast)) && time.Now().Before(limit); <-tick.C {
			if time.Now().After(next) {
				next = next.Add(time.Minute)
				t.Logf("%s: %d acknowledged", time.Since(began).Round(time.Second), m.acknowledged())
			}
		}
	})
	// PostgreSQL is started from here: its methods may fail the test.
	w.run(breaking, rand.New(rand.NewPCG(seed, 99)), processes(), gap)
	drivers.Wait()
	await(t, time.Minute, "uploads", func() bool { return m.acknowledged() >= acks })
	stop()
	clients.Wait()
	t.Logf("%d acknowledged, %d without answer or refused; faults: %v", m.acks, m.fails, w.counts)

	quiet := time.Now()
	waitIdle(t, w.dsn, 5*time.Minute+time.Duration(acks)*20*time.Millisecond)
	t.Logf("everything in git %s after the last upload", time.Since(quiet).Round(time.Millisecond))
	m.verify(t, w.dsn, w.disks["repositories"])
	w.checkVersion(t)
	w.fleet.end()
	leftovers(t, filepath.Dir(w.fleet.config))
}

// checkVersion asks the service whether the last upgrade has arrived.
func (w *world) checkVersion(tb testing.TB) {
	tb.Helper()
	want := []build{shipped, upgraded}[w.counts["upgrade"]%2].version
	s := sender{address: w.fleet.address}
	var text []byte
	await(tb, 30*time.Second, "version "+want, func() bool {
		var err error
		text, err = s.call(tb.Context(), "GET", "/v3/version", "application/json", nil)
		return err == nil && strings.Contains(string(text), want)
	})
	if w.counts["upgrade"] == 0 {
		tb.Error("nothing was upgraded")
	}
}
