package gitlab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/span"
)

// known is what is remembered of a project between two pushes, so that a push
// needs no request about it.
type known struct {
	ID    int64  `json:"id"`
	Path  string `json:"path"`  // full path, below the group
	Meta  string `json:"meta"`  // digest of the metadata that was last set
	Place string `json:"place"` // where it was found: URL of GitLab and group
}

// known reads what is remembered. What was found elsewhere, before the configuration
// was changed, says nothing here: the number is that of another project.
func (c *client) known(b []byte) (k known) {
	if json.Unmarshal(b, &k) != nil || k.Place != c.place {
		return known{}
	}
	return k
}

func (k known) encode() []byte {
	b, err := json.Marshal(k)
	if err != nil {
		return nil
	}
	return b
}

func (m metadata) digest() string {
	h := sha256.Sum256([]byte(strings.Join(append([]string{m.Title, m.Description}, m.Topics...), "\x00")))
	return hex.EncodeToString(h[:12])
}

// ensure finds or creates the project of an ARC and keeps its metadata fresh.
func (c *client) ensure(ctx context.Context, arcID string, m metadata) (known, error) {
	ctx, step := span.Start(ctx, span.Ensure)
	defer step.End()
	step.Text("arc_id", arcID)
	step.Text("group", c.group)
	p, err := c.findOrCreate(ctx, arcID, m)
	if err != nil {
		return known{}, c.everybody(err)
	}
	if p.PathWithNamespace == "" {
		p.PathWithNamespace = c.group + "/" + arcID // a server that is only like GitLab
	}
	if err := c.usable(ctx, p); err != nil {
		return known{}, err
	}
	if err := c.refresh(ctx, p, arcID, m); err != nil {
		return known{}, c.failure(err)
	}
	return known{ID: p.ID, Path: p.PathWithNamespace, Meta: m.digest(), Place: c.place}, nil
}

func (c *client) findOrCreate(ctx context.Context, arcID string, m metadata) (*gl.Project, error) {
	ctx, step := span.Start(ctx, span.Project)
	defer step.End()
	step.Text("arc_id", arcID)
	p, err := c.find(ctx, arcID)
	if err == nil && p == nil {
		p, err = c.create(ctx, arcID, m)
	}
	return p, err
}

// find looks a project up by its full path; nil if there is none. GitLab leads on
// from the old path of a renamed project.
func (c *client) find(ctx context.Context, arcID string) (*gl.Project, error) {
	ctx, step := span.Start(ctx, span.Find)
	defer step.End()
	step.Text("arc_id", arcID)
	fullPath := c.group + "/" + arcID
	p, err := asked(ctx, c, func(o gl.RequestOptionFunc) (*gl.Project, *gl.Response, error) {
		return c.api.Projects.GetProject(fullPath, nil, o)
	})
	if notFound(err) {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	return real(p, err)
}

// real refuses an answer that describes no project, as a proxy may give it.
func real(p *gl.Project, err error) (*gl.Project, error) {
	if err == nil && p.ID == 0 {
		return nil, remote.Fail(fault.RemoteError, errors.New("the answer describes no project"))
	}
	return p, err
}

// usable refuses projects that take no pushes, or none of ours.
func (c *client) usable(ctx context.Context, p *gl.Project) error {
	what := fmt.Errorf("project %s (id %d)", p.PathWithNamespace, p.ID)
	inGroup := strings.EqualFold(path.Dir(p.PathWithNamespace), c.group)
	// The older of the two names is what GitLab before 18 gives.
	marked := p.MarkedForDeletionOn != nil || p.MarkedForDeletionAt != nil //nolint:staticcheck // see above
	switch {
	case marked || strings.Contains(p.Path, "deletion_scheduled-"):
		return remote.Fail(fault.ProjectPendingDeletion, what)
	case !inGroup:
		// It may be the group that has another name now; projects lead on from their old paths.
		c.forgetGroup()
		if _, err := c.groupNumber(ctx); err != nil {
			return c.everybody(err)
		}
		return remote.Fail(fault.ProjectMoved, what)
	case p.Archived:
		return remote.Fail(fault.ProjectArchived, what)
	}
	return nil
}

// create makes a private project (https://docs.gitlab.com/api/projects/#create-a-project).
func (c *client) create(ctx context.Context, arcID string, m metadata) (*gl.Project, error) {
	group, err := c.groupNumber(ctx)
	if err != nil {
		return nil, err
	}
	if c.turn != nil {
		wait, err := c.turn(ctx, arcID)
		if err != nil {
			return nil, remote.FailureOf(err)
		}
		if wait > 0 {
			return nil, remote.Fail(fault.CreationBudgetSpent, errors.New("next turn in "+wait.String())).After(wait)
		}
	}
	p, err := c.createAs(ctx, arcID, m.Title, group, m)
	if taken(err) == "name" {
		c.log.WarnContext(ctx, "title is taken by another project", "arc_id", arcID, "title", m.Title)
		p, err = c.createAs(ctx, arcID, distinct(m.Title, arcID), group, m)
	}
	if err == nil {
		return p, nil
	}
	switch f := c.everybody(err); {
	case taken(err) == "name":
		return nil, remote.Fail(fault.ProjectTitleTaken, err).With(f.Detail)
	case taken(err) == "path" || uncertain(f):
		// Somebody was faster, or we were and did not hear of it.
		found, ferr := c.find(ctx, arcID)
		if ferr == nil && found != nil {
			return found, nil
		}
		switch {
		case strings.Contains(f.Detail, "still being deleted"):
			busy := remote.Fail(fault.RepositoryBusy, err).With(f.Detail)
			busy.Fault.Text, busy.Fault.Remedy = "GitLab is still deleting the project that was there.", "Tried again by itself"
			return nil, busy
		case taken(err) == "path":
			return nil, remote.Fail(fault.ProjectPendingDeletion, err).With(f.Detail)
		}
		return nil, f
	case f.Fault.Code == fault.RepositoryMissing:
		// The group is gone since its number was learnt.
		c.forgetGroup()
		return nil, remote.Fail(fault.GroupMissing, err)
	default:
		return nil, f
	}
}

func (c *client) createAs(ctx context.Context, arcID, title string, group int64, m metadata) (*gl.Project, error) {
	opt := &gl.CreateProjectOptions{Name: &title, Path: &arcID, NamespaceID: &group, Visibility: &c.visible}
	if m.Description != "" {
		opt.Description = &m.Description
	}
	if m.Topics != nil {
		opt.Topics = &m.Topics
	}
	if err := failpoint.Hit(failpoint.ProjectBegin); err != nil {
		return nil, err
	}
	p, err := real(asked(ctx, c, func(o gl.RequestOptionFunc) (*gl.Project, *gl.Response, error) {
		return c.api.Projects.CreateProject(opt, o)
	}))
	if lost := failpoint.Hit(failpoint.ProjectMade); err == nil {
		err = lost
	}
	return p, err
}

// taken tells what GitLab says has been taken already: "path", "name" or "".
func taken(err error) string {
	e, ok := errors.AsType[*gl.ErrorResponse](err)
	if !ok || e.StatusCode != http.StatusBadRequest && e.StatusCode != http.StatusConflict {
		return ""
	}
	var body struct {
		Message map[string][]string `json:"message"`
	}
	if json.Unmarshal(e.Body, &body) != nil {
		// Messages of other shapes, e.g. one text.
		field := "name"
		if strings.Contains(string(e.Body), "path") {
			field = "path"
		}
		body.Message = map[string][]string{field: {string(e.Body)}}
	}
	what := ""
	for field, texts := range body.Message {
		for _, t := range texts {
			if !strings.Contains(t, "already been taken") && !strings.Contains(t, "being deleted") {
				continue
			}
			if strings.HasSuffix(field, "path") || strings.Contains(t, "being deleted") {
				return "path"
			}
			if strings.HasSuffix(field, "name") {
				what = "name"
			}
		}
	}
	return what
}

// everybody words an error of looking up or creating a project. A refusal of
// these says nothing about the one project: GitLab hides projects of others as
// missing, and the right to create them belongs to the group. It answers 403, or
// 400 about the namespace, the visibility or the limit of projects
// (https://docs.gitlab.com/user/group/manage/#specify-who-can-add-projects-to-a-group).
func (c *client) everybody(err error) *remote.Failure {
	f := c.failure(err)
	e, ok := errors.AsType[*gl.ErrorResponse](err)
	if !ok {
		return f
	}
	var body struct {
		Message map[string][]string `json:"message"`
	}
	_ = json.Unmarshal(e.Body, &body) // other shapes say nothing about the group
	about := body.Message
	if e.StatusCode == http.StatusBadRequest && len(about["visibility_level"]) > 0 {
		f = remote.Fail(fault.GroupForbidden, err).With(f.Detail)
		f.Fault.Text = "The configured group takes no projects of the configured visibility."
		f.Fault.Remedy = "Set git_repo.projects_visibility to what the group and GitLab's administrator allow and run: systemctl restart middleware-api-sync; " +
			"or let them allow it. Pushing resumes by itself"
		return f
	}
	// An empty limit_reached comes with other reasons as well.
	barred := len(about["namespace"])+len(about["limit_reached"]) > 0 || strings.Contains(strings.Join(about["base"], "\n"), "project limit")
	if f.Fault.Code == fault.PushForbidden || e.StatusCode == http.StatusBadRequest && barred {
		return remote.Fail(fault.GroupForbidden, err).With(f.Detail).After(f.Fault.RetryAfter)
	}
	return f
}

// refresh changes what differs of the metadata, in one request
// (https://docs.gitlab.com/api/projects/#edit-a-project).
func (c *client) refresh(ctx context.Context, p *gl.Project, arcID string, m metadata) error {
	opt := gl.EditProjectOptions{}
	second := distinct(m.Title, arcID)
	if p.Name != m.Title && p.Name != second {
		opt.Name = &m.Title
	}
	if p.Description != m.Description {
		opt.Description = &m.Description
	}
	if m.Topics != nil && !slices.Equal(p.Topics, m.Topics) {
		opt.Topics = &m.Topics
	}
	if opt == (gl.EditProjectOptions{}) {
		return nil
	}
	edit := func() error {
		_, err := asked(ctx, c, func(o gl.RequestOptionFunc) (*gl.Project, *gl.Response, error) {
			return c.api.Projects.EditProject(p.ID, &opt, o)
		})
		return err
	}
	err := edit()
	if taken(err) == "name" && opt.Name != nil {
		opt.Name = &second
		err = edit()
	}
	if taken(err) == "name" {
		return remote.Fail(fault.ProjectTitleTaken, err)
	}
	return err
}

// groupNumber gives the id of the group, asked for once.
func (c *client) groupNumber(ctx context.Context) (int64, error) {
	c.mu.Lock()
	id := c.groupID
	c.mu.Unlock()
	if id != 0 {
		return id, nil
	}
	g, err := asked(ctx, c, func(o gl.RequestOptionFunc) (*gl.Group, *gl.Response, error) {
		// Without this GitLab lists the projects of the group, too.
		opt := &gl.GetGroupOptions{WithProjects: gl.Ptr(false)} //nolint:staticcheck // the way of API version 4
		return c.api.Groups.GetGroup(c.group, opt, o)
	})
	if notFound(err) {
		return 0, remote.Fail(fault.GroupMissing, fmt.Errorf("group %s", c.group))
	}
	if err != nil {
		return 0, err
	}
	if g.ID == 0 {
		return 0, remote.Fail(fault.RemoteError, errors.New("the answer describes no group"))
	}
	c.mu.Lock()
	c.groupID = g.ID
	c.mu.Unlock()
	return g.ID, nil
}

func (c *client) forgetGroup() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groupID = 0
}

// check asks who we are and for the group: what a sound remote answers.
func (c *client) check(ctx context.Context) error {
	_, err := asked(ctx, c, func(o gl.RequestOptionFunc) (*gl.User, *gl.Response, error) {
		return c.api.Users.CurrentUser(o)
	})
	if err != nil {
		return c.failure(err)
	}
	c.forgetGroup()
	if _, err := c.groupNumber(ctx); err != nil {
		return c.everybody(err)
	}
	return nil
}
