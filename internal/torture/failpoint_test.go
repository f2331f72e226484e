package torture

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// provocation brings a fleet to a point, again and again.
type provocation func(tb testing.TB, r *rig)

// trials says for each point how processes get there.
var trials = map[failpoint.Point]provocation{
	failpoint.SubmitBegin: work, failpoint.CommitBegin: work, failpoint.CommitUnknown: work, failpoint.Committed: work,
	failpoint.Acknowledge: work, failpoint.Acknowledged: work, failpoint.TaskBegin: work, failpoint.TaskKept: work,
	failpoint.BulkAnswer: harvest, failpoint.HarvestBegin: harvest, failpoint.HarvestBegun: harvest,
	failpoint.HarvestMarked: harvest, failpoint.HarvestEnding: harvest, failpoint.HarvestEnded: harvest,
	failpoint.RefusalBegin: refusal, failpoint.ExpireBegin: upkeep, failpoint.PruneBegin: upkeep,

	failpoint.ClaimBegin: work, failpoint.Claimed: work, failpoint.Loaded: work, failpoint.Built: work,
	failpoint.RepositoryMade: work, failpoint.RepositoryPlaced: work, failpoint.HeadSeen: work, failpoint.Packed: work,
	failpoint.PushSent: work, failpoint.PushAnswered: work, failpoint.RecordBegin: work, failpoint.RecordUnknown: work,
	failpoint.ReportKept: broken, failpoint.FailureBegin: broken,
	failpoint.Renewing: slowPush, failpoint.ReleaseBegin: handBack, failpoint.Released: handBack, failpoint.PauseBegin: outage,
	failpoint.ProjectBegin: work, failpoint.ProjectMade: work,

	failpoint.MigrateBegin: migrate, failpoint.Migrated: migrate,
	failpoint.WorkerReady: leave, failpoint.WorkerDrain: leave,
}

// rig is a fleet with a failpoint.
type rig struct {
	*fleet
	s            *sender
	dsn          string
	repositories string
	hits         string
	gitLab       *gitlabtest.GitLab // nil for bare repositories
}

// TestEveryFailpoint guards the first two promises step by step: at each point a
// process is killed once, meets a broken connection once and, at full length,
// freezes or is late beyond its lease once; afterwards everything acknowledged
// is stored and in git, once per change. A point without a trial is an error.
func TestEveryFailpoint(t *testing.T) {
	t.Parallel()
	do := []string{"crash", "fail", "stop"}
	if long() {
		do = []string{"crash", "fail", "stop", "delay", "crash", "stop"}
	}
	brittle.program(t)
	for _, p := range failpoint.All() {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			provoke := trials[p]
			if provoke == nil {
				t.Fatal("a point without a trial")
			}
			r := newRig(t, p, do)
			defer r.thaw(t, len(do))()
			deadline := time.Now().Add(3 * time.Minute)
			for r.count() < len(do) {
				if time.Now().After(deadline) {
					t.Fatalf("only %d of %d came to pass", r.count(), len(do))
				}
				provoke(t, r)
			}
			if p == failpoint.MigrateBegin || p == failpoint.Migrated {
				return
			}
			// One more round on a system that is whole again.
			_, others := r.s.m.of(r.s.rdi)
			for _, k := range others {
				r.s.settle(t.Context(), k.identifier)
			}
			waitIdle(t, r.dsn, 5*time.Minute)
			r.end()
			r.s.m.verify(t, r.dsn, r.repositories)
		})
	}
}

func newRig(tb testing.TB, p failpoint.Point, do []string) *rig {
	tb.Helper()
	testenv.Program(tb, "git", "git")
	r := &rig{hits: tb.TempDir()}
	env := []string{"FAILPOINT_PLAN=" + string(p) + "=" + strings.Join(do, ","), "FAILPOINT_DIR=" + r.hits}
	if p == failpoint.MigrateBegin || p == failpoint.Migrated {
		r.dsn = pgtest.Empty(tb)
		r.fleet = &fleet{tb: tb, config: writeConfig(tb, r.dsn, "file:///nonexistent"), env: env}
		return r
	}
	r.dsn = pgtest.DSN(tb)
	root := tb.TempDir()
	url, more := "file://"+root, []string{}
	if p == failpoint.ProjectBegin || p == failpoint.ProjectMade {
		r.gitLab = gitlabtest.NewGitLab(tb, "token", "r")
		root, url = r.gitLab.Root, r.gitLab.URL
		env = append(env, "GIT_REPO_TOKEN=token")
	}
	r.repositories = filepath.Join(root, "r")
	config := writeConfig(tb, r.dsn, url, more...)
	if r.gitLab != nil {
		text, err := os.ReadFile(config)
		if err == nil {
			text = bytes.Replace(text, []byte("  group: r\n"), []byte("  group: r\n  token: token\n"), 1)
			err = os.WriteFile(config, text, 0o600)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	r.fleet = startFleet(tb, fleetOptions{build: brittle, config: config, workers: 1, syncs: 1, env: env})
	r.s = &sender{m: newModel(), rdi: "r0", address: r.address, r: rand.New(rand.NewPCG(1, 2)), arcs: 1000}
	return r
}

// count is how many times something has come to pass at the point.
func (r *rig) count() int {
	hits, _ := filepath.Glob(filepath.Join(r.hits, "*"))
	return len(hits)
}

// thaw wakes frozen processes when their leases have ended, until it is told to stop.
func (r *rig) thaw(tb testing.TB, most int) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		woken := map[string]bool{}
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for len(woken) < most {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			hits, _ := filepath.Glob(filepath.Join(r.hits, "*"))
			for _, hit := range hits {
				text, _ := os.ReadFile(hit)
				do, pid, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
				if info, err := os.Stat(hit); woken[hit] || err != nil || do == "" || do == "stop" && time.Since(info.ModTime()) < 1300*time.Millisecond {
					continue
				}
				woken[hit] = true
				if n, err := strconv.Atoi(pid); do == "stop" && err == nil {
					_ = syscall.Kill(n, syscall.SIGCONT)
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// round is long enough for a point to be reached, and not for all of them at once.
func round(tb testing.TB) (context.Context, context.CancelFunc) {
	tb.Helper()
	return context.WithTimeout(tb.Context(), 5*time.Second)
}

// work uploads new ARCs and changes, alone and over every generation of routes.
func work(tb testing.TB, r *rig) {
	tb.Helper()
	ctx, cancel := round(tb)
	defer cancel()
	n := len(r.s.m.arcs)
	for g := 1; g <= 3; g++ {
		identifier := fmt.Sprintf("new-%d-%d", n, g)
		_ = r.s.upload(ctx, identifier, false, g)
		_ = r.s.upload(ctx, identifier, false, 3)
	}
	_ = r.s.upload(ctx, "new-0-1", true, 3)
}

// harvest runs a harvest over all ARCs, some of which it leaves out.
func harvest(tb testing.TB, r *rig) {
	tb.Helper()
	work(tb, r)
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	r.s.harvest(ctx)
}

// refusal sends a harvest an ARC that it has to refuse.
func refusal(tb testing.TB, r *rig) {
	tb.Helper()
	ctx, cancel := round(tb)
	defer cancel()
	id, ok := r.s.beginHarvest(ctx)
	if ok {
		_ = r.s.post(ctx, "/v3/harvests/"+id+"/arcs", map[string]any{"arc": map[string]any{"@graph": []any{}}}, nil)
	}
}

// broken sends an ARC that can be stored but not pushed.
func broken(tb testing.TB, r *rig) {
	tb.Helper()
	ctx, cancel := round(tb)
	defer cancel()
	_ = r.s.post(ctx, "/v3/arcs", map[string]any{"rdi": r.s.rdi, "arc": brokenCrate(fmt.Sprintf("broken-%d", r.s.r.Int()))}, nil)
	_ = r.s.upload(ctx, "good", false, 3)
}

// upkeep lets the synchroniser find an abandoned harvest when it starts.
func upkeep(tb testing.TB, r *rig) {
	tb.Helper()
	work(tb, r)
	ctx, cancel := round(tb)
	defer cancel()
	conn, err := pgx.Connect(ctx, r.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(ctx, `INSERT INTO harvest (id, rdi, started_at) VALUES (gen_random_uuid(), 'r0', now() - interval '2 days')`)
	if err != nil {
		tb.Fatal(err)
	}
	n := r.count()
	r.syncs[0].signal(syscall.SIGKILL)
	for ctx.Err() == nil && r.count() == n {
		rest(ctx)
	}
}

// slowPush makes a push last longer than a lease is renewed.
func slowPush(tb testing.TB, r *rig) {
	tb.Helper()
	work(tb, r)
	ctx, cancel := round(tb)
	defer cancel()
	r.hook(tb, "sleep 1")
	defer r.hook(tb, "exit 0")
	n := r.count()
	for ctx.Err() == nil && r.count() == n {
		_ = r.s.upload(ctx, "new-0-1", false, 3)
		rest(ctx)
	}
}

// handBack ends the synchroniser while a push is under way that outlasts its patience.
func handBack(tb testing.TB, r *rig) {
	tb.Helper()
	outage(tb, r)
}

// outage takes the git store away for a moment.
func outage(tb testing.TB, r *rig) {
	tb.Helper()
	work(tb, r)
	ctx, cancel := round(tb)
	defer cancel()
	// A repository of the wrong kind is about one ARC; a disk that is full is about all.
	r.hook(tb, "echo 'fatal: write error: No space left on device' >&2; exit 1")
	defer r.hook(tb, "exit 0")
	n := r.count()
	for ctx.Err() == nil && r.count() == n {
		_ = r.s.upload(ctx, "new-0-1", false, 3)
		rest(ctx)
	}
}

// hook makes the repository of the first ARC run a script before it takes a push.
func (r *rig) hook(tb testing.TB, script string) {
	tb.Helper()
	repository := filepath.Join(r.repositories, arcKey{r.s.rdi, "new-0-1"}.id()+".git")
	await(tb, 30*time.Second, "first repository", func() bool {
		_, err := os.Stat(filepath.Join(repository, "HEAD"))
		return err == nil
	})
	gitlabtest.Hook(tb, repository, "pre-receive", script)
}

// leave lets a worker drain and another process take its place.
func leave(tb testing.TB, r *rig) {
	tb.Helper()
	n := r.count()
	r.workers[0].signal(syscall.SIGTERM)
	ctx, cancel := round(tb)
	defer cancel()
	for ctx.Err() == nil && r.count() == n {
		_ = r.s.upload(ctx, "new-0-1", false, 3)
	}
}

// migrate brings an empty database up to date, again and again until it works.
func migrate(tb testing.TB, r *rig) {
	tb.Helper()
	cmd := exec.Command(brittle.program(tb), "migrate", "--config", r.config)
	cmd.Env = append(os.Environ(), r.env...)
	out, err := cmd.CombinedOutput()
	if err == nil && !strings.Contains(string(out), "version") {
		tb.Errorf("migrated without saying so: %s", out)
	}
}

// TestShippedProgramHasNoFailpoint: without the tag nothing is left of the calls.
func TestShippedProgramHasNoFailpoint(t *testing.T) {
	t.Parallel()
	symbols := func(b build) string {
		out, err := exec.Command("go", "tool", "nm", b.program(t)).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if !strings.Contains(symbols(brittle), "internal/failpoint.Hit") {
		t.Error("the build with the tag has no failpoints: this test proves nothing")
	}
	if strings.Contains(symbols(shipped), "internal/failpoint") {
		t.Error("the shipped program holds something of package failpoint")
	}
	text, err := os.ReadFile(shipped.program(t))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("harvest-marked")) {
		t.Error("the shipped program holds the name of a failpoint")
	}
}
