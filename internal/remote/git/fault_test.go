package git_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// A limit of requests that is told with 403, as other servers than GitLab and what stands before them do, is one, and no missing right.
func TestLimitsToldAsForbidden(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"You have exceeded a secondary rate limit.", "<h1>403</h1> Rate Limit exceeded", "Too many requests from your network"} {
		b := overHTTP(t, nil)
		b.server.Script(func(*http.Request) *gitlabtest.Fault {
			return &gitlabtest.Fault{Status: http.StatusForbidden, Header: http.Header{"Retry-After": {"60"}}, Body: said}
		})
		if f := b.refused(t, version(1), "rate_limited"); f.Class != fault.Incident || f.Fault.RetryAfter != time.Minute {
			t.Errorf("%q: %s, again in %s", said, f.Class, f.Fault.RetryAfter)
		}
	}
}

// A push that a hook declines is refused, with the hook's words for the journal only, and nothing has changed.
func TestHookDeclines(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"no ARCs on Fridays": "hook_declined",
		"GitLab: You are not allowed to push code to protected branches on this project.":                  "branch_protected",
		"GitLab: Your push has been rejected, because this repository has exceeded its size limit of 1 GB": "quota_exceeded",
		"GitLab: You are not allowed to push code to this project.":                                        "push_forbidden",
		"fatal: sha1 file write error: No space left on device":                                            "remote_storage_full",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			both(t, nil, func(t *testing.T, b *bench) {
				t.Helper()
				first := b.push(t, version(1))
				gitlabtest.Hook(t, b.repo, "pre-receive", "echo '"+said+"' >&2; exit 1")
				p := version(2)
				p.Recorded = first.State
				f := b.refused(t, p, want)
				if !strings.Contains(f.Detail, said) {
					t.Errorf("detail %q does not hold the hook's words", f.Detail)
				}
				if strings.Contains(f.Fault.Text+f.Fault.Remedy, said) {
					t.Errorf("the hook's words are shown to clients: %+v", f.Fault)
				}
				if head := b.git(t, "rev-parse", "main"); head != first.Commit {
					t.Errorf("head moved to %s", head)
				}
				if err := os.Remove(filepath.Join(b.repo, "hooks", "pre-receive")); err != nil {
					t.Fatal(err)
				}
				b.push(t, p)
			})
		})
	}
}

// An update hook that refuses our branch is noticed, although unpacking went well.
func TestUpdateHookDeclines(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		b.push(t, version(1))
		gitlabtest.Hook(t, b.repo, "update", "exit 1")
		b.refused(t, version(2), "hook_declined")
	})
}

// Every HTTP status means what the table of failures says, with the server's Retry-After.
func TestHTTPStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		301: "remote_error", 302: "remote_error", 400: "push_refused", 401: "token_rejected", 403: "push_forbidden", 404: "repository_missing",
		408: "remote_timeout", 413: "quota_exceeded", 423: "repository_busy", 429: "rate_limited", 500: "remote_error",
		502: "remote_error", 503: "remote_down", 504: "remote_error", 507: "remote_storage_full",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(fmt.Sprint(method, status), func(t *testing.T) {
				t.Parallel()
				b := overHTTP(t, nil)
				b.server.Script(func(r *http.Request) *gitlabtest.Fault {
					if r.Method != method {
						return nil
					}
					// A rude server that shows what it was sent.
					return &gitlabtest.Fault{Status: status, Header: http.Header{"Retry-After": {"7"}}, Body: r.Header.Get("Authorization") + token}
				})
				f := b.refused(t, version(1), want)
				if f.Fault.RetryAfter != 7*time.Second {
					t.Errorf("retry after %s", f.Fault.RetryAfter)
				}
				if strings.Contains(f.Error(), "Basic b2F1dGgy") {
					t.Errorf("the credentials are in the error: %v", f)
				}
			})
		}
	}
}

// A disk that was made read only, as systems do after errors, is no fault of an ARC, nor a repository
// that is busy: not of one that is there, and not of one that is to be made.
func TestADiskThatIsReadOnly(t *testing.T) {
	t.Parallel()
	testenv.Root(t)
	root := t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=16m"); err != nil {
		testenv.Skip(t, "file systems cannot be mounted here: "+err.Error())
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	r := open(t, git.Options{URL: "file://" + root, Group: group}, nil)
	if _, err := r.Push(t.Context(), version(1)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	other := version(1)
	other.ARC = strings.Repeat("b", len(other.ARC))
	for what, p := range map[string]*remote.Push{"that is there": version(2), "that is to be made": other} {
		_, err := r.Push(t.Context(), p)
		if f := remote.FailureOf(err); f == nil || f.Fault.Code != fault.RemoteReadOnly || f.Class != fault.Incident {
			t.Errorf("a repository %s: %v", what, err)
		}
	}
	if err := unix.Mount("", root, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Push(t.Context(), version(2)); err != nil {
		t.Errorf("writable again: %v", err)
	}
}

// Where GitLab keeps repositories on several machines, one that is away concerns the repositories on it.
func TestOneOfSeveralMachinesIsAway(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, nil)
	b.server.Script(func(*http.Request) *gitlabtest.Fault {
		return &gitlabtest.Fault{Status: 503, Body: "The git server, Gitaly, is not available at this time. Please contact your administrator."}
	})
	if f := b.refused(t, version(1), "remote_error"); f.Class != fault.Transient {
		t.Errorf("class %s", f.Class)
	}
}

// A server that takes no pushes at the moment is no fault of any ARC, whether it says so
// when it is asked or in a hook; a repository that takes none is one that is busy, or archived.
func TestServersThatAreReadOnly(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]struct {
		code  string
		class fault.Class
	}{
		"Git push is not allowed because this GitLab instance is currently in (read-only) maintenance mode.":      {"remote_read_only", fault.Incident},
		"You can't push code to a read-only GitLab instance.":                                                     {"remote_read_only", fault.Incident},
		`{"message":"You cannot perform write operations on a read-only instance."}`:                              {"remote_read_only", fault.Incident},
		"remote: fatal: Unable to create temporary file '/x/objects/incoming': Read-only file system":             {"remote_read_only", fault.Incident},
		"error: cannot lock ref 'refs/heads/main': Unable to create '/x/refs/heads/main.lock': Stale file handle": {"remote_error", fault.Transient},
		"The repository is temporarily read-only. Please try again later.":                                        {"repository_busy", fault.Transient},
		"This repository was archived so it is read-only.":                                                        {"project_archived", fault.Refused},
	} {
		t.Run(want.code, func(t *testing.T) {
			t.Parallel()
			b := overHTTP(t, nil)
			check := func(way string) {
				t.Helper()
				if f := b.refused(t, version(1), want.code); f.Class != want.class || !strings.Contains(f.Detail, said) {
					t.Errorf("%s: class %s, detail %q", way, f.Class, f.Detail)
				}
			}
			b.server.Script(func(r *http.Request) *gitlabtest.Fault {
				if r.URL.Query().Get("service") != "git-receive-pack" {
					return nil // reading goes on
				}
				return &gitlabtest.Fault{Status: http.StatusForbidden, Body: said}
			})
			check("asked")
			b.server.Script(nil)
			gitlabtest.Hook(t, b.repo, "pre-receive", "cat >&2 <<'END'\nGitLab: "+said+"\nEND\nexit 1")
			check("in a hook")
		})
	}
}

// A hook that declines because the server behind it is away, or takes too long, says nothing of the push: that comes through later. What it says of the limit of a namespace is a limit, and of a project that only maintainers may begin, a role that is missing.
func TestHooksThatCouldNotAsk(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]fault.Code{
		"GitLab: Failed to authorize your Git request: internal API unreachable": fault.RemoteError,
		"GitLab: Internal API error (502)":                                       fault.RemoteError,
		"GitLab: 500 Internal Server Error":                                      fault.RemoteError,
		"GitLab: 401 Unauthorized":                                               fault.RemoteError,
		"GitLab: Push operation timed out\n\nTiming information for debugging purposes:\nChecking if LFS objects are missing... (50s)":        fault.RemoteError,
		"Gitea: Internal Server Error\nUnable to contact gitea: dial tcp 127.0.0.1:3000: connect: connection refused":                         fault.RemoteError,
		"GitLab: Your push to this repository has been rejected because the namespace storage limit of 5 GiB has been reached.":               fault.QuotaExceeded,
		"GitLab: \nA default branch (e.g. main) does not yet exist for arcs/a\nAsk a project Owner or Maintainer to create a default branch:": fault.PushForbidden,
		"GitLab: Author 'middleware@fairagro.net' is not a member of team":                                                                    fault.HookDeclined,
	} {
		b := overHTTP(t, nil)
		gitlabtest.Hook(t, b.repo, "pre-receive", "cat >&2 <<'END'\n"+said+"\nEND\nexit 1")
		b.refused(t, version(1), string(want))
		gitlabtest.Hook(t, b.repo, "pre-receive", "exit 0")
		b.push(t, version(1))
	}
}

// A revoked token hits everyone: it is an incident, and the owner is the operator. Without any token a hidden repository is simply missing.
func TestTokenRevoked(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, nil)
	first := b.push(t, version(1))
	b.server.Accept("another")
	p := version(2)
	p.Recorded = first.State
	f := b.refused(t, p, "token_rejected")
	if f.Class != fault.Incident || f.Fault.Owner != fault.OwnerOperator {
		t.Errorf("failure %+v", f)
	}
	if err := b.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong with a revoked token")
	}
	b.server.Accept(token)
	if err := b.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	anonymous := open(t, git.Options{URL: b.server.URL, Group: group}, nil)
	_, err := anonymous.Push(t.Context(), p)
	if remote.FailureOf(err).Fault.Code != fault.RepositoryMissing {
		t.Errorf("without token: %v", err)
	}
}

// A server that cannot be reached is an incident; so is a certificate that nobody vouches for.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for url, want := range map[string]fault.Code{
		closed: fault.RemoteUnreachable, secure.URL: fault.RemoteTLS, strings.Replace(plain.URL, "http:", "https:", 1): fault.RemoteTLS,
	} {
		r := open(t, git.Options{URL: url, Group: group, Token: token}, nil)
		_, err := r.Push(t.Context(), version(1))
		f := remote.FailureOf(err)
		if f == nil || f.Fault.Code != want || f.Class != fault.Incident {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
}

// Errors of the network are told apart: the server as a whole, its certificate, its speed, or this one conversation.
func TestNetCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want fault.Code
	}{
		{&net.DNSError{Err: "no such host", Name: "git.example.org"}, fault.RemoteUnreachable},
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, fault.RemoteUnreachable},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, fault.ConnectionCut},
		{&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}}}, fault.RemoteTLS},
		{os.ErrDeadlineExceeded, fault.RemoteTimeout},
		{errors.New("unexpected EOF"), fault.ConnectionCut},
	} {
		if got := git.NetCode(fmt.Errorf("get: %w", c.err)); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}

// A server that never answers is given up after the time allowed, and so is one that is slower than allowed.
func TestServerHangs(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*git.Options){
		"timeout":   func(o *git.Options) { o.CommandTimeout = 300 * time.Millisecond },
		"low speed": func(o *git.Options) { o.LowSpeedLimit = 1; o.LowSpeedTime = 300 * time.Millisecond },
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				b := overHTTP(t, func(o *git.Options) { o.ConnectTimeout = 300 * time.Millisecond; change(o) })
				b.server.Script(func(r *http.Request) *gitlabtest.Fault {
					if r.Method == method {
						return &gitlabtest.Fault{Hang: true}
					}
					return nil
				})
				b.refused(t, version(1), "remote_timeout")
			})
		}
	}
}

// An answer that breaks off is no success and no reason to push twice: what became of the push is looked up.
func TestConnectionCut(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]gitlabtest.Fault{
		"served, then cut":      {CutSent: true},
		"cut within the answer": {CutBody: 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := overHTTP(t, nil)
			b.server.Script(func(r *http.Request) *gitlabtest.Fault {
				if r.Method == http.MethodPost {
					return &f
				}
				return nil
			})
			res := b.push(t, version(1))
			if n := b.git(t, "rev-list", "--count", "main"); n != "1" || !res.Changed {
				t.Errorf("%s commits, result %+v", n, res)
			}
		})
	}
	t.Run("before it was served", func(t *testing.T) {
		t.Parallel()
		b := overHTTP(t, nil)
		b.server.Script(func(r *http.Request) *gitlabtest.Fault {
			if r.Method == http.MethodPost {
				return &gitlabtest.Fault{Refuse: true}
			}
			return nil
		})
		b.refused(t, version(1), "connection_cut")
		b.server.Script(func(*http.Request) *gitlabtest.Fault { return &gitlabtest.Fault{CutBody: 50} })
		b.refused(t, version(1), "connection_cut")
	})
}

// A push that came through although its answer did not come in time is a push: there is
// still a moment to ask what became of it, and it is not made again.
func TestATimeOutAfterThePushIsSettled(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, func(o *git.Options) { o.CommandTimeout = 3 * time.Second })
	first := b.push(t, version(1))
	var posts atomic.Int32
	b.server.Script(func(r *http.Request) *gitlabtest.Fault {
		if r.Method != http.MethodPost {
			return nil
		}
		posts.Add(1)
		return &gitlabtest.Fault{HangSent: true}
	})
	p := version(2)
	p.Recorded = first.State
	res := b.push(t, p)
	if n := b.git(t, "rev-list", "--count", "main"); n != "2" || !res.Changed || posts.Load() != 1 {
		t.Errorf("%s commits after %d pushes, result %+v; want two after one", n, posts.Load(), res)
	}
}

// A full disk under local repositories is an incident, and the push comes through once there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	testenv.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		testenv.Skip(t, "cannot mount a small file system: "+err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	b := &bench{open(t, git.Options{URL: "file://" + dir, Group: group}, nil), nil, filepath.Join(dir, group, arcID+".git")}
	b.push(t, version(1))
	ballast := filepath.Join(dir, "ballast")
	_ = os.WriteFile(ballast, make([]byte, 1<<20), 0o600) // as far as it goes
	f := b.refused(t, version(2), "remote_storage_full")
	if f.Class != fault.Incident {
		t.Errorf("class %s", f.Class)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	b.push(t, version(2))
}

// Where git does not say what the disk said, as versions from 2.45 on do not, a full one is
// told as such all the same when a repository cannot be made for it.
func TestDiskFullForANewRepository(t *testing.T) {
	testenv.Root(t)
	dir, programs := t.TempDir(), t.TempDir()
	silent := "#!/bin/sh\n" + testenv.Program(t, "git", "git") + ` "$@" 2>/dev/null || { echo "error: failed to write new configuration file config.lock" >&2; exit 128; }` + "\n"
	if err := os.WriteFile(filepath.Join(programs, "git"), []byte(silent), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		testenv.Skip(t, "cannot mount a small file system: "+err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	_ = os.WriteFile(ballast, make([]byte, 1<<20), 0o600) // as far as it goes
	b := &bench{open(t, git.Options{URL: "file://" + dir, Group: group}, nil), nil, filepath.Join(dir, group, arcID+".git")}
	b.refused(t, version(1), "remote_storage_full")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	b.push(t, version(1))
}

// A renamed repository is followed on the same server; the token never goes to another one.
func TestRedirect(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, nil)
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			stolen.Add(1)
		}
	}))
	t.Cleanup(thief.Close)
	old := "/" + group + "/old-name.git"
	target := ""
	b.server.Script(func(r *http.Request) *gitlabtest.Fault {
		if rest, ok := strings.CutPrefix(r.URL.Path, old); ok {
			return &gitlabtest.Fault{Status: http.StatusMovedPermanently, Header: http.Header{"Location": {target + "/" + group + "/" + arcID + ".git" + rest + "?" + r.URL.RawQuery}}}
		}
		return nil
	})
	if _, err := b.PushAt(t.Context(), group+"/old-name.git", version(1)); err != nil {
		t.Errorf("redirect on the same server: %v", err)
	}
	target = strings.Replace(thief.URL, "127.0.0.1", "localhost", 1)
	_, err := b.PushAt(t.Context(), group+"/old-name.git", version(2))
	if f := remote.FailureOf(err); f == nil || f.Fault.Code != fault.RemoteError {
		t.Errorf("redirect to another server: %v", err)
	}
	if head, err := b.HeadAt(t.Context(), group+"/old-name.git"); err == nil {
		t.Errorf("what is said to be elsewhere is told as absent: head %q", head)
	}
	if stolen.Load() > 0 {
		t.Error("the token went to another server")
	}
}

// The token is in nothing that is logged or returned, whatever the server answers.
func TestTokenIsNotLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := overHTTP(t, func(o *git.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	p := version(1)
	p.Recorded = []byte("damaged")
	res := b.push(t, p)
	if strings.Contains(log.String(), token) || bytes.Contains(res.State, []byte(token)) {
		t.Error("the token is in the log or in the state")
	}
	if _, err := git.New(git.Options{URL: "https://user:" + token + "@git.example.org", Group: group}); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("a token in the URL: %v", err)
	}
	pkt := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
	report := http.Header{"Content-Type": {"application/x-git-receive-pack-result"}}
	for name, f := range map[string]gitlabtest.Fault{
		"page of an error": {Status: 500, Body: "no, " + token}, "page of a refusal": {Status: 403, Body: token},
		"kind of the answer": {Status: 200, Header: http.Header{"Content-Type": {"text/" + token}}},
		"way to elsewhere":   {Status: 302, Header: http.Header{"Location": {"http://git.example.org/" + token}}},
		"reason":             {Status: 200, Header: report, Body: pkt("\x01"+pkt("unpack ok\n")+pkt("ng refs/heads/main not with "+token+"\n")+"0000") + "0000"},
		"unpack":             {Status: 200, Header: report, Body: pkt("\x01"+pkt("unpack "+token+"\n")+"0000") + "0000"},
		"what it says":       {Status: 200, Header: report, Body: pkt("\x02"+token+"\n") + pkt("\x01"+pkt("unpack ok\n")+pkt("ng refs/heads/main no\n")+"0000") + "0000"},
		"its last words":     {Status: 200, Header: report, Body: pkt("\x03"+token) + "0000"},
		"rubbish":            {Status: 200, Header: report, Body: token},
	} {
		b.server.Script(func(r *http.Request) *gitlabtest.Fault {
			if r.Method == http.MethodPost {
				return &f
			}
			return nil
		})
		_, err := b.Push(t.Context(), version(2))
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if text := fmt.Sprintf("%s %+v", e, e); strings.Contains(text, token) {
				t.Errorf("the token is in the error, %s: %s", name, text)
			}
		}
		if f := remote.FailureOf(err); strings.Contains(f.Detail, token) {
			t.Errorf("the token is in the detail, %s: %s", name, f.Detail)
		}
	}
	if strings.Contains(log.String(), token) {
		t.Error("the token is in the log")
	}
}

// Of a hook that says much the beginning and the end are kept: the reason is the last that most of them say.
func TestTalkativeHook(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, nil)
	gitlabtest.Hook(t, b.repo, "pre-receive", `
echo 'looking at the push' >&2
yes 'this file is fine' | head -n 5000 >&2
echo 'GitLab: You are not allowed to push code to protected branches on this project.' >&2
exit 1`)
	f := b.refused(t, version(1), "branch_protected")
	if !strings.HasPrefix(f.Detail, "looking at the push\n") || !strings.HasSuffix(f.Detail, "on this project.") || len(f.Detail) > 20<<10 {
		t.Errorf("%d bytes are kept, which begin %.40q and end %q", len(f.Detail), f.Detail, f.Detail[max(0, len(f.Detail)-40):])
	}
}
