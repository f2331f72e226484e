package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
)

// manyPacks is from where on git tidies a repository up during the push.
const manyPacks = 50

// fileDialer runs git's own server side on local bare repositories: hooks run,
// and refusals come back as over a network.
type fileDialer struct {
	root   string
	branch string
	swept  sync.Once
}

func (d *fileDialer) close() {}

func (d *fileDialer) open(ctx context.Context, service, repo string) (session, error) {
	dir := filepath.Join(d.root, filepath.FromSlash(repo))
	_, err := os.Stat(filepath.Join(dir, "HEAD"))
	if errors.Is(err, fs.ErrNotExist) && service == receivePack {
		err = d.create(ctx, dir)
	}
	if err != nil {
		return nil, fileFailure(err, "")
	}
	if service != receivePack {
		return startService(ctx, service, dir, nil)
	}
	alive, err := d.enter(dir)
	if err != nil {
		return nil, fileFailure(err, "")
	}
	defer func() { _ = alive.Close() }() // git has a copy of its own
	return startService(ctx, service, dir, alive)
}

// usable tells what keeps repositories of the group from being made. The service
// makes the folders that are missing.
func (d *fileDialer) usable(group string) error {
	if _, err := exec.LookPath("git"); err != nil {
		return fileFailure(err, "")
	}
	dir := filepath.Join(d.root, filepath.FromSlash(group))
	for {
		err := unix.Access(dir, unix.W_OK|unix.X_OK)
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return fmt.Errorf("the user with number %d cannot make repositories in %s: %w; chown it to the user of the synchroniser, "+
				"or look at it as that user or as root", os.Geteuid(), dir, err)
		}
		dir = filepath.Dir(dir)
	}
}

// lockAge is the age from which a lock of git may be one that was left behind. Git
// holds them for moments; who else pushes here, by hand, gets time for his hooks.
const lockAge = time.Minute

// enter gives a file that tells, while a copy of it is open, that somebody of ours
// writes to the repository, and removes what the killed have left: git itself never
// takes away a lock of a process that is no more, and refuses every push for it.
func (d *fileDialer) enter(dir string) (*os.File, error) {
	objects := filepath.Join(dir, "objects")
	// Git would say that it cannot write, and not why.
	if err := unix.Access(objects, unix.W_OK|unix.X_OK); err != nil {
		return nil, &fs.PathError{Op: "write to", Path: objects, Err: err}
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		for _, name := range []string{"HEAD", "refs/heads/" + d.branch, "packed-refs"} {
			removeOld(filepath.Join(dir, name+".lock"))
		}
		removeBegun(objects)
	}
	// A file system without such locks just never gets here alone.
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	return f, nil
}

// removeBegun removes the objects of pushes that never ended. Git would do so weeks after
// the repository has been tidied up, which a quiet one never is.
func removeBegun(objects string) {
	entries, err := os.ReadDir(objects)
	if err != nil {
		return // git will say it
	}
	for _, e := range entries { // names of today's git and of older ones
		if strings.HasPrefix(e.Name(), "tmp_objdir-") || strings.HasPrefix(e.Name(), "incoming-") {
			removeOld(filepath.Join(objects, e.Name()))
		}
	}
}

// removeOld removes a file or folder that nobody has touched for a while, in one step:
// whoever sleeps over his work must not find a part of it. What cannot be removed stays
// for the next time.
func removeOld(path string) {
	info, err := os.Lstat(path)
	if err != nil || time.Since(info.ModTime()).Abs() <= lockAge {
		return
	}
	if !info.IsDir() {
		_ = os.Remove(path)
		return
	}
	gone := strings.TrimSuffix(path, goneSuffix) + goneSuffix
	if path == gone || os.Rename(path, gone) == nil {
		_ = os.RemoveAll(gone)
	}
}

// tryDisk tells what keeps a folder from being written to: git, from version 2.45
// on, says of a full disk only that it could not write.
func tryDisk(dir string) (err error) {
	f, err := os.CreateTemp(dir, "try-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(make([]byte, 16<<10)) // more than what a file needs that is small
	return errors.Join(err, f.Sync(), f.Close())
}

// goneSuffix ends the names of folders that are being removed.
const goneSuffix = ".gone"

// create makes a bare repository beside its place and moves it there when it is
// complete and on disk, so that a crash leaves either nothing or all of it.
func (d *fileDialer) create(ctx context.Context, dir string) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	d.swept.Do(func() { sweep(parent) })
	tmp, err := os.MkdirTemp(parent, newPrefix+"*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := os.Chmod(tmp, 0o755); err != nil { //nolint:gosec // repositories are for everybody to read
		return err
	}
	cmd := gitCommand(ctx, "init", "--quiet", "--bare", "--template=", "--object-format=sha1", "--initial-branch="+d.branch, tmp)
	if out, err := cmd.CombinedOutput(); err != nil {
		if disk := tryDisk(tmp); disk != nil {
			return fmt.Errorf("create repository: %w", disk)
		}
		return fmt.Errorf("create repository: %w: %s", err, bytes.TrimSpace(out))
	}
	if err := syncTree(tmp); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.RepositoryMade); err != nil {
		return err
	}
	// Somebody else may have been faster; theirs is as good.
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := failpoint.Hit(failpoint.RepositoryPlaced); err != nil {
		return err
	}
	return syncPath(parent)
}

// newPrefix begins the names of repositories that are not complete yet.
const newPrefix = ".new-"

// sweep removes what creators of repositories have left that were killed. There may be
// very many other repositories.
func sweep(parent string) {
	f, err := os.Open(parent)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	for err == nil {
		var names []string
		names, err = f.Readdirnames(1000)
		for _, name := range names {
			if strings.HasPrefix(name, newPrefix) {
				removeOld(filepath.Join(parent, name))
			}
		}
	}
}

// gitCommand prepares a git process that can neither ask anybody nor see our
// secrets, and that ends with everything it started when ctx does.
func gitCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	// References are files: their locks and what is to be on disk are known to us.
	cmd.Env = append(cmd.Env, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_DEFAULT_REF_FORMAT=files")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// processSession is git-receive-pack or git-upload-pack on our own machine.
type processSession struct {
	cmd    *exec.Cmd
	dir    string
	in     io.WriteCloser
	out    io.ReadCloser
	errors *talk
	adv    *packp.AdvRefs
	wrote  chan error // result of writing the order
	writes bool
	ended  bool
}

// startService runs a service of git, which keeps the file alive open, if there is one.
func startService(ctx context.Context, service, dir string, alive *os.File) (session, error) {
	// An acknowledged push survives a power cut: objects and reference are on disk
	// before git says ok. One pack per push instead of single objects: two files to
	// wait for instead of dozens.
	args := []string{"-c", "core.fsync=committed,reference", "-c", "transfer.unpackLimit=1",
		"-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false", "-c", fmt.Sprintf("receive.autogc=%t", packs(dir) >= manyPacks),
		"-c", "uploadpack.allowFilter=true", strings.TrimPrefix(service, "git-"), dir}
	s := &processSession{cmd: gitCommand(ctx, args...), dir: dir, errors: &talk{}, writes: service == receivePack}
	s.cmd.Stderr = s.errors
	if alive != nil {
		s.cmd.ExtraFiles = []*os.File{alive}
	}
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if s.out, err = s.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if s.adv, err = readRefs(s.out); err != nil {
		s.close()
		return nil, fileFailure(err, s.errors.String())
	}
	return s, nil
}

func packs(dir string) int {
	entries, err := os.ReadDir(filepath.Join(dir, "objects", "pack"))
	if err != nil {
		return 0
	}
	return len(entries) / 2
}

func (s *processSession) refs() *packp.AdvRefs { return s.adv }

func (s *processSession) post(_ context.Context, body io.Reader, _ int64) (io.Reader, error) {
	s.wrote = make(chan error, 1)
	go func() {
		_, err := io.Copy(s.in, body)
		if cerr := s.in.Close(); err == nil {
			err = cerr
		}
		s.wrote <- err
	}()
	return s.out, nil
}

// finish waits for the end of the process and for the folders that hold the new
// names to be on disk.
func (s *processSession) finish() error {
	werr := s.end()
	err := s.cmd.Wait()
	if err == nil {
		err = werr
	}
	if err == nil && s.writes {
		err = s.sync()
	}
	if err != nil {
		return fileFailure(err, s.errors.String())
	}
	return nil
}

func (s *processSession) sync() error {
	for _, sub := range []string{"objects/pack", "objects", "refs/heads", "."} {
		if err := syncPath(filepath.Join(s.dir, sub)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// end closes the way in and waits for whoever writes to it.
func (s *processSession) end() error {
	if s.ended {
		return nil
	}
	s.ended = true
	if s.wrote == nil {
		return s.in.Close()
	}
	return <-s.wrote
}

func (s *processSession) close() {
	if s.cmd.ProcessState != nil {
		return
	}
	if s.wrote == nil {
		_, _ = io.WriteString(s.in, "0000") // we want nothing
	} else {
		// The answer was not read to its end; nobody else will.
		_ = s.cmd.Cancel()
	}
	_ = s.end()
	_, _ = io.Copy(io.Discard, s.out)
	_ = s.cmd.Wait()
}

// fileFailure gives the failure for an error on the local machine.
func fileFailure(err error, said string) error {
	if f, ok := errors.AsType[*remote.Failure](err); ok {
		return f
	}
	text := err.Error() + "\n" + said
	switch code := codeOf(text); {
	case errors.Is(err, exec.ErrNotFound):
		return remote.Fail(fault.InternalError, fmt.Errorf("%w: apt-get install git", err))
	case code != "" && code != codeIncomplete:
		return remote.Fail(code, err).With(said)
	case errors.Is(err, fs.ErrPermission):
		return remote.Fail(fault.PushForbidden, err).With(said)
	case errors.Is(err, fs.ErrNotExist), strings.Contains(said, "not appear to be a git repository"):
		return remote.Fail(fault.RepositoryMissing, err).With(said)
	}
	return remote.Fail(fault.RemoteError, err).With(said)
}

// syncTree brings every file and folder below dir to disk.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncPath(path)
	})
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}
