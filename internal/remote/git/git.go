// Package git pushes ARCs to any git server over smart HTTP, and to local bare
// repositories. Objects and pack are built in memory on top of what the last
// push recorded: no clone, no working copy, no temporary file, and nothing that
// has not changed is sent again. It must never report a push whose reference
// status the server did not confirm, and never lets the access token out of the
// Authorization header.
//
// A Remote is safe for concurrent use.
package git

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/span"
)

// Policy says what happens when somebody else has put a commit on our branch.
type Policy string

// The policies. The first puts our commit on top: their work stays in the
// history. Keep retains in addition the files that they added. Park stops and asks.
const (
	OverwriteOnTop Policy = "overwrite_on_top"
	Keep           Policy = "keep"
	Park           Policy = "park"
)

// Defaults of Options.
const (
	DefaultCommandTimeout = 10 * time.Minute  // one push of the largest ARC over a slow line
	DefaultConnectTimeout = 10 * time.Second  // name, connection, TLS
	DefaultMemoryLimit    = int64(256) << 20  // above, Debian's git builds the pack on disk
	DefaultSizeLimit      = int64(4096) << 20 // above, the ARC is not pushed
	DefaultConcurrency    = 5
)

// Options say where to and how. URL, Group and Branch are as in the
// configuration file; everything left empty gets its default.
type Options struct {
	URL    string // https://, http:// or file://
	Group  string
	Branch string // default "main"
	Token  string
	// UserName and UserEmail are author and committer.
	UserName, UserEmail string
	OnForeign           Policy

	CommandTimeout time.Duration // for one push from first to last byte
	ConnectTimeout time.Duration
	// A transfer slower than LowSpeedLimit bytes per second for LowSpeedTime is
	// given up. Zero switches this off.
	LowSpeedLimit int
	LowSpeedTime  time.Duration

	MemoryLimit int64  // bytes of an ARC that is built in memory
	SizeLimit   int64  // bytes of an ARC that is pushed at all
	ScratchDir  string // where very large ARCs are built; default: the system's
	Concurrency int    // connections kept open
	// Wrap sees every exchange over HTTP, for measurements; nil for none.
	Wrap func(http.RoundTripper) http.RoundTripper
	Log  *slog.Logger
}

// Remote pushes to one group of a git server or one folder of repositories.
type Remote struct {
	opt    Options
	ref    plumbing.ReferenceName
	redact *remote.Redactor
	dial   dialer
}

// dialer opens conversations with a git service for a repository.
type dialer interface {
	open(ctx context.Context, service, repo string) (session, error)
	close()
}

// New checks the options and gives the remote. Nothing is contacted.
func New(opt Options) (*Remote, error) {
	opt = withDefaults(opt)
	u, err := url.Parse(strings.TrimRight(opt.URL, "/"))
	if err != nil {
		return nil, errors.New("url of the git server cannot be read")
	}
	if u.User != nil {
		return nil, errors.New("url of the git server holds a user or password; use the key token")
	}
	opt.Group = strings.Trim(opt.Group, "/")
	if opt.Group == "" {
		return nil, errors.New("group is empty")
	}
	switch opt.OnForeign {
	case OverwriteOnTop, Keep, Park:
	default:
		return nil, fmt.Errorf("on_foreign_commit %q is none of overwrite_on_top, keep, park", opt.OnForeign)
	}
	r := &Remote{opt: opt, ref: plumbing.NewBranchReferenceName(opt.Branch), redact: remote.NewRedactor(opt.Token)}
	if err := r.ref.Validate(); err != nil {
		return nil, fmt.Errorf("branch %q: %w", opt.Branch, err)
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		r.dial = newHTTPDialer(u, opt)
	case "file":
		r.dial = &fileDialer{root: u.Path, branch: opt.Branch}
	default:
		return nil, fmt.Errorf("url of the git server starts with %q; https://, http:// and file:// are possible", u.Scheme)
	}
	return r, nil
}

func withDefaults(opt Options) Options {
	def := func(s *string, d string) {
		if *s == "" {
			*s = d
		}
	}
	def(&opt.Branch, "main")
	def(&opt.UserName, "Middleware API")
	def(&opt.UserEmail, "middleware@fairagro.net")
	def((*string)(&opt.OnForeign), string(OverwriteOnTop))
	if opt.CommandTimeout <= 0 {
		opt.CommandTimeout = DefaultCommandTimeout
	}
	if opt.ConnectTimeout <= 0 {
		opt.ConnectTimeout = DefaultConnectTimeout
	}
	if opt.MemoryLimit <= 0 {
		opt.MemoryLimit = DefaultMemoryLimit
	}
	if opt.SizeLimit <= 0 {
		opt.SizeLimit = DefaultSizeLimit
	}
	if opt.Concurrency <= 0 {
		opt.Concurrency = DefaultConcurrency
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return opt
}

// Repo gives the path of an ARC's repository below the server.
func (r *Remote) Repo(arcID string) string { return RepoAt(r.opt.Group, arcID, "") }

// RepoAt gives the path of an ARC's repository that was recorded as ref, which may
// have another name. What is recorded of another group is where the ARC was before
// the configuration was changed, and not where it is to be now.
func RepoAt(group, arcID, ref string) string {
	if strings.EqualFold(path.Dir(ref), group) {
		return ref
	}
	return group + "/" + arcID + ".git"
}

// Close ends idle connections.
func (r *Remote) Close() { r.dial.close() }

// Head reads the newest commit of the branch, "" if there is none. Ref is the
// path of the repository if it is not where it was to be expected.
func (r *Remote) Head(ctx context.Context, arcID, ref string) (string, error) {
	ref = RepoAt(r.opt.Group, arcID, ref)
	ctx, step := span.Start(ctx, span.GitExists)
	defer step.End()
	head, err := r.HeadAt(ctx, ref)
	step.Text("arc_id", arcID)
	step.Flag("exists", head != "")
	return head, err
}

// HeadAt reads the newest commit of the branch in the given repository.
func (r *Remote) HeadAt(ctx context.Context, repo string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opt.CommandTimeout)
	defer cancel()
	h, err := r.head(ctx, repo)
	if remote.FailureOf(err) != nil {
		if remote.FailureOf(err).Fault.Code == fault.RepositoryMissing {
			return "", nil
		}
		return "", r.clean(ctx, err)
	}
	if h.IsZero() {
		return "", nil
	}
	return h.String(), nil
}

// head asks the service for fetching, so that nothing is created and no right to
// write is needed.
func (r *Remote) head(ctx context.Context, repo string) (plumbing.Hash, error) {
	s, err := r.references(ctx, uploadPack, repo)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer s.close()
	return s.refs().References[r.ref.String()], nil
}

// Check reads the references of a repository that cannot exist: every answer but
// a refusal of the token or of the connection is a sound server. A folder of
// repositories answers nothing: there git has to be installed, and this user has
// to have the right to make repositories.
func (r *Remote) Check(ctx context.Context) error {
	if d, ok := r.dial.(*fileDialer); ok {
		return d.usable(r.opt.Group)
	}
	_, err := r.HeadAt(ctx, r.Repo(strings.Repeat("0", 64)))
	if f := remote.FailureOf(err); f != nil && f.Class != fault.Refused {
		return err
	}
	return nil
}

// clean turns any error into a failure without secrets.
func (r *Remote) clean(ctx context.Context, err error) error {
	f := remote.FailureOf(err)
	if f == nil {
		return nil
	}
	if f.Fault.Code == fault.InternalError && ctx.Err() != nil {
		f = remote.Fail(fault.RemoteTimeout, err)
	}
	c, e := *f, *f.Fault
	e.Cause = r.redact.Err(e.Cause)
	c.Fault, c.Detail = &e, r.redact.Text(f.Detail)
	return &c
}
