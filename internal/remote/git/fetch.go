package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/span"
)

// maxFetch limits what is read of a repository that somebody else has filled.
const maxFetch = 64 << 20

// found is what a shallow fetch of one commit tells. With a nil commit the
// repository was too large to look at.
type found struct {
	commit  *object.Commit
	tree    plumbing.Hash
	objects objectSet
	entries []remote.Entry
}

// fetchHead reads the newest commit and its trees, without history and, where the
// server can leave them out, without the content of files.
func (r *Remote) fetchHead(ctx context.Context, repo string, head plumbing.Hash) (*found, error) {
	ctx, step := span.Start(ctx, span.GitFetched)
	defer step.End()
	step.Text("git.action", "fetch")
	s, err := r.dial.open(ctx, uploadPack, repo)
	if err != nil {
		return nil, err
	}
	defer s.close()
	caps := s.refs().Capabilities
	if !caps.Supports(capability.Shallow) || !caps.Supports(capability.Sideband64k) {
		return &found{}, nil
	}
	req := packp.NewUploadPackRequest()
	req.Wants = []plumbing.Hash{head}
	req.Depth = packp.DepthCommits(1)
	asked := []capability.Capability{capability.Shallow, capability.Sideband64k}
	for _, c := range []capability.Capability{capability.OFSDelta, capability.NoProgress} {
		// Nothing may be asked for that was not offered (gitprotocol-capabilities).
		if caps.Supports(c) {
			asked = append(asked, c)
		}
	}
	if caps.Supports(capability.Filter) {
		asked = append(asked, capability.Filter)
		req.Filter = packp.FilterBlobNone()
	}
	for _, c := range asked {
		if err := req.Capabilities.Set(c); err != nil {
			return nil, err
		}
	}
	var order bytes.Buffer
	if err := req.UploadRequest.Encode(&order); err != nil {
		return nil, err
	}
	order.WriteString("0009done\n")
	answer, err := s.post(ctx, &order, int64(order.Len()))
	if err != nil {
		return nil, err
	}
	store, err := readPack(req, answer)
	if errors.Is(err, errLarge) || errors.Is(err, errRefused) {
		return &found{}, nil
	}
	if err != nil {
		return nil, remote.Fail(NetCode(err), fmt.Errorf("fetch %s: %w", head, err))
	}
	return look(store, head)
}

// errRefused is a server that does not let us look, e.g. because it gives no
// shallow copies.
var errRefused = errors.New("server refuses the fetch")

func readPack(req *packp.UploadPackRequest, answer io.Reader) (*memory.Storage, error) {
	buffered := bufio.NewReader(answer)
	if first, err := buffered.Peek(8); err == nil && string(first[4:]) == "ERR " {
		said, _ := buffered.ReadString('\n')
		return nil, fmt.Errorf("%w: %q", errRefused, said)
	}
	resp := packp.NewUploadPackResponse(req)
	if err := resp.Decode(io.NopCloser(buffered)); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: sideband.NewDemuxer(sideband.Sideband64k, resp), N: maxFetch}
	store := memory.NewStorage()
	err := packfile.UpdateObjectStorage(store, limited)
	if limited.N <= 0 {
		return nil, errLarge
	}
	return store, err
}

// look lists the files of a commit. Blobs may be missing in the store.
func look(store *memory.Storage, head plumbing.Hash) (*found, error) {
	commit, err := object.GetCommit(store, head)
	if err != nil {
		return nil, remote.Fail(fault.RemoteError, fmt.Errorf("read commit %s: %w", head, err))
	}
	f := &found{commit: commit, tree: commit.TreeHash, objects: objectSet{}, entries: []remote.Entry{}}
	var walk func(h plumbing.Hash, prefix string) error
	walk = func(h plumbing.Hash, prefix string) error {
		tree, err := object.GetTree(store, h)
		if err != nil {
			return err
		}
		f.objects.add(h)
		for _, e := range tree.Entries {
			if e.Mode == filemode.Dir {
				if err := walk(e.Hash, prefix+e.Name+"/"); err != nil {
					return err
				}
				continue
			}
			if e.Mode != filemode.Submodule {
				f.objects.add(e.Hash)
			}
			f.entries = append(f.entries, remote.Entry{Path: prefix + e.Name, Mode: uint32(e.Mode), ID: e.Hash})
		}
		return nil
	}
	if err := walk(commit.TreeHash, ""); err != nil {
		return nil, remote.Fail(fault.RemoteError, fmt.Errorf("read tree of %s: %w", head, err))
	}
	sortEntries(f.entries)
	return f, nil
}
