package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// absence is how long a recycled worker may be away before the others stop
// waiting for its return: a fleet may have shrunk meanwhile.
const absence = 60 * time.Second

// turns lets the workers of a host take turns in leaving, by a lock on one
// file in the runtime directory. The worker whose turn it is writes its name
// there and holds the lock until its process ends, however it ends; until the
// next worker of that name is ready, nobody else leaves. Whoever else holds
// the lock (a rolling restart does, by flock(1)) keeps everybody in.
type turns struct {
	path     string // empty when there is nobody to take turns with
	instance string
}

func newTurns(dir, instance string) turns {
	t := turns{instance: instance}
	if t.instance == "" {
		t.instance = fmt.Sprintf("pid %d", os.Getpid())
	}
	if dir != "" {
		t.path = filepath.Join(dir, "recycle")
	}
	return t
}

// take tries to get the turn and gives what to call to hand it back, or nil
// when somebody else is away.
func (t turns) take(now time.Time) (release func(), err error) {
	if t.path == "" {
		return func() {}, nil
	}
	f, err := lockFile(t.path, syscall.LOCK_EX)
	if f == nil {
		return nil, err
	}
	away, since, err := whoIsAway(f)
	if err == nil && (away == "" || away == t.instance || now.Sub(since).Abs() > absence) {
		if err = rewrite(f, t.instance); err == nil {
			return func() { unlock(f) }, nil
		}
	}
	unlock(f)
	return nil, err
}

// back tells the others that this worker has returned. It reports false when
// it has to be tried again.
func (t turns) back() bool {
	if t.path == "" {
		return true
	}
	f, err := lockFile(t.path, syscall.LOCK_EX)
	if f == nil {
		return err != nil // nothing to be gained from a file that cannot be opened
	}
	defer unlock(f)
	if away, _, err := whoIsAway(f); err == nil && away == t.instance {
		_ = rewrite(f, "")
	}
	return true
}

func whoIsAway(f *os.File) (name string, since time.Time, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", time.Time{}, err
	}
	buf := make([]byte, 256)
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", time.Time{}, err
	}
	line, _, _ := bytes.Cut(buf[:n], []byte("\n"))
	return strings.TrimSpace(string(line)), info.ModTime(), nil
}

func rewrite(f *os.File, name string) error {
	if err := f.Truncate(0); err != nil || name == "" {
		return err
	}
	_, err := f.WriteAt([]byte(name+"\n"), 0)
	return err
}

// lockFile opens and locks without waiting. Both results are nil when another
// process has the lock.
func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, err
}

// unlock ends the lock at once. Closing alone would leave it to a process that
// is being started at this moment and has not let go of the descriptor yet.
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	_ = f.Close()
}
