package gitlab_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
)

// GitLab tells what the token may do and until when; one that was revoked is
// told as such.
func TestTokenTellsOfItself(t *testing.T) {
	t.Parallel()
	both(t, nil, func(t *testing.T, h *hub) {
		t.Helper()
		ask := h.remote.(interface {
			Token(ctx context.Context) (remote.Token, error)
		})
		h.Limit("2027-01-31", "api")
		got, err := ask.Token(t.Context())
		if err != nil || !slices.Equal(got.Scopes, []string{"api"}) || !got.Expires.Equal(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("got %+v, %v", got, err)
		}
		h.Limit("", "api", "write_repository")
		if got, err = ask.Token(t.Context()); err != nil || !got.Expires.IsZero() {
			t.Errorf("without an end: got %+v, %v", got, err)
		}
		h.Revoke("another")
		if _, err = ask.Token(t.Context()); remote.FailureOf(err).Fault.Code != fault.TokenRejected {
			t.Errorf("revoked: got %v", err)
		}
	})
}

// A trial goes the whole way to a project and leaves its branches as they were.
func TestTrialInAProject(t *testing.T) {
	t.Parallel()
	h := newHub(t, false, nil)
	res := h.push(t, version(1))
	before := h.git(t, "for-each-ref")
	try := h.remote.(interface {
		Trial(ctx context.Context, repo string) error
	})
	if err := try.Trial(t.Context(), res.Ref); err != nil {
		t.Fatal(err)
	}
	if after := h.git(t, "for-each-ref"); after != before {
		t.Errorf("branches before: %s\nafter: %s", before, after)
	}
}
