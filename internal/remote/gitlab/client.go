package gitlab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
)

// maxSaid is how much of an answer is kept for the journal.
const maxSaid = 4 << 10

// client manages the projects of one group over GitLab's REST API
// (https://docs.gitlab.com/api/rest/).
type client struct {
	api     *gl.Client
	http    *http.Client
	group   string
	place   string // URL and group
	topics  map[string]string
	visible gl.VisibilityValue
	timeout time.Duration // for one request
	redact  *remote.Redactor
	turn    func(ctx context.Context, arcID string) (time.Duration, error)
	log     *slog.Logger

	mu      sync.Mutex
	groupID int64 // 0: not asked yet
}

func newClient(opt Options, redact *remote.Redactor) (*client, error) {
	c := &client{
		group: opt.Group, place: opt.URL + "/" + opt.Group, topics: opt.Topics, visible: gl.VisibilityValue(opt.Visibility), timeout: opt.RequestTimeout, redact: redact, log: opt.Log,
		turn: opt.Turn,
		http: &http.Client{
			Transport:     &gate{next: git.Wrapped(git.NewTransport(opt.ConnectTimeout, opt.Concurrency), opt.Wrap), now: time.Now},
			CheckRedirect: git.SameHost,
		},
	}
	var err error
	// Whether and when to try again is decided by the synchroniser, which
	// remembers it; a POST that is repeated blindly makes things twice.
	c.api, err = gl.NewClient(opt.Token, gl.WithBaseURL(opt.URL), gl.WithHTTPClient(c.http), gl.WithoutRetries(),
		gl.WithCustomLimiter(unlimited{}), gl.WithUserAgent("middleware-api"))
	if err != nil {
		return nil, errors.New("url of GitLab cannot be used")
	}
	return c, nil
}

// unlimited is here because the gate obeys GitLab's limits, for all requests
// together and without waiting inside.
type unlimited struct{}

func (unlimited) Wait(context.Context) error { return nil }

// gate keeps requests back while GitLab has said that none are left
// (https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/#response-headers).
// Where GitLab has led a question to https, it sends there what may not be led on.
type gate struct {
	next    http.RoundTripper
	now     func() time.Time
	secured atomic.Bool

	mu    sync.Mutex
	until time.Time
}

// errGate is a request that was not sent.
type errGate struct{ wait time.Duration }

func (e *errGate) Error() string { return fmt.Sprintf("rate limit is used up for %s", e.wait) }

func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	g.mu.Lock()
	wait := g.until.Sub(g.now())
	g.mu.Unlock()
	if wait > 0 {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &errGate{wait}
	}
	switch {
	case req.URL.Scheme == "https" && req.Response != nil && req.Response.Request.URL.Scheme == "http":
		g.secured.Store(true)
	case req.URL.Scheme == "http" && g.secured.Load():
		req = req.Clone(req.Context())
		req.URL.Scheme, req.URL.Host = "https", strings.TrimSuffix(req.URL.Host, ":80")
	}
	resp, err := g.next.RoundTrip(req)
	if err == nil {
		if d := git.RetryAfter(resp.Header, g.now()); d > 0 && (resp.StatusCode == http.StatusTooManyRequests || resp.Header.Get("RateLimit-Remaining") == "0") {
			g.mu.Lock()
			g.until = g.now().Add(d)
			g.mu.Unlock()
		}
	}
	return resp, err
}

func (g *gate) CloseIdleConnections() {
	if t, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// failure words an error of asked.
func (c *client) failure(err error) *remote.Failure {
	if f, ok := errors.AsType[*remote.Failure](err); ok {
		return f
	}
	e, ok := errors.AsType[*gl.ErrorResponse](err)
	if !ok {
		return remote.Fail(git.NetCode(err), err)
	}
	said := string(e.Body[:min(len(e.Body), maxSaid)])
	if e.StatusCode == http.StatusNotFound { // comes without its response
		return remote.Fail(fault.RepositoryMissing, err).With(said)
	}
	if e.Response == nil {
		return remote.Fail(fault.GitLabRefused, err).With(said)
	}
	f := git.StatusFailure(e.Response, true, said)
	if f.Fault.Code == fault.PushForbidden && strings.Contains(said, "insufficient_scope") {
		// It is not about this project: the token may not use the API at all.
		return remote.Fail(fault.TokenRejected, err).With(said)
	}
	switch conflict := e.StatusCode == http.StatusConflict; {
	case conflict && strings.Contains(said, "Resource lock"):
		// Somebody else changes the same at this moment.
	case f.Fault.Code == fault.PushRefused && away.MatchString(said):
		f = remote.Fail(fault.RemoteError, err).With(said)
	case f.Fault.Code == fault.PushRefused, conflict:
		f = remote.Fail(fault.GitLabRefused, err).With(said)
	}
	return f
}

// away is a 400 because the part of GitLab that keeps the repositories is away: what it
// says itself, or the number of a gRPC status that passes (deadline exceeded, resource
// exhausted, internal, unavailable; https://grpc.io/docs/guides/status-codes/).
var away = regexp.MustCompile(`Failed to create repository|"(4|8|13|14):`)

// notFound tells whether GitLab says that something does not exist.
func notFound(err error) bool {
	e, ok := errors.AsType[*gl.ErrorResponse](err)
	return ok && e.StatusCode == http.StatusNotFound
}

// uncertain tells whether a request may have had its effect all the same.
func uncertain(f *remote.Failure) bool {
	switch f.Fault.Code {
	case fault.ConnectionCut, fault.RemoteTimeout, fault.RemoteError, fault.RemoteDown:
		return true
	}
	return false
}

// asked runs one request with a time limit of its own. It never gives nil without
// an error, and no error of it holds the token.
func asked[T any](ctx context.Context, c *client, f func(gl.RequestOptionFunc) (*T, *gl.Response, error)) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	v, _, err := f(gl.WithContext(ctx))
	if err != nil {
		return nil, c.clean(err)
	}
	if v == nil {
		return nil, remote.Fail(fault.RemoteError, errors.New("the answer is empty"))
	}
	return v, nil
}

// clean takes the token out of an error of the library. A refusal by GitLab stays
// one, because who asked has to see what it says; all else is a failure already.
func (c *client) clean(err error) error {
	if wait, ok := errors.AsType[*errGate](err); ok {
		return remote.Fail(fault.RateLimited, err).After(wait.wait)
	}
	e, ok := errors.AsType[*gl.ErrorResponse](err)
	if !ok {
		return remote.Fail(git.NetCode(err), c.redact.Err(err))
	}
	out := *e // that of a missing thing is one for all
	out.Body, out.Message = []byte(c.redact.Text(string(e.Body))), c.redact.Text(e.Message)
	if e.Response != nil {
		r := e.Response // its request has the token in a header
		out.Response = &http.Response{
			StatusCode: r.StatusCode, Status: c.redact.Text(r.Status), Header: r.Header,
			Request: &http.Request{Method: r.Request.Method, URL: r.Request.URL},
		}
	}
	return &out
}
