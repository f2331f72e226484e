package gitlab_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/remote/gitlab"
)

// Whatever GitLab, or something that stands in its place, answers, a push ends in
// a failure with a code and an owner, and the token is not in it.
func FuzzGitLabAnswers(f *testing.F) {
	for status, body := range map[int]string{
		200: `{"id":7,"path_with_namespace":"hub/arcs/x","path":"x","archived":false,"marked_for_deletion_on":null,"name":"x","topics":["a"]}`,
		201: `{"id":-1,"path_with_namespace":null}`,
		400: `{"message":{"name":["has already been taken"],"path":["has already been taken"]}}`,
		404: `{"message":"404 Project Not Found"}`,
		409: `{"message":["already being deleted"]}`,
		422: `[]`,
		429: `Retry later`,
		502: `<html>`,
	} {
		f.Add(status, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/api/v4/") {
				w.Header().Set("Content-Type", "application/json")
			}
			w.WriteHeader(status)
			if status != http.StatusNoContent && status != http.StatusNotModified {
				_, _ = w.Write([]byte(body))
			}
		}))
		defer server.Close()
		r, err := gitlab.New(gitlab.Options{URL: server.URL, Group: group, Token: token, Git: git.Options{}, RequestTimeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		_, err = r.Push(t.Context(), &remote.Push{ARC: strings.Repeat("0", 64), RDI: "r", Identifier: "i", Title: "t", When: time.Unix(1, 0)})
		if err == nil {
			t.Fatalf("%d %q counts as a push", status, body)
		}
		if x := remote.FailureOf(err); x.Fault.Code == "" || x.Fault.Owner == "" || strings.Contains(x.Error(), token) {
			t.Fatalf("%d %q: %v", status, body, err)
		}
	})
}
