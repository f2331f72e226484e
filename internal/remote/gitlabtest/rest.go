package gitlabtest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Project is a project as the REST side keeps it
// (https://docs.gitlab.com/api/projects/#get-a-single-project).
type Project struct {
	ID                  int64    `json:"id"`
	Name                string   `json:"name"`
	Path                string   `json:"path"`
	PathWithNamespace   string   `json:"path_with_namespace"`
	Description         *string  `json:"description"`
	Topics              []string `json:"topics"`
	Visibility          string   `json:"visibility"`
	DefaultBranch       string   `json:"default_branch,omitempty"`
	Archived            bool     `json:"archived"`
	EmptyRepo           bool     `json:"empty_repo"`
	MarkedForDeletionOn *string  `json:"marked_for_deletion_on"`
	HTTPURLToRepo       string   `json:"http_url_to_repo"`
}

// GitLab is a git server together with the REST API for the projects of it.
type GitLab struct {
	*Server

	mu       sync.Mutex
	token    string
	expires  string // of the token, YYYY-MM-DD; "" is never
	scopes   []string
	groups   map[string]int64
	projects map[int64]*Project
	moved    map[string]int64 // old full paths
	next     int64
}

// NewGitLab starts a GitLab with the given groups, which accepts one token.
func NewGitLab(tb testing.TB, token string, groups ...string) *GitLab {
	tb.Helper()
	g := &GitLab{Server: NewServer(tb), token: token, scopes: []string{"api", "write_repository"}, groups: map[string]int64{}, projects: map[int64]*Project{}, moved: map[string]int64{}, next: 100}
	for i, name := range groups {
		g.groups[name] = int64(70 + i)
	}
	g.Server.mu.Lock()
	g.api = http.HandlerFunc(g.rest)
	g.Server.mu.Unlock()
	g.Accept(token)
	return g
}

// Revoke makes GitLab accept another token from now on.
func (g *GitLab) Revoke(next string) {
	g.mu.Lock()
	g.token = next
	g.mu.Unlock()
	g.Accept(next)
}

// Limit says what the token may do and until when (YYYY-MM-DD, "" for ever).
func (g *GitLab) Limit(expires string, scopes ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expires, g.scopes = expires, scopes
}

// Project gives a copy of the project at a full path, nil if there is none.
func (g *GitLab) Project(fullPath string) *Project {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.byPath(fullPath); p != nil {
		c := *p
		return &c
	}
	return nil
}

// Add makes a project as if somebody had clicked it.
func (g *GitLab) Add(group, name, title string) *Project {
	g.tb.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	p, err := g.add(group, name, title)
	if err != nil {
		g.tb.Fatal(err)
	}
	return p
}

// AddGroup makes one more group.
func (g *GitLab) AddGroup(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.groups[name] = int64(70 + len(g.groups))
}

// RenameGroup gives a group another path. Projects lead on from their old paths, the
// group does not.
func (g *GitLab) RenameGroup(from, to string) {
	g.tb.Helper()
	g.mu.Lock()
	g.groups[to] = g.groups[from]
	delete(g.groups, from)
	var paths []string
	for _, p := range g.projects {
		if path.Dir(p.PathWithNamespace) == from {
			paths = append(paths, p.PathWithNamespace)
		}
	}
	g.mu.Unlock()
	for _, old := range paths {
		g.Change(old, func(p *Project) { p.PathWithNamespace = to + "/" + path.Base(old) })
	}
}

// Change changes a project. A new path leads on from the old one, as after
// renaming or moving in GitLab.
func (g *GitLab) Change(fullPath string, f func(*Project)) {
	g.tb.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.byPath(fullPath)
	if p == nil {
		g.tb.Fatalf("no project %s", fullPath)
	}
	f(p)
	p.Path = path.Base(p.PathWithNamespace)
	if p.PathWithNamespace == fullPath {
		return
	}
	g.moved[fullPath] = p.ID
	to := g.dir(p.PathWithNamespace)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		g.tb.Fatal(err)
	}
	if err := os.Rename(g.dir(fullPath), to); err != nil {
		g.tb.Fatal(err)
	}
}

// Remove deletes a project for good.
func (g *GitLab) Remove(fullPath string) {
	g.tb.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.byPath(fullPath); p != nil {
		delete(g.projects, p.ID)
	}
	if err := os.RemoveAll(g.dir(fullPath)); err != nil {
		g.tb.Fatal(err)
	}
}

// Dir gives the folder of a project's repository.
func (g *GitLab) Dir(fullPath string) string { return g.dir(fullPath) }

func (g *GitLab) dir(fullPath string) string {
	return filepath.Join(g.Root, filepath.FromSlash(fullPath)+".git")
}

func (g *GitLab) add(group, name, title string) (*Project, error) {
	g.next++
	p := &Project{ID: g.next, Name: title, Path: name, PathWithNamespace: group + "/" + name, Topics: []string{}, Visibility: "private", EmptyRepo: true}
	p.HTTPURLToRepo = g.URL + "/" + p.PathWithNamespace + ".git"
	g.projects[p.ID] = p
	return p, InitBare(g.dir(p.PathWithNamespace))
}

func (g *GitLab) byPath(fullPath string) *Project {
	for _, p := range g.projects {
		if p.PathWithNamespace == fullPath {
			return p
		}
	}
	return nil
}

// rest answers the calls that are used, each as its page of the documentation says.
func (g *GitLab) rest(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Header.Get("PRIVATE-TOKEN") != g.token {
		// https://docs.gitlab.com/api/rest/troubleshooting/#status-codes
		say(w, http.StatusUnauthorized, map[string]any{"message": "401 Unauthorized"})
		return
	}
	w.Header().Set("RateLimit-Limit", "600")
	w.Header().Set("RateLimit-Remaining", "599")
	rest := strings.TrimPrefix(r.URL.EscapedPath(), "/api/v4/")
	parts := strings.Split(rest, "/")
	for i, p := range parts {
		parts[i] = unescape(p)
	}
	switch {
	case rest == "user":
		say(w, http.StatusOK, map[string]any{"id": 1, "username": "group_77_bot", "state": "active"})
	case rest == "personal_access_tokens/self":
		// https://docs.gitlab.com/api/personal_access_tokens/#self-inform
		answer := map[string]any{"id": 9, "name": "middleware", "revoked": false, "active": true, "scopes": g.scopes, "expires_at": nil}
		if g.expires != "" {
			answer["expires_at"] = g.expires
		}
		say(w, http.StatusOK, answer)
	case parts[0] == "groups" && len(parts) == 2:
		g.group(w, parts[1])
	case rest == "projects" && r.Method == http.MethodPost:
		g.create(w, r)
	case parts[0] == "projects" && len(parts) >= 2:
		g.project(w, r, parts[1], parts[2:])
	default:
		say(w, http.StatusNotFound, map[string]any{"error": "404 Not Found"})
	}
}

func unescape(s string) string {
	return strings.NewReplacer("%2F", "/", "%2f", "/", "%20", " ", "%2E", ".").Replace(s)
}

func say(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// https://docs.gitlab.com/api/groups/#get-a-single-group
func (g *GitLab) group(w http.ResponseWriter, name string) {
	id, ok := g.groups[name]
	if !ok {
		say(w, http.StatusNotFound, map[string]any{"message": "404 Group Not Found"})
		return
	}
	say(w, http.StatusOK, map[string]any{"id": id, "full_path": name, "name": path.Base(name), "path": path.Base(name)})
}

// https://docs.gitlab.com/api/projects/#create-a-project
func (g *GitLab) create(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name, Path, Visibility string
		NamespaceID            int64 `json:"namespace_id"`
		Description            *string
		Topics                 []string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		say(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	group := ""
	for name, id := range g.groups {
		if id == in.NamespaceID {
			group = name
		}
	}
	if group == "" {
		say(w, http.StatusNotFound, map[string]any{"message": "404 Namespace Not Found"})
		return
	}
	if wrong := g.wrong(group, in.Name, in.Path, 0); len(wrong) > 0 {
		say(w, http.StatusBadRequest, map[string]any{"message": wrong})
		return
	}
	p, err := g.add(group, in.Path, in.Name)
	if err != nil {
		say(w, http.StatusInternalServerError, map[string]any{"message": "500 Internal Server Error"})
		return
	}
	delete(g.moved, p.PathWithNamespace)
	p.Description, p.Visibility = in.Description, in.Visibility
	if in.Topics != nil {
		p.Topics = in.Topics
	}
	say(w, http.StatusCreated, p)
}

// wrong checks name and path against the other projects of the group.
func (g *GitLab) wrong(group, name, newPath string, self int64) map[string][]string {
	wrong := map[string][]string{}
	for _, p := range g.projects {
		if p.ID == self || path.Dir(p.PathWithNamespace) != group {
			continue
		}
		if p.Name == name {
			wrong["name"] = []string{"has already been taken"}
			wrong["project_namespace.name"] = []string{"has already been taken"}
		}
		if p.Path == newPath {
			wrong["path"] = []string{"has already been taken"}
		}
	}
	return wrong
}

func (g *GitLab) project(w http.ResponseWriter, r *http.Request, id string, rest []string) {
	var p *Project
	if n, err := strconv.ParseInt(id, 10, 64); err == nil {
		p = g.projects[n]
	} else if p = g.byPath(id); p == nil && g.projects[g.moved[id]] != nil {
		// A moved project: GET is led on, everything else is refused.
		if r.Method != http.MethodGet {
			say(w, http.StatusMethodNotAllowed, map[string]any{"message": "Non GET methods are not allowed for moved projects"})
			return
		}
		tail := ""
		if len(rest) > 0 {
			tail = "/" + strings.Join(rest, "/")
		}
		w.Header().Set("Location", fmt.Sprintf("%s/api/v4/projects/%d%s", g.URL, g.moved[id], tail))
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	if p == nil {
		say(w, http.StatusNotFound, map[string]any{"message": "404 Project Not Found"})
		return
	}
	switch what := r.Method + " " + strings.Join(rest, "/"); {
	case what == "GET ":
		say(w, http.StatusOK, p)
	case what == "PUT ":
		g.edit(w, r, p)
	case strings.HasPrefix(what, "GET repository/branches/"):
		g.branch(w, p, strings.TrimPrefix(what, "GET repository/branches/"))
	case what == "POST repository/branches":
		g.newBranch(w, r, p)
	case what == "GET repository/tree":
		g.tree(w, r, p)
	case what == "POST repository/commits":
		g.commit(w, r, p)
	default:
		say(w, http.StatusNotFound, map[string]any{"error": "404 Not Found"})
	}
}

// https://docs.gitlab.com/api/projects/#edit-a-project
func (g *GitLab) edit(w http.ResponseWriter, r *http.Request, p *Project) {
	var in struct {
		Name, Description *string
		Topics            *[]string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		say(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	if in.Name != nil {
		if wrong := g.wrong(path.Dir(p.PathWithNamespace), *in.Name, "", p.ID); len(wrong) > 0 {
			say(w, http.StatusBadRequest, map[string]any{"message": wrong})
			return
		}
		p.Name = *in.Name
	}
	if in.Description != nil {
		p.Description = in.Description
	}
	if in.Topics != nil {
		p.Topics = *in.Topics
	}
	say(w, http.StatusOK, p)
}

// https://docs.gitlab.com/api/branches/#get-single-repository-branch
func (g *GitLab) branch(w http.ResponseWriter, p *Project, name string) {
	c, err := g.commitOf(p, "refs/heads/"+name)
	if err != nil {
		say(w, http.StatusNotFound, map[string]any{"message": "404 Branch Not Found"})
		return
	}
	say(w, http.StatusOK, map[string]any{"name": name, "default": true, "protected": true, "commit": c})
}

// https://docs.gitlab.com/api/branches/#create-repository-branch
func (g *GitLab) newBranch(w http.ResponseWriter, r *http.Request, p *Project) {
	var in struct{ Branch, Ref string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		say(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	if _, err := Git(g.dir(p.PathWithNamespace), "branch", in.Branch, in.Ref); err != nil {
		say(w, http.StatusBadRequest, map[string]any{"message": "Branch already exists"})
		return
	}
	g.branch(w, p, in.Branch)
}

func (g *GitLab) commitOf(p *Project, rev string) (map[string]any, error) {
	out, err := Git(g.dir(p.PathWithNamespace), "log", "-1", "--format=%H%x00%P%x00%cn%x00%ce%x00%cI%x00%B", rev, "--")
	if err != nil {
		return nil, err
	}
	f := strings.SplitN(out, "\x00", 6)
	return map[string]any{"id": f[0], "parent_ids": strings.Fields(f[1]), "committer_name": f[2], "committer_email": f[3], "committed_date": f[4], "message": f[5]}, nil
}

// https://docs.gitlab.com/api/repositories/#list-repository-tree with offset pagination
// (https://docs.gitlab.com/api/rest/#offset-based-pagination).
func (g *GitLab) tree(w http.ResponseWriter, r *http.Request, p *Project) {
	q := r.URL.Query()
	out, err := Git(g.dir(p.PathWithNamespace), "ls-tree", "-r", "-t", q.Get("ref"))
	if err != nil {
		say(w, http.StatusNotFound, map[string]any{"message": "404 Tree Not Found"})
		return
	}
	nodes := []map[string]any{}
	for line := range strings.Lines(out) {
		meta, file, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		f := strings.Fields(meta)
		nodes = append(nodes, map[string]any{"id": f[2], "name": path.Base(file), "type": f[1], "path": file, "mode": f[0]})
	}
	page, per := max(atoi(q.Get("page")), 1), max(atoi(q.Get("per_page")), 20)
	per = min(per, 100)
	from, to := min((page-1)*per, len(nodes)), min(page*per, len(nodes))
	if to < len(nodes) {
		w.Header().Set("X-Next-Page", strconv.Itoa(page+1))
		q.Set("page", strconv.Itoa(page+1))
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, g.URL, r.URL.EscapedPath(), q.Encode()))
	}
	w.Header().Set("X-Page", strconv.Itoa(page))
	w.Header().Set("X-Per-Page", strconv.Itoa(per))
	say(w, http.StatusOK, nodes[from:to])
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// https://docs.gitlab.com/api/commits/#create-a-commit-with-multiple-files-and-actions
func (g *GitLab) commit(w http.ResponseWriter, r *http.Request, p *Project) {
	var in struct {
		Branch, CommitMessage string
		Actions               []struct {
			Action, Encoding, Content string
			FilePath                  string `json:"file_path"`
		}
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		var message struct {
			CommitMessage string `json:"commit_message"`
		}
		_ = json.Unmarshal(body, &message)
		err = json.Unmarshal(body, &in)
		in.CommitMessage = message.CommitMessage
	}
	if err != nil {
		say(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	refuse := func(why string) { say(w, http.StatusBadRequest, map[string]any{"message": why}) }
	if len(in.Actions) == 0 {
		refuse("actions is empty")
		return
	}
	dir, ref := g.dir(p.PathWithNamespace), "refs/heads/"+in.Branch
	parent, _ := Git(dir, "rev-parse", "--verify", "--quiet", ref)
	switch branches, _ := Git(dir, "for-each-ref", "refs/heads"); {
	case p.Archived:
		say(w, http.StatusForbidden, map[string]any{"message": "403 Forbidden - You are not allowed to push into this branch"})
		return
	case parent == "" && branches != "":
		refuse("You can only create or edit files when you are on a branch")
		return
	}
	var stream strings.Builder
	fmt.Fprintf(&stream, "commit %s\ncommitter group_77_bot <bot@example.org> now\ndata %d\n%s\n", ref, len(in.CommitMessage), in.CommitMessage)
	if parent != "" {
		fmt.Fprintf(&stream, "from %s\n", parent)
	}
	there := map[string]string{} // modes by path
	if parent != "" {
		out, _ := Git(dir, "ls-tree", "-r", "--format=%(objectmode) %(path)", parent)
		for line := range strings.Lines(out) {
			mode, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			there[path] = mode
		}
	}
	for _, a := range in.Actions {
		content := []byte(a.Content)
		if a.Encoding == "base64" {
			if content, err = base64.StdEncoding.DecodeString(a.Content); err != nil {
				refuse("invalid base64")
				return
			}
		}
		mode, exists := there[a.FilePath]
		switch {
		case a.Action == "create" && exists:
			refuse("A file with this name already exists")
			return
		case a.Action != "create" && !exists:
			refuse("A file with this name doesn't exist")
			return
		case a.Action == "delete":
			fmt.Fprintf(&stream, "D %s\n", a.FilePath)
			delete(there, a.FilePath)
		default:
			// What is updated stays what it is: a link gets another target.
			fmt.Fprintf(&stream, "M %s inline %s\ndata %d\n%s\n", cmp.Or(mode, "100644"), a.FilePath, len(content), content)
		}
	}
	cmd := exec.CommandContext(r.Context(), "git", "-C", dir, "fast-import", "--quiet", "--date-format=now") //nolint:gosec // a test's own folder
	cmd.Stdin = strings.NewReader(stream.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		say(w, http.StatusInternalServerError, map[string]any{"message": "500 Internal Server Error: " + string(out)})
		return
	}
	p.EmptyRepo = false
	c, err := g.commitOf(p, ref)
	if err != nil {
		say(w, http.StatusInternalServerError, map[string]any{"message": err.Error()})
		return
	}
	say(w, http.StatusCreated, c)
}
