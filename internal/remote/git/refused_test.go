package git_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
)

// A server that gives no shallow copies is pushed to all the same: our commit goes on top of what nobody could look at.
func TestShallowCopyRefused(t *testing.T) {
	t.Parallel()
	b := overHTTP(t, nil)
	first := b.push(t, version(1))
	theirs := gitlabtest.Commit(t, b.repo, map[string]string{"NOTES.md": "mine"})
	b.server.Script(func(r *http.Request) *gitlabtest.Fault {
		if !strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
			return nil
		}
		return &gitlabtest.Fault{
			Status: http.StatusOK, Body: "0020ERR shallow is not allowed.\n",
			Header: http.Header{"Content-Type": {"application/x-git-upload-pack-result"}},
		}
	})
	p := version(2)
	p.Recorded = first.State
	b.push(t, p)
	if parent := b.git(t, "rev-parse", "main^"); parent != theirs {
		t.Errorf("parent %s, want %s", parent, theirs)
	}
}
