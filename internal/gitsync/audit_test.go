package gitsync_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// An audit finds repositories that are gone, set back or changed by others, and one run with repair and the synchroniser heals them all.
func TestAuditAndRepair(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	to := r.fileRemote(t)
	ids := map[string]store.ID{}
	stop := r.run(t, to, nil)
	for _, name := range []string{"fine", "gone", "back", "edited"} {
		ids[name] = r.submit(t, name, "version 1")
		r.awaitState(t, ids[name], "synced")
	}
	older := r.git(t, ids["back"], "rev-parse", "main")
	r.submit(t, "back", "version 2")
	testenv.Await(t, "the second version is there", func() bool { return r.state(t, ids["back"]).Git.PushedVersion == 2 })
	stop()
	due := r.submit(t, "due", "version 1")

	if err := os.RemoveAll(r.repo(ids["gone"])); err != nil {
		t.Fatal(err)
	}
	r.git(t, ids["back"], "update-ref", "refs/heads/main", older)
	r.git(t, ids["back"], "gc", "--quiet", "--prune=now")
	gitlabtest.Commit(t, r.repo(ids["edited"]), map[string]string{"isa.investigation.xlsx": "by hand"})

	audit := func(repair bool) (map[store.ID]gitsync.Difference, gitsync.AuditSummary) {
		got := map[store.ID]gitsync.Difference{}
		sum, err := gitsync.Audit(t.Context(), r.store, to, gitsync.AuditOptions{Repair: repair}, func(d gitsync.Difference) { got[d.ID] = d })
		if err != nil {
			t.Fatal(err)
		}
		return got, sum
	}
	got, sum := audit(false)
	want := map[string]string{"gone": gitsync.KindMissing, "back": gitsync.KindOtherHead, "edited": gitsync.KindOtherHead, "fine": ""}
	for name, kind := range want {
		if d := got[ids[name]]; d.Kind != kind || d.Repaired {
			t.Errorf("%s: %+v, want kind %q", name, d, kind)
		}
	}
	if (sum != gitsync.AuditSummary{Checked: 5, Same: 1, Pending: 1, Different: 3}) {
		t.Errorf("summary %+v", sum)
	}
	if _, sum = audit(true); sum.Repaired != 3 {
		t.Errorf("summary of repair %+v", sum)
	}
	r.run(t, to, nil)
	for name, id := range ids {
		r.awaitState(t, id, "synced")
		want := "version 1"
		if name == "back" {
			want = "version 2"
		}
		if got := r.content(t, id); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	r.awaitState(t, due, "synced")
	if got, sum = audit(false); sum.Same != 5 || len(got) != 0 {
		t.Errorf("after the repair: %+v, %v", sum, got)
	}
}

// Newer content that nothing would push, which should not be possible, is found all
// the same, and pushed by a repair.
func TestAuditFindsWhatNobodyWouldPush(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	to := r.fileRemote(t)
	id := r.submit(t, "a", "version 1")
	r.run(t, to, nil)
	r.awaitState(t, id, "synced")
	db, err := pgx.Connect(t.Context(), r.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	if _, err := db.Exec(t.Context(), "UPDATE arc SET content_hash = sha256('version 2'), content = $1, version = 2, content_size = 9",
		encoder.EncodeAll([]byte("version 2"), nil)); err != nil {
		t.Fatal(err)
	}
	for _, repair := range []bool{false, true} {
		var got []gitsync.Difference
		sum, err := gitsync.Audit(t.Context(), r.store, to, gitsync.AuditOptions{Repair: repair}, func(d gitsync.Difference) { got = append(got, d) })
		if err != nil || len(got) != 1 || got[0].Kind != gitsync.KindUnscheduled || got[0].Repaired != repair || sum.Different != 1 {
			t.Errorf("repair %t: %+v, %+v, %v", repair, got, sum, err)
		}
	}
	testenv.Await(t, "the newest content is there", func() bool { return r.state(t, id).Git.State == "synced" && r.content(t, id) == "version 2" })
}

// An incident ends an audit with an error instead of reporting every ARC as broken; a
// repository that cannot be read is told of with the reason, and left as it is: nobody
// knows whether there is anything to repair.
func TestAuditWithTrouble(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.submit(t, "a", "version 1")
	stop := r.run(t, r.fileRemote(t), nil)
	r.awaitState(t, id, "synced")
	stop()
	for code, fails := range map[fault.Code]bool{fault.RemoteUnreachable: true, fault.RemoteError: false} {
		var found []gitsync.Difference
		h := headless{r.fileRemote(t), string(code)}
		sum, err := gitsync.Audit(t.Context(), r.store, h, gitsync.AuditOptions{Repair: true}, func(d gitsync.Difference) { found = append(found, d) })
		if fails {
			if remote.FailureOf(err) == nil || remote.FailureOf(err).Fault.Code != code || sum != (gitsync.AuditSummary{}) || len(found) != 0 {
				t.Errorf("%s: %+v, %v, %v", code, sum, found, err)
			}
			continue
		}
		if err != nil || sum != (gitsync.AuditSummary{Checked: 1, Unreadable: 1}) || len(found) != 1 {
			t.Fatalf("%s: %+v, %v, %v", code, sum, found, err)
		}
		d := found[0]
		if d.ID != id || d.Kind != gitsync.KindUnreadable || d.Repaired || d.Err == nil || remote.FailureOf(d.Err).Fault.Code != code {
			t.Errorf("%s: found %+v", code, d)
		}
	}
	if a := r.state(t, id); a.Git.State != store.Synced {
		t.Errorf("state %s", a.Git.State)
	}
}

// asked is a remote that counts the questions for heads, and lets a test do
// something between question and answer.
type asked struct {
	remote.Remote
	heads  atomic.Int32
	before func()
}

func (a *asked) Head(ctx context.Context, id, ref string) (string, error) {
	a.heads.Add(1)
	if a.before != nil {
		a.before()
	}
	return a.Remote.Head(ctx, id, ref)
}

// The remote is not asked about ARCs that are on their way anyway, whatever is there.
func TestAuditLeavesOutWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	to := &asked{Remote: r.fileRemote(t)}
	stop := r.run(t, to, nil)
	pushed, updated := r.submit(t, "pushed", "version 1"), r.submit(t, "updated", "version 1")
	r.awaitState(t, pushed, "synced")
	r.awaitState(t, updated, "synced")
	stop()
	if err := r.store.RequestPush(t.Context(), pushed, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	r.submit(t, "updated", "version 2")
	r.submit(t, "new", "version 1")
	sum, err := gitsync.Audit(t.Context(), r.store, to, gitsync.AuditOptions{Repair: true}, func(d gitsync.Difference) { t.Errorf("found %+v", d) })
	if err != nil || sum != (gitsync.AuditSummary{Checked: 3, Pending: 3}) || to.heads.Load() != 0 {
		t.Errorf("got %+v, %v and %d questions, want three pending and none", sum, err, to.heads.Load())
	}
}

// An ARC that is pushed, or becomes due, between the look at the record and the look
// at the remote is no difference, and nothing to repair.
func TestAuditRacesWithAPush(t *testing.T) {
	t.Parallel()
	for name, synchronises := range map[string]bool{"pushed meanwhile": true, "due by now": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			to := &asked{Remote: r.fileRemote(t)}
			stop := r.run(t, to, nil)
			id := r.submit(t, "a", "version 1")
			r.awaitState(t, id, "synced")
			if !synchronises {
				stop()
				// What is there is not what is recorded.
				gitlabtest.Commit(t, r.repo(id), map[string]string{"isa.investigation.xlsx": "by hand"})
			}
			to.before = func() {
				r.submit(t, "a", "version 2")
				if synchronises {
					testenv.Await(t, "the second version is there", func() bool { return r.state(t, id).Git.PushedVersion == 2 })
				}
			}
			sum, err := gitsync.Audit(t.Context(), r.store, to, gitsync.AuditOptions{Repair: true}, func(d gitsync.Difference) { t.Errorf("found %+v", d) })
			if err != nil || sum != (gitsync.AuditSummary{Checked: 1, Pending: 1}) {
				t.Errorf("got %+v, %v, want one pending", sum, err)
			}
		})
	}
}

// headless fails to tell heads.
type headless struct {
	remote.Remote
	code string
}

func (h headless) Head(context.Context, string, string) (string, error) {
	for _, k := range fault.OfPushes() {
		if string(k.Code) == h.code {
			return "", remote.Fail(k.Code, errors.New("scripted"))
		}
	}
	return "", nil
}

// A resync of one ARC, an RDI or all pushes again what the remote lacks and commits nothing where nothing differs.
func TestResync(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.submit(t, "a", "version 1"), r.submit(t, "b", "version 1")
	w := &watched{Remote: r.fileRemote(t)}
	r.run(t, w, nil)
	r.awaitState(t, a, "synced")
	r.awaitState(t, b, "synced")
	if err := os.RemoveAll(r.repo(a)); err != nil {
		t.Fatal(err)
	}
	if n, err := gitsync.Resync(t.Context(), r.store, a, "", store.Actor{}); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	testenv.Await(t, "the repository is back", func() bool { _, err := os.Stat(r.repo(a) + "/HEAD"); return err == nil && w.count() == 3 })
	r.awaitState(t, a, "synced")
	for _, rdi := range []string{"demo", ""} {
		before := w.count()
		if n, err := gitsync.Resync(t.Context(), r.store, store.ID{}, rdi, store.Actor{}); n != 2 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		testenv.Await(t, "both were looked at", func() bool { return w.count() == before+2 })
		r.awaitState(t, a, "synced")
		r.awaitState(t, b, "synced")
	}
	if w.count() != 7 || w.forced != 5 {
		t.Errorf("%d of %d pushes believe no record, want those 5 of 7 that were asked for", w.forced, w.count())
	}
	for _, id := range []store.ID{a, b} {
		if n := r.git(t, id, "rev-list", "--count", "main"); n != "1" {
			t.Errorf("%s commits", n)
		}
	}
}
