package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/store"
)

const secretToken = "glpat-0123456789abcdefghij"

// withGitLab is a site that pushes to a GitLab of the test's own.
func withGitLab(tb testing.TB) (*site, *gitlabtest.GitLab) {
	tb.Helper()
	hub := gitlabtest.NewGitLab(tb, secretToken, "arcs")
	dsn := pgtest.DSN(tb)
	st, err := store.Open(tb.Context(), store.Options{DSN: dsn})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(st.Close)
	return &site{
		store: st,
		config: write(tb, "config.yaml", fmt.Sprintf("known_rdis: [edal]\nrequire_client_cert: false\nlisten: []\ndatabase:\n  url: %q\n"+
			"git_repo:\n  url: %q\n  group: arcs\n  token: %q\n", dsn, hub.URL, secretToken)),
	}, hub
}

// synchronise pushes what is due with the site's own configuration until there
// is nothing left that could be pushed now.
func (s *site) synchronise(tb testing.TB) {
	tb.Helper()
	s.whileSynchronising(tb, discard(), func() bool {
		list, _, err := s.store.ARCs(tb.Context(), store.ARCFilter{State: store.Due, Limit: 1})
		if err != nil {
			tb.Fatal(err)
		}
		r, err := s.store.Remote(tb.Context(), remoteName)
		if err != nil {
			tb.Fatal(err)
		}
		return len(list) == 0 || r.Paused
	})
}

// whileSynchronising runs a synchroniser with the site's own configuration until
// the condition holds.
func (s *site) whileSynchronising(tb testing.TB, log *slog.Logger, condition func() bool) {
	tb.Helper()
	c, err := readByHand(s.config, config.RoleSync)
	if err != nil {
		tb.Fatal(err)
	}
	to, err := newRemote(&c.Config, log, nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer to.Close()
	o := syncOptions(&c.Config, log)
	o.Poll = 20 * time.Millisecond
	runUntil(tb, gitsync.New(s.store, to, o), condition)
}

// Doctor looks at the token, pushes on demand, and says for each trouble what
// to do.
func TestDoctorLooksAtTheGitStore(t *testing.T) {
	t.Parallel()
	s, hub := withGitLab(t)
	hub.Limit(time.Now().AddDate(0, 3, 0).Format(time.DateOnly), "api", "write_repository")
	doctor := func(args ...string) invocation { return s.run(t, append([]string{"doctor"}, args...)...) }

	got := doctor("--push")
	want(t, got, got.code, "ok git store: git can be pushed to", `ok token: the token "middleware" has the scopes api, write_repository`,
		"there is no repository yet")
	s.submitCrate(t, "A1")
	s.synchronise(t)
	got = doctor("--push")
	want(t, got, got.code, "ok trial push: a branch was pushed to arcs/")

	hub.Limit(time.Now().AddDate(0, 0, 3).Format(time.DateOnly), "read_api")
	want(t, doctor(), 2, "lacks the scope api", `the access token "middleware" ends on`, "-> Create a new group access token", "gitlab-token", "systemctl restart middleware-api-sync")

	hub.Revoke("another")
	got = doctor("--push")
	want(t, got, 2, "failed git store: The git server does not accept the access token.", "failed trial push")
	if strings.Contains(got.out, secretToken) {
		t.Errorf("the token is shown:\n%s", got.out)
	}
}

// A bundle has what somebody who helps from afar needs, and no secret.
func TestBundleHoldsNoSecret(t *testing.T) {
	t.Parallel()
	s, _ := withGitLab(t)
	path := filepath.Join(t.TempDir(), "bundle.tar.gz")
	s.run(t, "doctor", "--bundle", path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	f, err := os.Open(path) //nolint:gosec // a file of the test
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for in := tar.NewReader(zip); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		names[filepath.Base(h.Name)] = true
		if strings.Contains(string(data), secretToken) {
			t.Errorf("%s holds the token:\n%s", h.Name, data)
		}
	}
	for _, name := range []string{"doctor.txt", "config.txt", "journal.txt", "units.txt", "os.txt"} {
		if !names[name] {
			t.Errorf("%s is missing: %v", name, names)
		}
	}
	if again := s.run(t, "doctor", "--bundle", path); again.code != cli.ExitCannotCreate {
		t.Errorf("over an existing file: %+v", again)
	}
}
