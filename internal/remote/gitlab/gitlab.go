// Package gitlab keeps ARCs as projects of a GitLab group. Projects are found,
// created and described over the REST API; the content goes over git (the
// default, because it is cheap and exact), or over REST as well where git is not
// allowed. It must never create a project that is there already, and lets no
// token out of the headers of requests to the configured server.
//
// Remotes of this package are safe for concurrent use.
package gitlab

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
)

// DefaultRequestTimeout is for one REST request; GitLab itself gives up after 60 s.
const DefaultRequestTimeout = time.Minute

// Options say which group and how. Everything left empty gets its default.
type Options struct {
	URL    string // https:// or http://, without /api/v4
	Group  string // full path
	Branch string // default "main"
	Token  string // required
	// Topics maps RDIs to the topic of their projects.
	Topics map[string]string
	// Visibility of new projects; default "private".
	Visibility string
	// Turn is asked before a project is created, and says how long the ARC has to
	// wait for its turn. Nil sets no limit.
	Turn func(ctx context.Context, arcID string) (wait time.Duration, err error)

	RequestTimeout time.Duration
	ConnectTimeout time.Duration
	Concurrency    int
	// Wrap sees every exchange over REST, for measurements; nil for none.
	Wrap func(http.RoundTripper) http.RoundTripper
	Log  *slog.Logger

	// Git is for pushes over git; URL, Group, Branch, Token and Log are taken from above.
	Git git.Options
	// ChunkSize is the number of files per commit over REST; default 100.
	ChunkSize int
	// OnForeign is for commits over REST.
	OnForeign git.Policy
}

func (o *Options) check() error {
	o.URL, o.Group = strings.TrimRight(o.URL, "/"), strings.Trim(o.Group, "/")
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("url of GitLab has to start with https:// or http://")
	case u.User != nil:
		return errors.New("url of GitLab holds a user or password; use the key token")
	case o.Group == "":
		return errors.New("group is empty")
	case o.Token == "":
		return errors.New("token is empty")
	}
	if o.Branch == "" {
		o.Branch = "main"
	}
	if o.Visibility == "" {
		o.Visibility = string(gl.PrivateVisibility)
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = git.DefaultConnectTimeout
	}
	if o.Concurrency <= 0 {
		o.Concurrency = git.DefaultConcurrency
	}
	if o.ChunkSize <= 0 {
		o.ChunkSize = 100
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Remote pushes over git and manages the projects over REST.
type Remote struct {
	client *client
	git    *git.Remote
}

// New checks the options and gives the remote. Nothing is contacted.
func New(opt Options) (*Remote, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	c, err := newClient(opt, remote.NewRedactor(opt.Token))
	if err != nil {
		return nil, err
	}
	g := opt.Git
	g.URL, g.Group, g.Branch, g.Token, g.Log = opt.URL, opt.Group, opt.Branch, opt.Token, opt.Log
	if g.Concurrency == 0 {
		g.Concurrency = opt.Concurrency
	}
	if g.ConnectTimeout == 0 {
		g.ConnectTimeout = opt.ConnectTimeout
	}
	pusher, err := git.New(g)
	if err != nil {
		return nil, err
	}
	return &Remote{client: c, git: pusher}, nil
}

// Push makes p the newest version in its project. As long as the project and
// what it says about itself are as recorded, this is a push over git and
// nothing else.
func (r *Remote) Push(ctx context.Context, p *remote.Push) (remote.Result, error) {
	snap, err := remote.DecodeSnapshot(p.Recorded)
	if err != nil {
		snap = &remote.Snapshot{}
	}
	m, err := r.client.metadataOf(p)
	if err != nil {
		return remote.Result{}, err
	}
	k := r.client.known(snap.Extra)
	fresh := false
	if k.ID == 0 || k.Meta != m.digest() || p.Forced {
		fresh = true
		if k, err = r.client.ensure(ctx, p.ARC, m); err != nil {
			return remote.Result{}, err
		}
	}
	res, err := r.pushTo(ctx, k, snap, p)
	if (missing(err) || forbidden(err)) && !fresh {
		// Moved, renamed, marked for deletion or deleted since: GitLab knows.
		if k, err = r.client.ensure(ctx, p.ARC, m); err != nil {
			return remote.Result{}, err
		}
		res, err = r.pushTo(ctx, k, snap, p)
	}
	if missing(err) {
		// The project is there, its repository is not yet.
		f := remote.FailureOf(err)
		err = remote.Fail(fault.RemoteError, f.Fault.Cause).With(f.Detail)
	}
	return res, err
}

func missing(err error) bool   { return fault.CodeOf(err) == fault.RepositoryMissing }
func forbidden(err error) bool { return fault.CodeOf(err) == fault.PushForbidden }

func (r *Remote) pushTo(ctx context.Context, k known, snap *remote.Snapshot, p *remote.Push) (remote.Result, error) {
	q := *p
	with := *snap
	with.Extra = k.encode()
	q.Recorded = with.Encode()
	return r.git.PushAt(ctx, k.Path+".git", &q)
}

// Head reads the newest commit of an ARC's project.
func (r *Remote) Head(ctx context.Context, arcID, ref string) (string, error) {
	return r.git.Head(ctx, arcID, ref)
}

// Check asks GitLab for our user and the group.
func (r *Remote) Check(ctx context.Context) error { return r.client.check(ctx) }

// Token asks GitLab for what our token may do and until when.
func (r *Remote) Token(ctx context.Context) (remote.Token, error) { return r.client.token(ctx) }

// Trial pushes to a branch of its own in an existing project, and removes it.
func (r *Remote) Trial(ctx context.Context, repo string) error { return r.git.Trial(ctx, repo) }

// Close ends idle connections.
func (r *Remote) Close() {
	r.client.http.CloseIdleConnections()
	r.git.Close()
}
