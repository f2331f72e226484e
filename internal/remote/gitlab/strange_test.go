package gitlab_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote/gitlab"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
)

// behind puts a server between a GitLab and its remote, which may change every answer.
func behind(tb testing.TB, rest bool, change func(r *http.Request, answer *httptest.ResponseRecorder)) *hub {
	tb.Helper()
	var h *hub
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		change(r, answer)
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	tb.Cleanup(front.Close)
	h = newHub(tb, rest, func(o *gitlab.Options) { o.URL = front.URL })
	return h
}

// Whatever of the headers for pages and limits is missing or different, every file of an adopted repository is seen.
func TestPagesAreAllSeen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(http.Header, string){
		"only absolute links": func(h http.Header, _ string) { h.Del("X-Next-Page") },
		"only relative links": func(h http.Header, base string) {
			h.Del("X-Next-Page")
			h.Set("Link", strings.ReplaceAll(h.Get("Link"), base, ""))
		},
		"only numbers":          func(h http.Header, _ string) { h.Del("Link") },
		"neither":               func(h http.Header, _ string) { h.Del("Link"); h.Del("X-Next-Page") },
		"an empty number":       func(h http.Header, _ string) { h["X-Next-Page"] = append([]string{}, h.Get("X-Next-Page")) },
		"without rate headers":  func(h http.Header, _ string) { h.Del("RateLimit-Limit"); h.Del("RateLimit-Remaining") },
		"with senseless limits": func(h http.Header, _ string) { h.Set("RateLimit-Remaining", "0"); h.Set("RateLimit-Reset", "soon") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h *hub
			h = behind(t, true, func(r *http.Request, answer *httptest.ResponseRecorder) {
				if strings.HasSuffix(r.URL.Path, "/repository/tree") {
					change(answer.Header(), h.URL)
				}
			})
			h.Add(group, arcID, arcID)
			old := map[string]string{}
			for n := range 230 {
				old[fmt.Sprintf("studies/s%03d/README.md", n)] = fmt.Sprint(n)
			}
			gitlabtest.Commit(t, h.Dir(full), old)
			h.push(t, version(1))
			if got := h.git(t, "ls-tree", "-r", "--name-only", "main"); got != "LICENSE\nassays/.gitkeep\nisa.investigation.xlsx" {
				t.Errorf("files:\n%.400s", got)
			}
		})
	}
}

// A GitLab that says our token back to us, at any step and in any way, does not bring it into an error.
func TestTheTokenIsNotSaidAgain(t *testing.T) {
	t.Parallel()
	said := `{"message":"what is ` + token + `?"}`
	for name, answer := range map[string]func(w http.ResponseWriter){
		"forbidden": func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden); io.WriteString(w, said) },
		"no scope": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"error":"insufficient_scope","scope":"`+token+`"}`)
		},
		"bad request": func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest); io.WriteString(w, said) },
		"taken": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"message":{"name":["has already been taken, `+token+`"]}}`)
		},
		"broken": func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError); io.WriteString(w, said) },
		"elsewhere": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://git.example.org/"+token)
			w.WriteHeader(http.StatusFound)
		},
		"no JSON": func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK); io.WriteString(w, "["+token) },
		"status": func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				defer conn.Close()
				io.WriteString(conn, "HTTP/1.1 502 "+token+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}
		},
		"no HTTP": func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				defer conn.Close()
				io.WriteString(conn, token+"\r\n\r\n")
			}
		},
	} {
		for step, at := range map[string]func(r *http.Request) bool{
			"all":   func(*http.Request) bool { return true },
			"group": func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/groups/") },
			"creating": func(r *http.Request) bool {
				return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/projects")
			},
			"branch": func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/branches/") },
			"commit": func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/commits") },
			"tree":   func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/repository/tree") },
		} {
			t.Run(name+" "+step, func(t *testing.T) {
				t.Parallel()
				var h *hub
				front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if at(r) {
						answer(w)
						return
					}
					h.ServeHTTP(w, r)
				}))
				t.Cleanup(front.Close)
				h = newHub(t, true, func(o *gitlab.Options) { o.URL = front.URL })
				if step == "tree" {
					h.Add(group, arcID, arcID)
					gitlabtest.Commit(t, h.Dir(full), map[string]string{"README.md": "old"})
				}
				for doing, err := range map[string]error{
					"push":  func() error { _, err := h.remote.Push(t.Context(), version(1)); return err }(),
					"head":  func() error { _, err := h.remote.Head(t.Context(), arcID, ""); return err }(),
					"check": h.remote.Check(t.Context()),
				} {
					if doing == "push" && err == nil {
						t.Errorf("no error")
					}
					for e := err; e != nil; e = errors.Unwrap(e) {
						if text := fmt.Sprintf("%s %+v", e, e); strings.Contains(text, token) {
							t.Errorf("%s: the token is in the error %s", doing, text)
						}
					}
				}
			})
		}
	}
}

// Answers that are no answers, from GitLab or from a proxy before it, are never taken for success: the push fails for a passing reason, and the next one makes neither a second project nor a second commit.
func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	html := "<html><body><h1>Sign in</h1></body></html>"
	steps := map[string]func(r *http.Request) bool{
		"finding": func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/projects/")
		},
		"creating":   func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Path == "/api/v4/projects" },
		"committing": func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/repository/commits") },
		"pushing":    func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/git-receive-pack") },
		"group":      func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/groups/") },
	}
	answers := map[string]func(*httptest.ResponseRecorder){
		"a page": func(a *httptest.ResponseRecorder) {
			a.Header().Set("Content-Type", "text/html")
			a.Code = 200
			reset(a, html)
		},
		"an error page": func(a *httptest.ResponseRecorder) {
			a.Header().Set("Content-Type", "text/html")
			a.Code = 502
			reset(a, html)
		},
		"nothing":        func(a *httptest.ResponseRecorder) { reset(a, "") },
		"an empty thing": func(a *httptest.ResponseRecorder) { reset(a, "{}") },
		"null":           func(a *httptest.ResponseRecorder) { reset(a, "null") },
		"half of it":     func(a *httptest.ResponseRecorder) { a.Body.Truncate(a.Body.Len() / 2) },
	}
	for step, is := range steps {
		for what, spoil := range answers {
			for _, rest := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/rest=%t", step, what, rest), func(t *testing.T) {
					t.Parallel()
					var once sync.Once
					h := behind(t, rest, func(r *http.Request, answer *httptest.ResponseRecorder) {
						if is(r) {
							once.Do(func() { spoil(answer) })
						}
					})
					for range 3 { // the synchroniser would try again
						res, err := h.remote.Push(t.Context(), version(1))
						if err == nil {
							if head := h.git(t, "rev-parse", "main"); head != res.Commit {
								t.Errorf("result says %s, head is %s", res.Commit, head)
							}
							break
						}
						if class := classOf(err); class != fault.Transient && class != fault.Incident {
							t.Fatalf("%v is %s", err, class)
						}
					}
					if n := h.git(t, "rev-list", "--count", "main"); n != "1" {
						t.Errorf("%s commits", n)
					}
				})
			}
		}
	}
}

func reset(a *httptest.ResponseRecorder, body string) {
	a.Body.Reset()
	a.Body.WriteString(body)
}

// A limit without a time, and one with a date, are both obeyed.
func TestLimitsInEveryForm(t *testing.T) {
	t.Parallel()
	const date = "a date"
	for header, want := range map[string]time.Duration{"": 0, date: 29 * time.Minute, "soon": 0, "-5": 0, "17": 17 * time.Second} {
		both(t, nil, func(t *testing.T, h *hub) {
			t.Helper()
			h.Script(func(*http.Request) *gitlabtest.Fault {
				f := &gitlabtest.Fault{Status: 429, Body: "Retry later", Header: http.Header{}}
				switch header {
				case "":
				case date: // from the moment of the answer, which may come late
					f.Header.Set("Retry-After", time.Now().Add(30*time.Minute).UTC().Format(http.TimeFormat))
				default:
					f.Header.Set("Retry-After", header)
				}
				return f
			})
			f := h.refused(t, version(1), fault.RateLimited)
			if f.Class != fault.Incident || f.Fault.RetryAfter < want || want == 0 && f.Fault.RetryAfter != 0 {
				t.Errorf("Retry-After %q: %s, again in %s", header, f.Class, f.Fault.RetryAfter)
			}
		})
	}
}

// A group in which no project may be created is left alone for as long as GitLab asks
// for, by everybody.
func TestAForbiddenGroupIsLeftAlone(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		h.Script(func(r *http.Request) *gitlabtest.Fault {
			if r.Method != http.MethodPost || r.URL.Path != "/api/v4/projects" {
				return nil
			}
			header := http.Header{"Content-Type": {"application/json"}, "Retry-After": {"120"}}
			return &gitlabtest.Fault{Status: http.StatusForbidden, Body: `{"message":"403 Forbidden"}`, Header: header}
		})
		f := h.refused(t, version(1), fault.GroupForbidden)
		if f.Class != fault.Incident || f.Fault.RetryAfter != 2*time.Minute {
			t.Errorf("%s, again in %s, want an incident of two minutes", f.Class, f.Fault.RetryAfter)
		}
	})
}

// A visibility that the group or an administrator does not allow is not about one ARC, and the operator is told what to set.
func TestAVisibilityThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	both(t, func(o *gitlab.Options) { o.Visibility = "internal" }, func(t *testing.T, h *hub) {
		t.Helper()
		h.Script(func(r *http.Request) *gitlabtest.Fault {
			if r.Method != http.MethodPost || r.URL.Path != "/api/v4/projects" {
				return nil
			}
			return &gitlabtest.Fault{
				Status: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/json"}},
				Body: `{"message":{"visibility_level":["internal is not allowed in a private group."]}}`,
			}
		})
		f := h.refused(t, version(1), fault.GroupForbidden)
		if f.Class != fault.Incident || f.Fault.Owner != fault.OwnerOperator || !strings.Contains(f.Fault.Remedy, "visibility") {
			t.Errorf("failure %+v", f)
		}
		h.Script(nil)
		h.push(t, version(1))
	})
}

// GitLab has many ways to say that a name or path is taken; each leads to the second title, the existing project, or a remedy.
func TestTakenInEveryForm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		want   fault.Code // "" for success
	}{
		{400, `{"message":{"name":["has already been taken"]}}`, ""},
		{409, `{"message":{"project_namespace.name":["has already been taken"],"name":["has already been taken"]}}`, ""},
		{400, `{"message":"Failed to save project {:name=>[\"has already been taken\"]}"}`, ""},
		{400, `{"message":{"path":["has already been taken"],"name":["has already been taken"]}}`, fault.ProjectPendingDeletion},
		{409, `{"message":"Failed to save project {:path=>[\"has already been taken\"]}"}`, fault.ProjectPendingDeletion},
		// At this moment, and not in some days: nobody has to do anything.
		{400, `{"message":{"base":["The project is still being deleted. Please try again later."],"limit_reached":[]}}`, fault.RepositoryBusy},
		{400, `{"message":{"project_namespace.name":["has already been taken"],"base":["The project is still being deleted. Please try again later."]}}`, fault.RepositoryBusy},
		{400, `{"message":{"limit_reached":[],"base":["Your project limit is 0! Please contact your administrator to increase it"]}}`, fault.GroupForbidden},
		{400, `{"message":{"description":["is too long"],"limit_reached":[]}}`, fault.GitLabRefused},
		{403, `{"message":"403 Forbidden"}`, fault.GroupForbidden},
		{403, `{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token.","scope":"api"}`, fault.TokenRejected},
		{404, `{"message":"404 Namespace Not Found"}`, fault.GroupMissing},
	} {
		both(t, nil, func(t *testing.T, h *hub) {
			t.Helper()
			var mu sync.Mutex
			left := 1
			if c.want != "" {
				left = 100
			}
			h.Script(func(r *http.Request) *gitlabtest.Fault {
				mu.Lock()
				defer mu.Unlock()
				if r.Method != http.MethodPost || r.URL.Path != "/api/v4/projects" || left == 0 {
					return nil
				}
				left--
				return &gitlabtest.Fault{Status: c.status, Body: c.body, Header: http.Header{"Content-Type": {"application/json"}}}
			})
			if c.want == "" {
				h.push(t, version(1))
				if got := h.Project(full).Name; !strings.HasSuffix(got, " - 00000000") {
					t.Errorf("title %q after %s", got, c.body)
				}
				return
			}
			if f := h.refused(t, version(1), c.want); f.Fault.Remedy == "" || f.Fault.Owner == "" {
				t.Errorf("failure %+v", f.Fault)
			}
			if c.want != fault.GroupMissing {
				return
			}
			// A group that was made anew has another number, which is asked for.
			h.Requests()
			h.refused(t, version(1), c.want)
			asked := slices.ContainsFunc(h.Requests(), func(r gitlabtest.Request) bool { return strings.Contains(r.Path, "/groups/") })
			if !asked {
				t.Error("the number of a group that is gone is used again")
			}
		})
	}
}

// The older word for a project that waits for its deletion is understood as well.
func TestDeletionInBothForms(t *testing.T) {
	t.Parallel()
	for _, rest := range []bool{false, true} {
		h := behind(t, rest, func(r *http.Request, a *httptest.ResponseRecorder) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/projects/") {
				reset(a, strings.Replace(a.Body.String(), `"marked_for_deletion_on":null`, `"marked_for_deletion_at":"2026-03-08"`, 1))
			}
		})
		h.Add(group, arcID, arcID)
		h.refused(t, version(1), fault.ProjectPendingDeletion)
	}
}

// A configured branch that is not the group's default takes every version, over git and over REST.
func TestBranchMaster(t *testing.T) {
	t.Parallel()
	both(t, func(o *gitlab.Options) { o.Branch = "master" }, func(t *testing.T, h *hub) {
		t.Helper()
		var state []byte
		for n := 1; n <= 2; n++ {
			p := version(n)
			p.Recorded = state
			res, err := h.remote.Push(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			state = res.State
			if got := h.git(t, "rev-parse", "master"); got != res.Commit {
				t.Errorf("push %d: master is at %s, result says %s", n, got, res.Commit)
			}
			if got, err := h.remote.Head(t.Context(), arcID, res.Ref); err != nil || got != res.Commit {
				t.Errorf("push %d: head %s, %v", n, got, err)
			}
		}
		if refs := h.git(t, "for-each-ref", "--format=%(refname)"); refs != "refs/heads/master" {
			t.Errorf("branches %q", refs)
		}
	})
}

// A project in which somebody began on another branch gets ours, over git as over REST, where GitLab makes no commit on a branch that is not there.
func TestProjectBegunOnAnotherBranch(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		h.Add(group, arcID, "Barley")
		gitlabtest.Commit(t, h.Dir(full), map[string]string{"README.md": "mine"})
		h.git(t, "branch", "-m", "main", "master")
		theirs := h.git(t, "rev-parse", "master")
		h.Change(full, func(p *gitlabtest.Project) { p.EmptyRepo, p.DefaultBranch = false, "master" })
		p := version(2)
		p.Recorded = h.push(t, version(1)).State
		h.push(t, p)
		if files := h.git(t, "ls-tree", "-r", "--name-only", "main"); files != "LICENSE\nassays/.gitkeep\nisa.investigation.xlsx" {
			t.Errorf("files %q", files)
		}
		if now := h.git(t, "rev-parse", "master"); now != theirs {
			t.Errorf("their branch is at %s and not at %s", now, theirs)
		}
	})
}

// A project that was archived since it was recorded is told as such, not as one whose branch is protected.
func TestArchivedSince(t *testing.T) {
	t.Parallel()
	h := newHub(t, true, nil)
	p := version(2)
	p.Recorded = h.push(t, version(1)).State
	h.Change(full, func(p *gitlabtest.Project) { p.Archived = true })
	h.refused(t, p, fault.ProjectArchived)
	h.Change(full, func(p *gitlabtest.Project) { p.Archived = false })
	h.push(t, p)
}

// A limit that is used up between two pages of a list is a limit, and not a broken connection.
func TestLimitWithinAList(t *testing.T) {
	t.Parallel()
	h := behind(t, true, func(r *http.Request, answer *httptest.ResponseRecorder) {
		if strings.HasSuffix(r.URL.Path, "/repository/tree") {
			answer.Header().Set("RateLimit-Remaining", "0")
			answer.Header().Set("RateLimit-Reset", fmt.Sprint(time.Now().Add(time.Hour).Unix()))
		}
	})
	h.Add(group, arcID, "Barley")
	files := map[string]string{}
	for n := range 150 {
		files[fmt.Sprint(n)] = "theirs"
	}
	gitlabtest.Commit(t, h.Dir(full), files)
	if f := h.refused(t, version(1), fault.RateLimited); f.Fault.RetryAfter < 50*time.Minute {
		t.Errorf("to be tried again after %s", f.Fault.RetryAfter)
	}
}

// A project that was marked for deletion since it was recorded takes no pushes, in words that GitLab has for whoever may not write: it is not told as that.
func TestMarkedForDeletionSince(t *testing.T) {
	t.Parallel()
	h := newHub(t, false, nil)
	p := version(2)
	p.Recorded = h.push(t, version(1)).State
	day := "2026-03-08"
	h.Change(full, func(p *gitlabtest.Project) { p.MarkedForDeletionOn = &day })
	h.Script(func(r *http.Request) *gitlabtest.Fault {
		if !strings.Contains(r.URL.Path, ".git/") {
			return nil
		}
		return &gitlabtest.Fault{Status: http.StatusForbidden, Body: "You are not allowed to push code to this project."}
	})
	h.refused(t, p, fault.ProjectPendingDeletion)
	h.Change(full, func(p *gitlabtest.Project) { p.MarkedForDeletionOn = nil })
	h.refused(t, p, fault.PushForbidden)
	h.Script(nil)
	h.push(t, p)
}

// What GitLab refuses because a part of it is away, or two do the same at once, passes: the ARC is not parked.
func TestRefusalsThatPass(t *testing.T) {
	t.Parallel()
	steps := map[string]func(r *http.Request) bool{
		"creating":   func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Path == "/api/v4/projects" },
		"changing":   func(r *http.Request) bool { return r.Method == http.MethodPut },
		"committing": func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/repository/commits") },
	}
	for _, c := range []struct {
		status int
		body   string
		want   fault.Code
		steps  []string
	}{
		{400, `{"message":{"base":["Failed to create repository"],"limit_reached":[]}}`, fault.RemoteError, []string{"creating"}},
		{400, `{"message":{"base":["14:failed to connect to all addresses"]}}`, fault.RemoteError, []string{"creating", "changing"}},
		{400, `{"message":"4:Deadline Exceeded"}`, fault.RemoteError, []string{"committing"}},
		{409, `{"message":"409 Conflict: Resource lock"}`, fault.RepositoryBusy, []string{"creating", "changing", "committing"}},
	} {
		for _, step := range c.steps {
			h := newHub(t, true, nil)
			p := version(1)
			if step == "changing" {
				p = version(2)
				p.Recorded, p.Title = h.push(t, version(1)).State, "Rye"
			}
			h.Script(func(r *http.Request) *gitlabtest.Fault {
				if !steps[step](r) {
					return nil
				}
				return &gitlabtest.Fault{Status: c.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: c.body}
			})
			if f := h.refused(t, p, c.want); f.Class != fault.Transient {
				t.Errorf("%s, %s: class %s", step, c.body, f.Class)
			}
			h.Script(nil)
			h.push(t, p)
		}
	}
}
