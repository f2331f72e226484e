package git

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
)

// trialBranch begins the names of the branches that trials make.
const trialBranch = "middleware-api-doctor-"

// Trial pushes a commit of its own to a new branch of an existing repository and
// removes the branch again: the whole way of a push, with hooks and rights, but
// without touching an ARC. The commit stays unreachable until the server tidies
// up.
func (r *Remote) Trial(ctx context.Context, repo string) error {
	ctx, cancel := context.WithTimeout(ctx, r.opt.CommandTimeout)
	defer cancel()
	if d, ok := r.dial.(*fileDialer); ok {
		if err := d.owned(repo); err != nil {
			return r.clean(ctx, err)
		}
	}
	ref := plumbing.NewBranchReferenceName(trialBranch + rand.Text()[:8])
	file := []remote.File{{Path: "README.md", Content: bytes.NewReader([]byte("A trial of middleware-api doctor. It can be removed.\n"))}}
	out, err := buildBlobs(file, nil, r.opt.MemoryLimit, false)
	if err != nil {
		return r.clean(ctx, err)
	}
	out.addTrees(nil)
	commit, err := r.buildCommit("trial", out.tree, plumbing.ZeroHash, time.Now())
	if err != nil {
		return r.clean(ctx, err)
	}
	out.objects = append(out.objects, commit)
	if err := r.update(ctx, repo, ref, plumbing.ZeroHash, commit.Hash(), out.objects); err != nil {
		return r.clean(ctx, err)
	}
	if err := r.update(ctx, repo, ref, commit.Hash(), plumbing.ZeroHash, nil); err != nil {
		f := remote.FailureOf(err)
		return r.clean(ctx, f.With(fmt.Sprintf("the branch %s stays in %s; %s", ref.Short(), repo, f.Detail)))
	}
	return nil
}

// update moves one reference, and sends objects if it does not remove it.
func (r *Remote) update(ctx context.Context, repo string, ref plumbing.ReferenceName, old, head plumbing.Hash, objects []plumbing.EncodedObject) error {
	s, err := r.dial.open(ctx, receivePack, repo)
	if err != nil {
		return err
	}
	defer s.close()
	if err := supported(s.refs()); err != nil {
		return err
	}
	var order bytes.Buffer
	caps, err := encodeOrder(&order, s.refs(), ref, old, head)
	if err != nil {
		return err
	}
	if !head.IsZero() {
		if err := encodePack(&order, objects); err != nil {
			return err
		}
	}
	answer, err := s.post(ctx, &order, int64(order.Len()))
	if err == nil {
		err = readReport(answer, caps, ref)
		err = errors.Join(err, s.finish())
	}
	return err
}

// owned refuses to write into somebody else's repository: what we left there
// would be in their way for ever.
func (d *fileDialer) owned(repo string) error {
	info, err := os.Stat(filepath.Join(d.root, filepath.FromSlash(repo), "objects"))
	if errors.Is(err, fs.ErrNotExist) {
		return remote.Fail(fault.RepositoryMissing, err)
	}
	if err != nil {
		return fileFailure(err, "")
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return remote.Fail(fault.PushForbidden, fmt.Errorf("repository belongs to the user with number %d", st.Uid))
	}
	return nil
}
