package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fairagro/middleware-api/internal/pgtest"
)

// bench is one run: what is measured, what was started for it, what came out.
type bench struct {
	ctx     context.Context //nolint:containedctx // of the command, which is all there is
	dir     string
	run     string // for what lasts as long as processes, in memory as /run is
	self    string // this program
	rounds  int
	round   time.Duration
	cluster *cluster
	ours    *ours
	peer    *peer // nil when its packages are missing
	servers map[string]*server
	serials atomic.Int64
	sizes   []int // of the scenario scale
	results *results
}

// scenario is one thing that is measured.
type scenario struct {
	name, what string
	run        func(*bench) error
	alone      bool   // needs neither servers nor the durable cluster
	program    string // that has to be installed; its package is in packages
}

// packages are Debian's packages of the programs that scenarios need.
var packages = map[string]string{"wrk": "wrk", "pgbench": "postgresql-client-common postgresql-15"}

// missing says what keeps a scenario from being run here, "" if nothing.
func (s scenario) missing() string {
	if s.program == "" {
		return ""
	}
	if _, err := exec.LookPath(s.program); err != nil {
		return s.program + ": apt-get install " + packages[s.program]
	}
	return ""
}

// scenarios in the order in which they are run and reported.
func scenarios() []scenario {
	return []scenario{
		{"start", "from exec to the first answer", (*bench).start, false, ""},
		{"memory", "memory at idle", (*bench).memory, false, ""},
		{"liveness", "GET /v3/liveness, 64 clients", (*bench).liveness, false, "wrk"},
		{"wait-20ms", "a handler that waits 20 ms, many clients", waiting(20*time.Millisecond, 1000), false, "wrk"},
		{"wait-100ms", "a handler that waits 100 ms, many clients", waiting(100*time.Millisecond, 3000), false, "wrk"},
		{"ingest-0.4k", "durable ingest of crates of 0.4 KB, 64 clients", ingesting(400, 64), false, ""},
		{"ingest-1.5k", "durable ingest of crates of 1.5 KB, 64 clients", ingesting(1500, 64), false, ""},
		{"ingest-29k", "durable ingest of crates of 29 KB, 64 clients", ingesting(29<<10, 64), false, ""},
		{"ingest-1m", "durable ingest of crates of 1 MB, 8 clients", ingesting(1<<20, 8), false, ""},
		{"unchanged-29k", "resubmission of unchanged crates of 29 KB, 64 clients", (*bench).unchanged, false, ""},
		{"bulk-29k", "bulk upload (NDJSON) against single uploads of 29 KB", (*bench).bulk, false, ""},
		{"limit-postgres", "durable ingest of 29 KB against PostgreSQL alone", (*bench).limitPostgres, false, "pgbench"},
		{"limit-http", "GET /v3/liveness against plain net/http", (*bench).limitHTTP, false, "wrk"},
		{"scale", "cost of one operation in databases of growing size", (*bench).scale, true, ""},
	}
}

// order gives the place of a scenario.
func order(name string) int {
	return slices.IndexFunc(scenarios(), func(s scenario) bool { return s.name == name })
}

// options of a run.
type options struct {
	rounds int
	round  time.Duration
	out    string
	only   string
	sizes  string
}

func runCommand(ctx context.Context, args []string) error {
	o := options{}
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "count", 5, "rounds of each scenario")
	flags.DurationVar(&o.round, "round", 2*time.Second, "length of one side's turn")
	flags.StringVar(&o.out, "out", "docs/benchmarks.json", "results file; scenarios that are not run keep their rows")
	flags.StringVar(&o.only, "only", "", "scenarios to run, separated by commas (default all): "+strings.Join(scenarioNames(), ", "))
	flags.StringVar(&o.sizes, "sizes", "10000,1000000", "numbers of ARCs for the scenario scale")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(o.only)
	if err != nil {
		return err
	}
	old, err := readResults(o.out)
	if err != nil {
		return err
	}
	return measure(ctx, o, chosen, old)
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

func choose(only string) ([]scenario, error) {
	all := scenarios()
	if only == "" {
		return all, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(only, ",") {
		i := order(name)
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q, only %s", name, strings.Join(scenarioNames(), ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// measure runs scenarios and writes the results after each.
func measure(ctx context.Context, o options, chosen []scenario, r *results) (err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	run, err := os.MkdirTemp(memoryFolder(), "bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(run) }()
	b := &bench{ctx: ctx, dir: dir, run: run, rounds: o.rounds, round: o.round, servers: map[string]*server{}, results: r}
	b.serials.Store(known)
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	sizes, err := parseSizes(o.sizes)
	if err != nil {
		return err
	}
	b.sizes = sizes
	defer b.close()
	if missing := peerMissing(ctx); missing != "" {
		fmt.Fprintln(os.Stderr, "without the peer; missing:", missing)
	}
	var failures []error // a scenario that cannot be measured does not spoil the others
	for _, s := range chosen {
		if missing := s.missing(); missing != "" {
			fmt.Fprintf(os.Stderr, "%s is left out; missing: %s\n", s.name, missing)
			continue
		}
		if !s.alone {
			if err := b.prepare(); err != nil {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "%s  %-14s %s\n", time.Now().Format("15:04:05"), s.name, s.what)
		r.forget([]string{s.name})
		if err := s.run(b); err != nil {
			if ctx.Err() != nil {
				return err
			}
			fmt.Fprintln(os.Stderr, "    failed:", err)
			failures = append(failures, fmt.Errorf("%s: %w", s.name, err))
			r.forget([]string{s.name})
			continue
		}
		r.Machine.Rounds, r.Machine.RoundTime = o.rounds, o.round.String()
		if err := r.write(o.out); err != nil {
			return err
		}
		r.print(os.Stderr, s.name)
	}
	return errors.Join(failures...)
}

// prepare starts PostgreSQL and makes both sides ready to be started, once.
func (b *bench) prepare() error {
	if b.cluster != nil {
		return nil
	}
	var err error
	if b.cluster, err = startCluster(b.ctx, pgtest.Options{Settings: clusterSettings}); err != nil {
		return err
	}
	b.results.Machine = lookAround(b.ctx, b.cluster.version)
	if b.ours, err = prepareOurs(b.ctx, b.cluster, b.dir, b.run); err != nil {
		return err
	}
	if peerMissing(b.ctx) == "" {
		if b.peer, err = preparePeer(b.ctx, b.cluster, b.dir, b.run); err != nil {
			return err
		}
		b.results.Machine.Peer = b.peer.versions
	}
	return nil
}

// memoryFolder is a folder in memory that anybody may use, or "".
func memoryFolder() string {
	const folder = "/dev/shm"
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return ""
	}
	return folder
}

func (b *bench) close() {
	for _, s := range b.servers {
		s.stop()
	}
	if b.cluster != nil {
		b.cluster.remove()
	}
}

// workers is the number that both sides choose when nothing is set.
func workers() int { return 2*runtime.NumCPU() + 1 }

// peerSizes are the numbers of Uvicorn workers that are tried.
func peerSizes() []int {
	sizes := []int{1, 4, workers()}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}

const (
	sideOurs   = "ours"
	peerPrefix = "peer-"
	leanPrefix = "lean-" // the peer without what it does beside the durable work
)

// leanSize is the number of workers of the lean peer: a few, which is best for most work.
const leanSize = 4

// sides gives the names of all sides that can be had here.
func (b *bench) sides() []string {
	names := []string{sideOurs}
	if b.peer != nil {
		for _, n := range peerSizes() {
			names = append(names, peerPrefix+strconv.Itoa(n))
		}
	}
	return names
}

// requestSides gives the sides of scenarios about requests.
func (b *bench) requestSides() []string {
	sides := b.sides()
	if b.peer != nil {
		sides = append(sides, leanPrefix+strconv.Itoa(leanSize))
	}
	return sides
}

// launch starts a side without waiting for it.
func (b *bench) launch(side, name string) (*server, error) {
	switch side {
	case sideOurs:
		return b.ours.serve(b.ctx, name, workers())
	case sideNginx:
		return serveNginx(b.ctx, b.dir, name)
	}
	kind, size, _ := strings.Cut(side, "-")
	n, err := strconv.Atoi(size)
	if err != nil {
		return nil, err
	}
	return b.peer.serve(b.ctx, name, n, kind+"-" == leanPrefix)
}

// server gives the running processes of a side, which are started at the first use.
func (b *bench) server(side string) (*server, error) {
	if s := b.servers[side]; s != nil {
		return s, nil
	}
	s, err := b.launch(side, side)
	if err != nil {
		return nil, err
	}
	b.servers[side] = s
	return s, s.awaitAnswer(b.ctx)
}

// turns lets the sides take turns: so many rounds, each side once a round, and
// each round begins with another side.
func (b *bench) turns(sides []string, turn func(side string) error) error {
	for r := range b.rounds {
		for i := range sides {
			side := sides[(i+r)%len(sides)]
			if err := turn(side); err != nil {
				return fmt.Errorf("%s, round %d: %w", side, r+1, err)
			}
		}
	}
	return nil
}

// gauge puts load on a server and records what that took.
func (b *bench) gauge(scenario, side string, s *server, put func() (outcome, error)) error {
	pids := s.pids()
	own, pg := cpu(pids...), b.cluster.cpu()
	o, err := put()
	if err != nil {
		text, _ := os.ReadFile(s.log.Name())
		return fmt.Errorf("%w\n%s", err, tail(text, 2000))
	}
	own, pg = cpu(pids...)-own, b.cluster.cpu()-pg
	if o.done == 0 { // a side that drowns in clients is slow, not wrong
		b.results.add(scenario, side, metricRate, 0)
		return nil
	}
	each := func(d time.Duration) float64 { return float64(d) / 1e3 / float64(o.done) }
	b.results.add(scenario, side, metricRate, o.rate())
	b.results.add(scenario, side, metricCPU, each(own))
	b.results.add(scenario, side, metricPG, each(pg))
	b.results.add(scenario, side, metricP50, float64(o.quantile(0.5))/1e6)
	b.results.add(scenario, side, metricP99, float64(o.quantile(0.99))/1e6)
	return nil
}

func tail(text []byte, n int) []byte { return text[max(0, len(text)-n):] }
