package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
)

// workshop is a private folder in which Debian's git packs an ARC that is too
// large for memory. Nothing secret enters it: the pack is sent by us.
type workshop struct {
	dir     string
	entries []remote.Entry
}

func (w *workshop) remove() { _ = os.RemoveAll(w.dir) }

// buildOnDisk writes every file of the ARC into the workshop, once.
func (j *job) buildOnDisk(ctx context.Context) (*built, error) {
	if j.large == nil {
		dir, err := os.MkdirTemp(j.opt.ScratchDir, "arc-")
		if err != nil {
			return nil, fmt.Errorf("make scratch folder: %w", err)
		}
		j.large = &workshop{dir: dir}
		if err := j.large.fill(ctx, j.Files, j.opt.SizeLimit); err != nil {
			return nil, err
		}
	}
	return &built{entries: append([]remote.Entry(nil), j.large.entries...)}, nil
}

// fill feeds the files to git fast-import, which writes one pack. Only one file
// at a time is in memory.
func (w *workshop) fill(ctx context.Context, files []remote.File, limit int64) error {
	if err := CheckPaths(files); err != nil {
		return err
	}
	if out, err := gitCommand(ctx, "init", "--quiet", "--bare", "--template=", "--object-format=sha1", w.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("git init: %w: %s", err, out)
	}
	cmd := w.command(ctx, "-c", "fastimport.unpackLimit=0", "-c", "core.fsync=none", "fast-import", "--quiet", "--depth=0")
	said := &talk{}
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("git fast-import: %w", err)
	}
	ferr := w.feed(in, files, limit)
	_ = in.Close()
	if err := cmd.Wait(); err != nil && !isFailure(ferr) {
		ferr = fmt.Errorf("git fast-import: %w: %s", err, said.String())
	}
	return ferr
}

func isFailure(err error) bool {
	_, ok := errors.AsType[*remote.Failure](err)
	return ok
}

func (w *workshop) feed(in io.Writer, files []remote.File, limit int64) error {
	out := bufio.NewWriterSize(in, 1<<20)
	var buf bytes.Buffer
	var total int64
	tooLarge := remote.Fail(fault.ARCTooLarge, fmt.Errorf("ARC exceeds %d bytes", limit))
	for _, f := range files {
		buf.Reset()
		if _, err := f.Content.WriteTo(&capped{&buf, limit - total, tooLarge}); err != nil {
			return err
		}
		total += int64(buf.Len())
		w.entries = append(w.entries, remote.Entry{Path: f.Path, Mode: uint32(filemode.Regular), ID: BlobID(buf.Bytes())})
		if _, err := fmt.Fprintf(out, "blob\ndata %d\n", buf.Len()); err != nil {
			return err
		}
		if _, err := out.Write(buf.Bytes()); err != nil {
			return err
		}
		if err := out.WriteByte('\n'); err != nil {
			return err
		}
	}
	sortEntries(w.entries)
	return out.Flush()
}

// packFile is the finished pack, to be read once.
type packFile struct {
	*os.File
	size int64
}

// pack joins the new trees and the commit with the blobs that the other side
// lacks.
func (w *workshop) pack(ctx context.Context, out *built) (*packFile, error) {
	var list strings.Builder
	for _, o := range out.objects {
		fmt.Fprintln(&list, o.Hash())
	}
	for _, e := range w.entries {
		if !out.known.has(e.ID) {
			fmt.Fprintln(&list, plumbing.Hash(e.ID))
		}
	}
	var small bytes.Buffer
	if err := encodePack(&small, out.objects); err != nil {
		return nil, err
	}
	if err := w.run(ctx, &small, nil, "unpack-objects", "-q"); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(w.dir, "push.pack"))
	if err != nil {
		return nil, err
	}
	err = w.run(ctx, strings.NewReader(list.String()), f, "pack-objects", "--quiet", "--window=0", "--threads=1", "--stdout")
	var size int64
	if err == nil {
		size, err = f.Seek(0, io.SeekEnd)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &packFile{f, size}, nil
}

// command prepares git for the repository, which it names: a git that was told not to
// look for bare ones (safe.bareRepository) takes no other.
func (w *workshop) command(ctx context.Context, args ...string) *exec.Cmd {
	return gitCommand(ctx, append([]string{"-C", w.dir, "--git-dir", "."}, args...)...)
}

func (w *workshop) run(ctx context.Context, in io.Reader, out *os.File, args ...string) error {
	cmd := w.command(ctx, args...)
	said := &talk{}
	cmd.Stdin, cmd.Stderr = in, said
	if out != nil {
		cmd.Stdout = out
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, said.String())
	}
	return nil
}
