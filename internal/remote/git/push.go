package git

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/span"
)

// maxRounds is how often a push starts anew because the branch moved under it.
const maxRounds = 3

// Push makes p the newest version in its repository.
func (r *Remote) Push(ctx context.Context, p *remote.Push) (remote.Result, error) {
	return r.PushAt(ctx, r.Repo(p.ARC), p)
}

// PushAt makes p the newest version in the given repository.
func (r *Remote) PushAt(ctx context.Context, repo string, p *remote.Push) (remote.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opt.CommandTimeout)
	defer cancel()
	ctx, step := span.Start(ctx, span.GitPush)
	defer step.End()
	step.Text("arc_id", p.ARC)
	step.Text("rdi", p.RDI)
	rec, err := remote.DecodeSnapshot(p.Recorded)
	if err != nil {
		r.opt.Log.WarnContext(ctx, "recorded state cannot be read and is built anew", "arc_id", p.ARC)
	}
	j := &job{Remote: r, Push: p, repo: repo, rec: rec}
	defer j.drop()
	for round := 1; ; round++ {
		res, err := j.round(ctx)
		if err == nil {
			return res, nil
		}
		code := remote.FailureOf(err).Fault.Code
		again := code == fault.HeadMoved || code == codeIncomplete
		if !again || round == maxRounds || ctx.Err() != nil {
			step.Fail(string(remote.FailureOf(final(err)).Fault.Code))
			return remote.Result{}, r.clean(ctx, final(err))
		}
		step.Event("git.expected_failure", "code", string(code))
		// The server lacks objects that the record promised: send everything.
		j.everything = j.everything || code == codeIncomplete
	}
}

// job is one push of one version.
type job struct {
	*Remote
	*remote.Push
	repo       string
	rec        *remote.Snapshot
	everything bool
	large      *workshop // built on disk, for a very large ARC
}

// base is what a new commit is put upon.
type base struct {
	head    plumbing.Hash
	tree    plumbing.Hash // zero if not known
	known   objectSet
	entries []remote.Entry
	kept    []remote.Entry // files of others that stay
	foreign string
	adopted bool // the head holds this very version already
}

func (j *job) round(ctx context.Context) (remote.Result, error) {
	s, err := j.references(ctx, receivePack, j.repo)
	if err != nil {
		return remote.Result{}, err
	}
	defer s.close()
	if err := supported(s.refs()); err != nil {
		return remote.Result{}, err
	}
	if err := failpoint.Hit(failpoint.HeadSeen); err != nil {
		return remote.Result{}, remote.Fail(fault.ConnectionCut, err)
	}
	head := s.refs().References[j.ref.String()]
	if recorded := plumbing.Hash(j.rec.Head); head != recorded {
		if res, ok, err := j.arrived(head, recorded); ok || err != nil {
			return res, err
		}
	}
	b, err := j.baseFor(ctx, head)
	if err != nil {
		return remote.Result{}, err
	}
	if b.adopted {
		return j.result(head, &built{entries: b.entries}, remote.Result{Adopted: true}), nil
	}
	return j.commitAndPush(ctx, s, head, b)
}

// references asks a service of the repository what it holds.
func (r *Remote) references(ctx context.Context, service, repo string) (session, error) {
	ctx, step := span.Start(ctx, span.GitRefs)
	defer step.End()
	return r.dial.open(ctx, service, repo)
}

// commitAndPush puts this version upon the base, unless that is the same.
func (j *job) commitAndPush(ctx context.Context, s session, head plumbing.Hash, b *base) (remote.Result, error) {
	ctx, step := span.Start(ctx, span.GitCommit)
	defer step.End()
	out, err := j.build(ctx, b)
	if err != nil {
		return remote.Result{}, err
	}
	step.Flag("git.dirty", out.tree != b.tree)
	if out.tree == b.tree {
		lost := head != plumbing.Hash(j.rec.Head) && b.foreign == ""
		return j.result(head, out, remote.Result{Foreign: b.foreign, Recovered: lost}), nil
	}
	_, sealing := span.Start(ctx, span.GitSeal)
	commit, err := j.buildCommit(j.ARC, out.tree, head, j.When)
	sealing.End()
	if err != nil {
		return remote.Result{}, err
	}
	out.objects = append(out.objects, commit)
	if head != plumbing.Hash(j.rec.Head) && j.Guard != nil {
		// The record does not explain this head: the other writer may be a
		// synchroniser that took this ARC from us. Only the holder of the lease
		// goes on; whoever takes the lease after this moves the head, and then
		// the server refuses our update.
		if err := j.Guard(ctx); err != nil {
			return remote.Result{}, remote.Fail(fault.LeaseLost, err)
		}
	}
	if err := failpoint.Hit(failpoint.Packed); err != nil {
		return remote.Result{}, remote.Fail(fault.ConnectionCut, err)
	}
	sent, err := j.send(ctx, s, head, commit.Hash(), out)
	if err != nil {
		return remote.Result{}, err
	}
	res := remote.Result{Changed: true, Foreign: b.foreign, Sent: sent, Objects: len(out.objects)}
	return j.result(commit.Hash(), out, res), nil
}

// arrived tells whether the head is the very commit that we are about to make on
// top of the recorded one: then the push before came through and only its record
// was lost.
func (j *job) arrived(head, recorded plumbing.Hash) (remote.Result, bool, error) {
	if head.IsZero() {
		return remote.Result{}, false, nil
	}
	b := &base{head: recorded, kept: j.keptFrom(j.rec.Entries)}
	out, err := j.names(b)
	if err != nil {
		return remote.Result{}, false, ignoreLarge(err)
	}
	commit, err := j.buildCommit(j.ARC, out.tree, recorded, j.When)
	if err != nil || commit.Hash() != head {
		return remote.Result{}, false, err
	}
	return j.result(head, out, remote.Result{Changed: true, Recovered: true}), true, nil
}

func ignoreLarge(err error) error {
	if errors.Is(err, errLarge) {
		return nil
	}
	return err
}

// names builds the ARC without keeping any content.
func (j *job) names(b *base) (*built, error) {
	out, err := buildBlobs(j.Files, nil, j.opt.MemoryLimit, true)
	if err != nil {
		return nil, err
	}
	out.entries = remote.WithKept(out.entries, b.kept)
	out.addTrees(nil)
	return out, nil
}

// baseFor finds out what is at the head of the branch.
func (j *job) baseFor(ctx context.Context, head plumbing.Hash) (*base, error) {
	if head.IsZero() {
		return &base{}, nil
	}
	if head == plumbing.Hash(j.rec.Head) && !j.Forced {
		tree, known := knownObjects(j.rec.Entries)
		return j.trimmed(&base{head: head, tree: tree, known: known, entries: j.rec.Entries, kept: j.keptFrom(j.rec.Entries)}), nil
	}
	found, err := j.fetchHead(ctx, j.repo, head)
	if err != nil {
		return nil, err
	}
	b := &base{head: head, tree: found.tree, known: found.objects, entries: found.entries}
	if j.Adopt && j.rec.HeadHex() == "" && found.commit != nil && j.ours(found.commit, j.ARC) &&
		Whole(found.commit.Message) && !found.commit.Committer.When.Before(j.When.Truncate(time.Second)) {
		b.adopted = true
		return b, nil
	}
	if found.commit != nil && (j.ours(found.commit, j.ARC) || head == plumbing.Hash(j.rec.Head)) {
		if j.opt.OnForeign == Keep {
			b.kept = remote.KeptAtOurs(j.rec, found.entries)
		}
		return j.trimmed(b), nil
	}
	b.foreign = head.String()
	if j.opt.OnForeign == Park && j.rec.HeadHex() != "" {
		return nil, remote.Fail(fault.ForeignCommit, errors.New("head "+head.String()+" was not pushed by this service"))
	}
	if j.opt.OnForeign == Keep {
		if found.entries == nil {
			return nil, remote.Fail(fault.ForeignCommit, errors.New("head "+head.String()+" is too large to be merged"))
		}
		b.kept = remote.Theirs(j.rec.Entries, found.entries)
	}
	return j.trimmed(b), nil
}

// trimmed forgets what is known at the other side when that proved wrong.
func (j *job) trimmed(b *base) *base {
	if j.everything {
		b.known, b.tree = nil, plumbing.ZeroHash
	}
	return b
}

func (j *job) keptFrom(entries []remote.Entry) []remote.Entry {
	if j.opt.OnForeign != Keep {
		return nil
	}
	return remote.Kept(entries)
}

// build makes the objects that the base lacks, in memory if they fit.
func (j *job) build(ctx context.Context, b *base) (*built, error) {
	ctx, step := span.Start(ctx, span.GitAdd)
	defer step.End()
	var out *built
	err := errLarge
	if j.large == nil {
		out, err = buildBlobs(j.Files, b.known, j.opt.MemoryLimit, false)
	}
	if errors.Is(err, errLarge) {
		out, err = j.buildOnDisk(ctx)
	}
	if err != nil {
		return nil, err
	}
	out.known = b.known
	out.entries = remote.WithKept(out.entries, b.kept)
	out.addTrees(b.known)
	return out, nil
}

func (j *job) drop() {
	if j.large != nil {
		j.large.remove()
	}
}

func (j *job) result(head plumbing.Hash, out *built, res remote.Result) remote.Result {
	snap := remote.Snapshot{Head: head, Entries: out.entries, Extra: j.rec.Extra}
	res.Commit, res.Ref = head.String(), j.repo
	res.State = snap.Encode()
	return res
}

// send writes the order and the pack, and reads what became of it.
func (j *job) send(ctx context.Context, s session, old, head plumbing.Hash, out *built) (int64, error) {
	ctx, step := span.Start(ctx, span.GitPushed)
	defer step.End()
	step.Text("git.action", "push")
	var order bytes.Buffer
	caps, err := encodeOrder(&order, s.refs(), j.ref, old, head)
	if err != nil {
		return 0, err
	}
	var body io.Reader
	var size int64
	if j.large != nil {
		pack, err := j.large.pack(ctx, out)
		if err != nil {
			return 0, err
		}
		defer func() { _ = pack.Close() }()
		body = io.MultiReader(&order, pack)
		size = int64(order.Len()) + pack.size
	} else {
		if err := encodePack(&order, out.objects); err != nil {
			return 0, err
		}
		body, size = &order, int64(order.Len())
	}
	answer, err := s.post(ctx, body, size)
	if lost := failpoint.Hit(failpoint.PushSent); err == nil && lost != nil {
		err = remote.Fail(fault.ConnectionCut, lost)
	}
	if err == nil {
		err = readReport(answer, caps, j.ref)
		if cerr := s.finish(); err == nil {
			err = cerr
		}
		if lost := failpoint.Hit(failpoint.PushAnswered); err == nil && lost != nil {
			err = remote.Fail(fault.ConnectionCut, lost)
		}
	}
	if err == nil {
		return size, nil
	}
	return size, j.settle(ctx, old, head, err)
}

// settle finds out what became of an update whose answer did not arrive.
func (j *job) settle(ctx context.Context, old, head plumbing.Hash, err error) error {
	f := remote.FailureOf(err)
	switch f.Fault.Code {
	case fault.ConnectionCut, fault.RemoteTimeout, fault.RemoteError, fault.RepositoryBusy, fault.InternalError:
	default:
		return err
	}
	// The push may have used up its time; the question is a small one.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.opt.ConnectTimeout)
	defer cancel()
	now, herr := j.head(ctx, j.repo)
	switch {
	case herr != nil:
		return err
	case now == head:
		return nil
	case f.Fault.Code == fault.RepositoryBusy && now != old:
		return remote.Fail(fault.HeadMoved, err).With(f.Detail)
	}
	return err
}
