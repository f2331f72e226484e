package git

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/tcp"
)

// httpDialer speaks git's smart HTTP protocol
// (https://git-scm.com/docs/http-protocol).
type httpDialer struct {
	base   *url.URL
	token  string
	client *http.Client
	opt    Options
}

func newHTTPDialer(base *url.URL, opt Options) *httpDialer {
	return &httpDialer{base: base, token: opt.Token, opt: opt, client: &http.Client{
		Transport:     Wrapped(NewTransport(opt.ConnectTimeout, opt.Concurrency), opt.Wrap),
		CheckRedirect: SameHost,
	}}
}

// Wrapped puts what sees every exchange around a transport, if there is such.
func Wrapped(t http.RoundTripper, wrap func(http.RoundTripper) http.RoundTripper) http.RoundTripper {
	if wrap == nil {
		return t
	}
	return wrap(t)
}

// pingAfter is when a connection that many requests share has been silent for so
// long that it has to show that the server is there, not only its machine; pingTimeout
// is how long that may take. Else every request would wait on it, and the next as well.
const (
	pingAfter   = 20 * time.Second
	pingTimeout = 10 * time.Second
)

// NewTransport gives a transport with a limit for every step of connecting, which
// leaves connections that lead nowhere any more.
func NewTransport(connect time.Duration, idle int) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         tcp.Dialer(connect).DialContext,
		TLSHandshakeTimeout: connect,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		MaxIdleConns:        2 * idle,
		MaxIdleConnsPerHost: 2 * idle,
		IdleConnTimeout:     90 * time.Second,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

// SameHost follows a redirect (a renamed project, or http to https) only while
// the token stays with the server that it was given for. Another port may be
// another server.
func SameHost(req *http.Request, via []*http.Request) error {
	from := via[0].URL
	same := req.URL.Scheme == from.Scheme && portOf(req.URL) == portOf(from)
	secured := from.Scheme == "http" && req.URL.Scheme == "https" && portOf(from) == "80" && portOf(req.URL) == "443"
	if len(via) > 5 || req.URL.Hostname() != from.Hostname() || !same && !secured || via[0].Method != http.MethodGet {
		return http.ErrUseLastResponse
	}
	return nil
}

func portOf(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

func (d *httpDialer) close() { d.client.CloseIdleConnections() }

func (d *httpDialer) open(ctx context.Context, service, repo string) (session, error) {
	s := &httpSession{d: d, service: service}
	s.url = d.base.JoinPath(repo).String()
	resp, err := s.do(ctx, http.MethodGet, s.url+"/info/refs?service="+service, nil, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := isGits(resp, service+"-advertisement"); err != nil {
		return nil, remote.Fail(fault.RemoteError, err)
	}
	if s.adv, err = readRefs(resp.Body); err != nil {
		if f, ok := errors.AsType[*remote.Failure](err); ok {
			return nil, f
		}
		return nil, remote.Fail(NetCode(err), err)
	}
	// After a redirect the order goes to where the references came from.
	final := *resp.Request.URL
	final.RawQuery = ""
	s.url = strings.TrimSuffix(final.String(), "/info/refs")
	return s, nil
}

type httpSession struct {
	d       *httpDialer
	service string
	url     string
	adv     *packp.AdvRefs
	body    io.ReadCloser
}

func (s *httpSession) refs() *packp.AdvRefs { return s.adv }

func (s *httpSession) post(ctx context.Context, body io.Reader, size int64) (io.Reader, error) {
	resp, err := s.do(ctx, http.MethodPost, s.url+"/"+s.service, body, size) //nolint:bodyclose // close of the session does
	if err != nil {
		return nil, err
	}
	s.body = resp.Body
	if err := isGits(resp, s.service+"-result"); err != nil {
		return nil, remote.Fail(fault.ConnectionCut, err)
	}
	return resp.Body, nil
}

// isGits refuses an answer that is not of git's own type, to which a proxy may have
// added a character set.
func isGits(resp *http.Response, what string) error {
	got := resp.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(got); err != nil || kind != "application/x-"+what {
		return fmt.Errorf("answer is %q and not git's", got)
	}
	return nil
}

func (s *httpSession) finish() error { return nil }

func (s *httpSession) close() {
	if s.body != nil {
		// Reading to the end keeps the connection for the next push.
		_, _ = io.CopyN(io.Discard, s.body, maxTalk)
		_ = s.body.Close()
	}
}

func (s *httpSession) do(ctx context.Context, method, target string, body io.Reader, size int64) (*http.Response, error) {
	guard := newSpeedGuard(ctx, s.d.opt.LowSpeedLimit, s.d.opt.LowSpeedTime)
	req, err := http.NewRequestWithContext(guard.ctx, method, target, nil)
	if err != nil {
		guard.stop()
		return nil, err
	}
	if body != nil {
		s.setBody(req, guard, body, size)
	}
	req.Header.Set("User-Agent", agentName)
	req.Header.Set("Accept", "*/*")
	if s.d.token != "" {
		req.SetBasicAuth("oauth2", s.d.token)
	}
	resp, err := s.d.client.Do(req) //nolint:bodyclose // closed by the session, or below
	if err != nil {
		guard.stop()
		return nil, remote.Fail(NetCode(err), err)
	}
	resp.Body = &guardedBody{guard: guard, ReadCloser: resp.Body}
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, maxTalk))
		_ = resp.Body.Close()
		return nil, StatusFailure(resp, s.d.token != "", string(said))
	}
	return resp, nil
}

func (s *httpSession) setBody(req *http.Request, guard *speedGuard, body io.Reader, size int64) {
	req.Header.Set("Content-Type", "application/x-"+s.service+"-request")
	req.ContentLength = size
	if buf, ok := body.(*bytes.Buffer); ok {
		// A request that met a connection just closed by the server may be sent again.
		content := buf.Bytes()
		req.GetBody = func() (io.ReadCloser, error) {
			return io.NopCloser(guard.reader(bytes.NewReader(content))), nil
		}
		req.Body, _ = req.GetBody()
		return
	}
	req.Body = io.NopCloser(guard.reader(body))
}

// StatusFailure gives the failure for an HTTP status of the git server.
func StatusFailure(resp *http.Response, withToken bool, said string) *remote.Failure {
	cause := fmt.Errorf("%s %s: %s", resp.Request.Method, resp.Request.URL.Redacted(), resp.Status)
	code := fault.PushRefused
	switch s := resp.StatusCode; {
	case s == http.StatusUnauthorized && withToken:
		code = fault.TokenRejected
	case s == http.StatusUnauthorized, s == http.StatusNotFound, s == http.StatusGone:
		code = fault.RepositoryMissing
	case s >= 300 && s < 400: // to another host, as to a log-in: of the repository it says nothing
		code = fault.RemoteError
	case s == http.StatusForbidden:
		if code = codeOf(said); code == "" {
			code = fault.PushForbidden
		}
		if text := strings.ToLower(said); strings.Contains(text, "rate limit") || strings.Contains(text, "too many requests") {
			code = fault.RateLimited
		}
	case s == http.StatusRequestTimeout:
		code = fault.RemoteTimeout
	case s == http.StatusRequestEntityTooLarge:
		code = fault.QuotaExceeded
	case s == http.StatusTooManyRequests:
		code = fault.RateLimited
	case s == http.StatusLocked, s == http.StatusConflict:
		code = fault.RepositoryBusy
	case s == http.StatusServiceUnavailable && strings.Contains(said, "Gitaly"): // one of the machines that keep GitLab's repositories
		code = fault.RemoteError
	case s == http.StatusServiceUnavailable:
		code = fault.RemoteDown
	case s == http.StatusInsufficientStorage:
		code = fault.RemoteStorageFull
	case s >= 500 || s == http.StatusOK:
		code = fault.RemoteError
	}
	return remote.Fail(code, cause).With(said).After(RetryAfter(resp.Header, time.Now()))
}

// RetryAfter reads the header of that name: seconds or a date (RFC 9110, 10.2.3);
// else GitLab's RateLimit-Reset, a Unix time, if nothing is left.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	const longest = 24 * time.Hour // no server keeps us away for longer
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return min(time.Duration(min(n, 1<<20))*time.Second, longest)
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return min(t.Sub(now), longest)
	}
	if h.Get("RateLimit-Remaining") == "0" {
		if n, err := strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64); err == nil && time.Unix(n, 0).After(now) {
			return min(time.Unix(n, 0).Sub(now), longest)
		}
	}
	return 0
}

// NetCode tells what a failed request means: the server as a whole cannot be
// reached, it is too slow, or this conversation broke.
func NetCode(err error) fault.Code {
	if errors.Is(err, errTooSlow) {
		return fault.RemoteTimeout
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fault.RemoteTLS
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fault.RemoteTLS
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fault.RemoteTLS
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok || strings.Contains(err.Error(), "HTTP response to HTTPS client") {
		return fault.RemoteTLS
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return fault.RemoteUnreachable
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return fault.RemoteUnreachable
	}
	if strings.Contains(err.Error(), "TLS handshake timeout") {
		return fault.RemoteUnreachable
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.RemoteTimeout
	}
	if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() {
		return fault.RemoteTimeout
	}
	return fault.ConnectionCut
}

var errTooSlow = errors.New("transfer is slower than allowed")

// speedGuard gives up a transfer that moves fewer bytes than allowed.
type speedGuard struct {
	ctx   context.Context
	moved atomic.Int64
	stop  func()
}

func newSpeedGuard(ctx context.Context, limit int, window time.Duration) *speedGuard {
	g := &speedGuard{ctx: ctx, stop: func() {}}
	if limit <= 0 || window <= 0 {
		return g
	}
	ctx, cancel := context.WithCancelCause(ctx)
	g.ctx = ctx
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(window)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if float64(g.moved.Swap(0)) < float64(limit)*window.Seconds() {
					cancel(errTooSlow)
					return
				}
			}
		}
	}()
	g.stop = func() { cancel(nil); <-done }
	return g
}

func (g *speedGuard) reader(r io.Reader) io.Reader { return &countingReader{g, r} }

type countingReader struct {
	g *speedGuard
	r io.Reader
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.g.moved.Add(int64(n))
	return n, err
}

// guardedBody is the body of an answer under the guard of its request.
type guardedBody struct {
	guard *speedGuard
	io.ReadCloser
}

func (b *guardedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.guard.moved.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) && context.Cause(b.guard.ctx) != nil {
		err = fmt.Errorf("%w: %w", err, context.Cause(b.guard.ctx))
	}
	return n, err
}

func (b *guardedBody) Close() error {
	err := b.ReadCloser.Close()
	b.guard.stop()
	return err
}
