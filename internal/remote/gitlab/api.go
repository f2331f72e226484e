package gitlab

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/span"
)

const (
	maxRounds  = 3        // times a commit is worked out anew because the branch moved
	maxContent = 96 << 20 // bytes of one commit: GitLab takes requests up to 300 MiB, base64 adds a third
	maxARC     = 1 << 30  // bytes of an ARC; larger ones go over git
	regular    = 0o100644
)

// API pushes over REST alone: commits too are made by GitLab
// (https://docs.gitlab.com/api/commits/#create-a-commit-with-multiple-files-and-actions).
type API struct {
	client *client
	opt    Options
}

// NewAPI checks the options and gives the remote. Nothing is contacted.
func NewAPI(opt Options) (*API, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	opt.Group = strings.ToLower(strings.TrimSpace(opt.Group))
	switch opt.OnForeign {
	case "":
		opt.OnForeign = git.OverwriteOnTop
	case git.OverwriteOnTop, git.Keep, git.Park:
	default:
		return nil, fmt.Errorf("on_foreign_commit %q is none of overwrite_on_top, keep, park", opt.OnForeign)
	}
	c, err := newClient(opt, remote.NewRedactor(opt.Token))
	if err != nil {
		return nil, err
	}
	return &API{client: c, opt: opt}, nil
}

// Push makes p the newest version in its project.
func (a *API) Push(ctx context.Context, p *remote.Push) (remote.Result, error) {
	if err := git.CheckPaths(p.Files); err != nil {
		return remote.Result{}, err
	}
	m, err := a.client.metadataOf(p)
	if err != nil {
		return remote.Result{}, err
	}
	snap, err := remote.DecodeSnapshot(p.Recorded)
	if err != nil {
		snap = &remote.Snapshot{}
	}
	j := &apiJob{API: a, Push: p, rec: snap, project: a.client.known(snap.Extra)}
	look := j.project.ID == 0 || j.project.Meta != m.digest() || p.Forced
	for round := 1; ; round++ {
		if look {
			if j.project, err = a.client.ensure(ctx, p.ARC, m); err != nil {
				return remote.Result{}, err
			}
		}
		res, err := j.round(ctx)
		if err == nil {
			return res, nil
		}
		f := a.client.failure(err)
		switch {
		case f.Fault.Code == fault.RepositoryMissing && look:
			// The project is there, its repository is not yet.
			return remote.Result{}, remote.Fail(fault.RemoteError, err).With(f.Detail)
		case f.Fault.Code == fault.RepositoryMissing:
			look = true
		case f.Fault.Code != fault.HeadMoved || round == maxRounds:
			return remote.Result{}, f
		default:
			look = false
		}
	}
}

// apiJob is one push over REST.
type apiJob struct {
	*API
	*remote.Push
	rec     *remote.Snapshot
	project known
	sent    int64
}

func (j *apiJob) round(ctx context.Context) (remote.Result, error) {
	head, err := j.branch(ctx)
	if err != nil {
		return remote.Result{}, err
	}
	res := remote.Result{Ref: j.project.Path + ".git"}
	at, there := "", tree{}
	if head != nil {
		at = head.ID
		if there, err = j.look(ctx, head, &res); err != nil {
			return remote.Result{}, err
		}
	}
	if head != nil && j.adopts(head) {
		res.Adopted = true
		res.Commit, res.State = at, j.snapshot(at, there.entries)
		return res, nil
	}
	_, preparing := span.Start(ctx, span.Actions)
	actions, now, err := j.actions(there)
	preparing.Count("existing_files_count", len(there.entries))
	preparing.Count("actions_count", len(actions))
	preparing.End()
	if err != nil {
		return remote.Result{}, err
	}
	res.Recovered = len(actions) == 0 && at != j.rec.HeadHex() && res.Foreign == ""
	if at, err = j.commitAll(ctx, at, actions); err != nil {
		return remote.Result{}, err
	}
	res.Changed, res.Objects = len(actions) > 0, len(actions)
	res.Commit, res.State, res.Sent = at, j.snapshot(at, now), j.sent
	return res, nil
}

// commitAll makes as many commits as the actions need, and gives the last one.
func (j *apiJob) commitAll(ctx context.Context, at string, actions []action) (string, error) {
	ctx, step := span.Start(ctx, span.Commit)
	defer step.End()
	step.Text("arc_id", j.ARC)
	step.Count("num_actions", len(actions))
	parts := chunks(actions, j.opt.ChunkSize)
	for n, chunk := range parts {
		text := "Add/update ARC " + j.ARC
		if len(parts) > 1 {
			text += fmt.Sprintf(" (part %d/%d)", n+1, len(parts))
		}
		cctx, part := span.Start(ctx, span.Chunk)
		part.Text("arc_id", j.ARC)
		part.Count("chunk_num", n+1)
		part.Count("chunk_size", len(chunk))
		var err error
		at, err = j.commit(cctx, at, text, chunk)
		part.End()
		if err != nil {
			return "", err
		}
	}
	return at, nil
}

func (j *apiJob) snapshot(at string, entries []remote.Entry) []byte {
	s := remote.Snapshot{Entries: entries, Extra: j.project.encode()}
	if b, err := hex.DecodeString(at); err == nil {
		copy(s.Head[:], b)
	}
	return s.Encode()
}

// adopts tells whether the head is the version that the service before this one
// says to have pushed.
func (j *apiJob) adopts(head *gl.Commit) bool {
	return j.Adopt && j.rec.HeadHex() == "" && j.ours(head) && git.Whole(head.Message) &&
		head.CommittedDate != nil && !head.CommittedDate.Before(j.When.Truncate(time.Second))
}

// ours tells whether this service, or the one before it, made the commit.
func (j *apiJob) ours(c *gl.Commit) bool {
	return strings.HasPrefix(c.Message, "Add/update ARC "+j.ARC) || strings.TrimSpace(c.Message) == "Update ARC "+j.ARC
}

// branch reads the head of the branch; nil if there is none yet.
func (j *apiJob) branch(ctx context.Context) (*gl.Commit, error) {
	ctx, step := span.Start(ctx, span.OldHead)
	defer step.End()
	b, err := asked(ctx, j.client, func(o gl.RequestOptionFunc) (*gl.Branch, *gl.Response, error) {
		return j.client.api.Branches.GetBranch(j.project.ID, j.opt.Branch, o)
	})
	if !notFound(err) {
		return commitOf(b, err)
	}
	// No branch, or no project: two different things.
	p, err := j.ask(ctx)
	if notFound(err) {
		return nil, remote.Fail(fault.RepositoryMissing, fmt.Errorf("project %d", j.project.ID))
	}
	if err != nil {
		return nil, err
	}
	if p.PathWithNamespace == "" {
		p.PathWithNamespace = j.project.Path
	}
	err = j.client.usable(ctx, p)
	if err != nil || p.EmptyRepo || p.DefaultBranch == "" || p.DefaultBranch == j.opt.Branch {
		return nil, err // no commit yet, and that is no error
	}
	return j.begin(ctx, p.DefaultBranch)
}

// begin makes our branch in a project that has others: GitLab makes the first commit
// of an empty project only on a branch that is not there.
func (j *apiJob) begin(ctx context.Context, at string) (*gl.Commit, error) {
	b, err := asked(ctx, j.client, func(o gl.RequestOptionFunc) (*gl.Branch, *gl.Response, error) {
		return j.client.api.Branches.CreateBranch(j.project.ID, &gl.CreateBranchOptions{Branch: &j.opt.Branch, Ref: &at}, o)
	})
	if err != nil {
		return nil, j.commitFailure(ctx, err)
	}
	return commitOf(b, nil)
}

// commitOf gives the newest commit of a branch.
func commitOf(b *gl.Branch, err error) (*gl.Commit, error) {
	if err == nil && (b.Commit == nil || b.Commit.ID == "") {
		err = remote.Fail(fault.RemoteError, errors.New("the answer describes no branch"))
	}
	if err != nil {
		return nil, err
	}
	return b.Commit, nil
}

// ask asks for the project.
func (j *apiJob) ask(ctx context.Context) (*gl.Project, error) {
	return asked(ctx, j.client, func(o gl.RequestOptionFunc) (*gl.Project, *gl.Response, error) {
		return j.client.api.Projects.GetProject(j.project.ID, nil, o)
	})
}

// tree is what is at the head, and which of that belongs to others and stays.
type tree struct{ entries, kept []remote.Entry }

// look tells what is at the head: as recorded, or as GitLab lists it.
func (j *apiJob) look(ctx context.Context, head *gl.Commit, res *remote.Result) (tree, error) {
	keep := j.opt.OnForeign == git.Keep
	if head.ID == j.rec.HeadHex() && !j.Forced {
		t := tree{entries: j.rec.Entries}
		if keep {
			t.kept = remote.Kept(j.rec.Entries)
		}
		return t, nil
	}
	ours := j.ours(head) || head.ID == j.rec.HeadHex()
	if !ours {
		res.Foreign = head.ID
		if j.opt.OnForeign == git.Park && j.rec.HeadHex() != "" {
			return tree{}, remote.Fail(fault.ForeignCommit, errors.New("head "+head.ID+" was not pushed by this service"))
		}
	}
	found, err := j.list(ctx, head.ID)
	switch {
	case err != nil || !keep:
		return tree{entries: found}, err
	case ours:
		return tree{entries: found, kept: remote.KeptAtOurs(j.rec, found)}, nil
	}
	return tree{entries: found, kept: remote.Theirs(j.rec.Entries, found)}, nil
}

// list reads the whole tree of a commit
// (https://docs.gitlab.com/api/repositories/#list-repository-tree). It counts the
// pages itself: proxies drop and rewrite the headers that lead to the next one. A
// page that is missed would leave files behind.
func (j *apiJob) list(ctx context.Context, commit string) ([]remote.Entry, error) {
	ctx, step := span.Start(ctx, span.Files)
	defer step.End()
	step.Count("project_id", int(j.project.ID))
	opt := &gl.ListTreeOptions{Ref: &commit, Recursive: gl.Ptr(true)}
	opt.PerPage = 100
	var out []remote.Entry
	seen := map[string]bool{}
	for opt.Page = 1; ; opt.Page++ {
		nodes, last, err := j.page(ctx, opt)
		if err != nil {
			return nil, err
		}
		news := false
		for _, n := range nodes {
			if seen[n.Path] {
				continue
			}
			seen[n.Path], news = true, true
			if n.Type == "tree" {
				continue
			}
			e, err := entryOf(n)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		if last || !news {
			return out, nil
		}
	}
}

// page reads one page, and tells whether GitLab says that it is the last one.
func (j *apiJob) page(ctx context.Context, opt *gl.ListTreeOptions) (nodes []*gl.TreeNode, last bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, j.opt.RequestTimeout)
	defer cancel()
	nodes, resp, err := j.client.api.Repositories.ListTree(j.project.ID, opt, gl.WithContext(ctx))
	if err != nil {
		return nil, false, j.client.clean(err)
	}
	next, said := resp.Header["X-Next-Page"]
	return nodes, said && strings.Join(next, "") == "", nil
}

func entryOf(n *gl.TreeNode) (remote.Entry, error) {
	mode, err := strconv.ParseUint(n.Mode, 8, 32)
	id, iderr := hex.DecodeString(n.ID)
	if err != nil || iderr != nil || len(id) != len(remote.Entry{}.ID) {
		return remote.Entry{}, remote.Fail(fault.ServerUnsupported, fmt.Errorf("%s is %q with mode %q", n.Path, n.ID, n.Mode))
	}
	return remote.Entry{Path: n.Path, Mode: uint32(mode), ID: [20]byte(id)}, nil
}

// action is one change of a file, with the size of what it sends.
type action struct {
	*gl.CommitActionOptions
	size int
}

// actions works out what to change, and what will be there then.
func (j *apiJob) actions(at tree) ([]action, []remote.Entry, error) {
	there := make(map[string]remote.Entry, len(at.entries))
	for _, e := range at.entries {
		there[e.Path] = e
	}
	var (
		gone, list []action
		now        []remote.Entry
		buf        bytes.Buffer
		size       int
	)
	for _, f := range j.Files {
		buf.Reset()
		if _, err := f.Content.WriteTo(&buf); err != nil {
			return nil, nil, fmt.Errorf("write %s: %w", f.Path, err)
		}
		if size += buf.Len(); size > maxARC {
			return nil, nil, remote.Fail(fault.ARCTooLarge, fmt.Errorf("ARC exceeds %d bytes", maxARC))
		}
		id := git.BlobID(buf.Bytes())
		now = append(now, remote.Entry{Path: f.Path, Mode: regular, ID: id})
		old, known := there[f.Path]
		delete(there, f.Path)
		if known && old.ID == id && old.Mode == regular {
			continue
		}
		if known && old.Mode != regular {
			// A link, a submodule or a program: its name stays, what it is does not.
			gone, known = append(gone, deletion(f.Path)), false
		}
		list = append(list, upload(f.Path, known, buf.Bytes()))
	}
	now = remote.WithKept(now, at.kept)
	for _, e := range now {
		if e.Foreign {
			delete(there, e.Path)
		}
	}
	// Deletions first: a file may have become a folder.
	for _, e := range at.entries {
		if _, left := there[e.Path]; left {
			gone = append(gone, deletion(e.Path))
		}
	}
	return append(gone, list...), now, nil
}

func deletion(path string) action {
	return action{&gl.CommitActionOptions{Action: gl.Ptr(gl.FileDelete), FilePath: &path}, 0}
}

func upload(path string, known bool, content []byte) action {
	a := &gl.CommitActionOptions{Action: gl.Ptr(gl.FileCreate), FilePath: &path}
	if known {
		a.Action = gl.Ptr(gl.FileUpdate)
	}
	if utf8.Valid(content) {
		a.Content = gl.Ptr(string(content))
	} else {
		a.Content, a.Encoding = gl.Ptr(base64.StdEncoding.EncodeToString(content)), gl.Ptr("base64")
	}
	return action{a, len(content)}
}

// chunks cuts the actions into commits.
func chunks(actions []action, most int) (out [][]action) {
	var chunk []action
	size := 0
	for _, a := range actions {
		if len(chunk) == most || len(chunk) > 0 && size+a.size > maxContent {
			out, chunk, size = append(out, chunk), nil, 0
		}
		chunk, size = append(chunk, a), size+a.size
	}
	if len(chunk) > 0 {
		out = append(out, chunk)
	}
	return out
}

// commit makes one commit on the given head. GitLab has no way to say which head
// was meant, so the claim is checked directly before, and the parent afterwards.
func (j *apiJob) commit(ctx context.Context, at, text string, chunk []action) (string, error) {
	if j.Guard != nil {
		if err := j.Guard(ctx); err != nil {
			return "", remote.Fail(fault.LeaseLost, err)
		}
	}
	opt := &gl.CreateCommitOptions{Branch: &j.opt.Branch, CommitMessage: &text, Stats: gl.Ptr(false)}
	for _, a := range chunk {
		opt.Actions = append(opt.Actions, a.CommitActionOptions)
		j.sent += int64(a.size)
	}
	c, err := asked(ctx, j.client, func(o gl.RequestOptionFunc) (*gl.Commit, *gl.Response, error) {
		return j.client.api.Commits.CreateCommit(j.project.ID, opt, o)
	})
	if err != nil {
		return "", j.commitFailure(ctx, err)
	}
	if c.ID == "" {
		return "", remote.Fail(fault.ConnectionCut, errors.New("the answer describes no commit"))
	}
	if c.ParentIDs == nil || at == "" && len(c.ParentIDs) == 0 || len(c.ParentIDs) == 1 && c.ParentIDs[0] == at {
		return c.ID, nil
	}
	return "", remote.Fail(fault.HeadMoved, fmt.Errorf("commit %s has the parents %v and not %s", c.ID, c.ParentIDs, at))
}

// commitFailure words an error of a commit, or of making the branch for it.
func (j *apiJob) commitFailure(ctx context.Context, err error) error {
	f := j.client.failure(err)
	if notFound(err) {
		return remote.Fail(fault.RepositoryMissing, err)
	}
	if f.Class != fault.Refused {
		return f
	}
	code := git.CodeOf(f.Detail)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(f.Detail), w) })
	}
	switch {
	case has("not allowed to push into this branch"):
		code = fault.BranchProtected
		// GitLab says the same of every project that takes no pushes at all.
		if p, perr := j.ask(ctx); perr == nil {
			if uerr := j.client.usable(ctx, p); uerr != nil {
				return uerr
			}
		}
	case code != "":
	case has("already exists", "doesn't exist", "does not exist", "has changed since", "please refresh and try again"):
		code = fault.HeadMoved
	case f.Fault.Code == fault.GitLabRefused:
		code = fault.PushRefused // not the project, but what was to be put into it
	default:
		return f
	}
	return remote.Fail(code, err).With(f.Detail)
}

// Head reads the newest commit of an ARC's project.
func (a *API) Head(ctx context.Context, arcID, ref string) (string, error) {
	project := strings.TrimSuffix(git.RepoAt(a.opt.Group, arcID, ref), ".git")
	b, err := asked(ctx, a.client, func(o gl.RequestOptionFunc) (*gl.Branch, *gl.Response, error) {
		return a.client.api.Branches.GetBranch(project, a.opt.Branch, o)
	})
	if notFound(err) {
		return "", nil
	}
	c, err := commitOf(b, err)
	if err != nil {
		return "", a.client.failure(err)
	}
	return c.ID, nil
}

// Check asks GitLab for our user and the group.
func (a *API) Check(ctx context.Context) error { return a.client.check(ctx) }

// Token asks GitLab for what our token may do and until when.
func (a *API) Token(ctx context.Context) (remote.Token, error) { return a.client.token(ctx) }

// Close ends idle connections.
func (a *API) Close() { a.client.http.CloseIdleConnections() }
