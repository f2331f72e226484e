package git_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
)

// pkts cuts data into pkt-lines, "" for a flush; what follows the last one is the rest.
func pkts(data []byte) (lines []string, rest []byte) {
	for len(data) >= 4 {
		n, err := strconv.ParseUint(string(data[:4]), 16, 16)
		if err != nil || int(n) > len(data) || n > 0 && n < 4 {
			break
		}
		if n == 0 {
			lines, data = append(lines, ""), data[4:]
			continue
		}
		lines, data = append(lines, string(data[4:n])), data[n:]
	}
	return lines, data
}

// without takes capabilities out of an advertisement, and gives what is left.
func without(advertisement []byte, missing []string) (changed []byte, left []string) {
	lines, rest := pkts(advertisement)
	var out bytes.Buffer
	for _, l := range lines {
		if l == "" {
			out.WriteString("0000")
			continue
		}
		if ref, caps, ok := strings.Cut(l, "\x00"); ok {
			for c := range strings.FieldsSeq(caps) {
				if name, _, _ := strings.Cut(c, "="); !slices.Contains(missing, name) {
					left = append(left, c)
				}
			}
			l = ref + "\x00" + strings.Join(left, " ") + "\n"
		}
		fmt.Fprintf(&out, "%04x%s", len(l)+4, l)
	}
	out.Write(rest)
	return out.Bytes(), left
}

// asked gives the capabilities that a request asks for.
func asked(tb testing.TB, r *http.Request) []string {
	tb.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		tb.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			tb.Error(err)
		}
		if body, err = io.ReadAll(z); err != nil {
			tb.Error(err)
		}
	}
	lines, _ := pkts(body)
	if len(lines) == 0 {
		tb.Errorf("request without an order: %q", body[:min(len(body), 80)])
		return nil
	}
	if _, caps, ok := strings.Cut(lines[0], "\x00"); ok {
		return strings.Fields(caps)
	}
	if f := strings.Fields(lines[0]); f[0] == "want" {
		return f[2:]
	}
	return nil
}

// plainServer is git's http-backend that knows less: capabilities are missing from what it offers,
// and whoever asks for one that was not offered is refused.
func plainServer(tb testing.TB, missing []string, change func(*git.Options)) *bench {
	tb.Helper()
	b := overHTTP(tb, nil)
	offered := map[string][]string{}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			for _, c := range asked(tb, r) {
				name, _, _ := strings.Cut(c, "=")
				if !slices.ContainsFunc(offered[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]], func(o string) bool {
					o, _, _ = strings.Cut(o, "=")
					return o == name
				}) {
					tb.Errorf("%s asks for %s, which was not offered", r.URL.Path, c)
				}
			}
		}
		answer := httptest.NewRecorder()
		b.server.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		if strings.HasSuffix(r.URL.Path, "/info/refs") && answer.Code == http.StatusOK {
			service := r.URL.Query().Get("service")
			body, offered[service] = without(body, missing)
		}
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body)
	}))
	tb.Cleanup(front.Close)
	b.Remote = open(tb, git.Options{URL: front.URL, Group: group, Token: token}, change)
	return b
}

// A server that knows less is asked for less: pushes, hooks, somebody else's commits and the report work with whatever is missing.
func TestServersThatKnowLess(t *testing.T) {
	t.Parallel()
	for name, missing := range map[string][]string{
		"nothing missing":  nil,
		"ofs-delta":        {"ofs-delta"},
		"atomic":           {"atomic"},
		"report-status-v2": {"report-status-v2"},
		"no side band":     {"side-band-64k", "side-band"},
		"no filter":        {"filter", "no-progress"},
		"of 2010": {
			"ofs-delta", "atomic", "report-status-v2", "quiet", "push-options", "object-format", "agent", "filter", "no-progress", "no-done",
			"deepen-since", "deepen-not", "deepen-relative", "allow-tip-sha1-in-want", "allow-reachable-sha1-in-want", "multi_ack_detailed", "symref",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := plainServer(t, missing, nil)
			first := b.push(t, version(1))
			p := version(2)
			p.Recorded = first.State
			second := b.push(t, p)
			theirs := gitlabtest.Commit(t, b.repo, map[string]string{"NOTES.md": "mine"})
			p = version(3)
			p.Recorded = second.State
			b.push(t, p)
			if parent := b.git(t, "rev-parse", "main^"); parent != theirs {
				t.Errorf("parent %s, want %s", parent, theirs)
			}
			if got := b.git(t, "show", "main:isa.investigation.xlsx"); got != "version 3" {
				t.Errorf("content %q", got)
			}
			b.git(t, "fsck", "--strict")
			gitlabtest.Hook(t, b.repo, "update", "exit 1")
			b.refused(t, version(4), "hook_declined")
		})
	}
}

// What git itself can be configured to leave out is not needed.
func TestConfiguredToKnowLess(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		first := b.push(t, version(1))
		for _, kv := range [][2]string{
			{"repack.useDeltaBaseOffset", "false"}, {"receive.advertiseAtomic", "false"}, {"receive.advertisePushOptions", "false"},
			{"uploadpack.allowFilter", "false"}, {"receive.fsckObjects", "true"}, {"receive.unpackLimit", "1"}, {"transfer.hideRefs", "refs/keep-around"},
		} {
			b.git(t, "config", kv[0], kv[1])
		}
		gitlabtest.Commit(t, b.repo, map[string]string{"NOTES.md": "mine"})
		p := version(2)
		p.Recorded = first.State
		b.push(t, p)
		b.git(t, "fsck", "--strict")
	})
}

// A server that cannot tell what became of the branch is not pushed to.
func TestServerWithoutReport(t *testing.T) {
	t.Parallel()
	b := plainServer(t, []string{"report-status", "report-status-v2"}, nil)
	b.refused(t, version(1), "server_unsupported")
	if refs := b.git(t, "for-each-ref"); refs != "" {
		t.Errorf("branches: %s", refs)
	}
}

// A repository that names objects in another way is told as such, whether it has any or not, and is left as it is.
func TestRepositoryOfAnotherObjectFormat(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, b *bench) {
		t.Helper()
		if err := os.RemoveAll(b.repo); err != nil {
			t.Fatal(err)
		}
		gitlabtest.MustGit(t, t.TempDir(), "init", "--quiet", "--bare", "--object-format=sha256", "--initial-branch=main", b.repo)
		b.refused(t, version(1), "server_unsupported")
		const emptyTree = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
		b.git(t, "update-ref", "refs/heads/main", b.git(t, "-c", "user.name=me", "-c", "user.email=me@example.org", "commit-tree", "-m", "mine", emptyTree))
		head := b.git(t, "rev-parse", "main")
		f := b.refused(t, version(1), "server_unsupported")
		if want := "repository names objects by sha256"; !strings.Contains(f.Error(), want) {
			t.Errorf("%v, want %q", f, want)
		}
		if got := b.git(t, "rev-parse", "main"); len(head) != 64 || got != head {
			t.Errorf("main is at %q, was at %q", got, head)
		}
	})
}

// Only the configured branch counts, wherever HEAD of the repository points: at a branch of others, at one that does not exist, or at a commit.
func TestHeadOnAnotherBranch(t *testing.T) {
	t.Parallel()
	for _, branch := range []string{"main", "master"} {
		for name, point := range map[string]func(t *testing.T, b *bench){
			"other branch": func(t *testing.T, b *bench) {
				t.Helper()
				b.git(t, "update-ref", "refs/heads/develop", b.git(t, "commit-tree", "-m", "theirs", b.git(t, "mktree", "--missing")))
				b.git(t, "symbolic-ref", "HEAD", "refs/heads/develop")
			},
			"unborn": func(t *testing.T, b *bench) { t.Helper(); b.git(t, "symbolic-ref", "HEAD", "refs/heads/trunk") },
			"detached": func(t *testing.T, b *bench) {
				t.Helper()
				commit := b.git(t, "commit-tree", "-m", "theirs", b.git(t, "mktree", "--missing"))
				b.git(t, "update-ref", "--no-deref", "HEAD", commit)
			},
		} {
			t.Run(branch+" "+name, func(t *testing.T) {
				t.Parallel()
				b := overHTTP(t, func(o *git.Options) { o.Branch = branch })
				point(t, b)
				head := b.git(t, "for-each-ref", "--format=%(refname) %(objectname)")
				first, err := b.Push(t.Context(), version(1))
				if err != nil {
					t.Fatal(err)
				}
				p := version(2)
				p.Recorded = first.State
				second, err := b.Push(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				if got := b.git(t, "rev-parse", branch); got != second.Commit {
					t.Errorf("%s is at %s, result says %s", branch, got, second.Commit)
				}
				if n := b.git(t, "rev-list", "--count", branch); n != "2" {
					t.Errorf("%s commits on %s, want 2", n, branch)
				}
				if got, err := b.Head(t.Context(), arcID, ""); err != nil || got != second.Commit {
					t.Errorf("head %s, %v", got, err)
				}
				rest := []string{}
				for l := range strings.Lines(b.git(t, "for-each-ref", "--format=%(refname) %(objectname)")) {
					if !strings.HasPrefix(l, "refs/heads/"+branch+" ") {
						rest = append(rest, strings.TrimSpace(l))
					}
				}
				if got := strings.Join(rest, "\n"); got != head {
					t.Errorf("branches of others are %q, were %q", got, head)
				}
				if err := b.Trial(t.Context(), second.Ref); err != nil {
					t.Errorf("trial: %v", err)
				}
			})
		}
	}
}

// A branch of others in the way of ours, which is no lock that somebody will give back, waits for whoever can remove it.
func TestABranchInTheWay(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, nil)
	gitlabtest.Commit(t, b.repo, map[string]string{"README.md": "mine"})
	b.git(t, "branch", "-m", "main", "main/theirs")
	b.refused(t, version(1), "push_refused")
	b.git(t, "branch", "-m", "main/theirs", "theirs")
	b.push(t, version(1))
}

// A proxy may add a character set to the types of git's answers, or spell them in its own way.
func TestTypesOfAnswers(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, nil)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		b.server.ServeHTTP(answer, r)
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		w.Header().Set("Content-Type", strings.ToUpper(answer.Header().Get("Content-Type")[:1])+answer.Header().Get("Content-Type")[1:]+"; charset=utf-8")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(front.Close)
	b.Remote = open(t, git.Options{URL: front.URL, Group: group, Token: token}, nil)
	b.push(t, version(1))
	gitlabtest.Commit(t, b.repo, map[string]string{"README.md": "mine"})
	b.push(t, version(2))
}

// Git 2.50 and later have other words for a branch that somebody else moved, made or removed while the push was under way: it is put on top all the same. What went wrong inside of the server is tried again.
func TestWordsOfNewerGit(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]fault.Code{
		"incorrect old value provided":                   "",
		"reference already exists":                       "",
		"reference does not exist":                       "",
		"refname conflict":                               fault.PushRefused,
		"transaction failed to start":                    fault.RemoteError,
		"bad pack":                                       fault.RemoteError,
		"unknown failure":                                fault.RemoteError,
		"unable to migrate objects to permanent storage": fault.RemoteError,
		"fail to run proc-receive hook":                  fault.PushRefused,
	} {
		b := overHTTP(t, nil)
		pushed := 0
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
				b.server.ServeHTTP(w, r)
				return
			}
			if pushed++; pushed > 1 {
				b.server.ServeHTTP(w, r)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			gitlabtest.Commit(t, b.repo, map[string]string{"README.md": "theirs"})
			status := "ng refs/heads/main " + said + "\n"
			report := fmt.Sprintf("\x01000eunpack ok\n%04x%s0000", len(status)+4, status)
			w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
			_, _ = fmt.Fprintf(w, "%04x%s0000", len(report)+4, report)
		}))
		b.Remote = open(t, git.Options{URL: front.URL, Group: group, Token: token}, nil)
		if want == "" {
			if res := b.push(t, version(1)); res.Foreign == "" {
				t.Errorf("%s: result %+v, want it on top of theirs", said, res)
			}
		} else {
			b.refused(t, version(1), string(want))
		}
		front.Close()
	}
}
