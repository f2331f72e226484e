package telemetry

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// How much is kept while nobody reads the log, in bytes. Access lines, of which
// there are most, leave room for what is said of trouble.
const (
	maxKept       = 1 << 20
	maxKeptAccess = maxKept / 2
)

// logPatience is how long somebody who logs waits for a reader that is behind.
// Longer than that the reader counts as hanging, and nobody waits for it any more.
const logPatience = 250 * time.Millisecond

// atomicWrite is what a pipe that is said to be writable takes without waiting
// (PIPE_BUF in pipe(7)).
const atomicWrite = 4096

// output is where lines go. Whoever reads them holds up nobody who logs, be it a
// journal that hangs, a pipe at whose end nobody is, or a terminal that was
// stopped. Each line is written at once and by itself, so that a crash loses none,
// as long as it is taken at once. When it is not, lines are kept, and a goroutine
// waits in place of the requests. A reader that is only slow slows down those who
// log more than it reads. For one that hangs, lines beyond the bound are counted,
// and their number is told when it goes on.
type output struct {
	file   *os.File
	fd     int
	socket bool // takes messages without waiting
	disk   bool // has no reader
	tell   func(lost int)

	mu     sync.Mutex
	behind bool // catchUp runs
	hangs  bool
	kept   []byte
	lost   int           // lines
	taken  chan struct{} // closed when the reader goes on
}

func newOutput(f *os.File) *output {
	o := &output{file: f, fd: int(f.Fd()), tell: func(int) {}, taken: make(chan struct{})}
	var s unix.Stat_t
	if unix.Fstat(o.fd, &s) == nil {
		o.socket, o.disk = s.Mode&unix.S_IFMT == unix.S_IFSOCK, s.Mode&unix.S_IFMT == unix.S_IFREG
	}
	return o
}

// Write takes a line. The error is that of the file, if the line was written at
// once.
func (o *output) Write(line []byte) (int, error) { return len(line), o.write(line, maxKept) }

func (o *output) write(line []byte, bound int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.behind && len(o.kept)+len(line) > bound {
		if o.hangs {
			o.lost++
			return nil
		}
		o.awaitReader()
	}
	if o.behind {
		o.kept = append(o.kept, line...)
		return nil
	}
	n, err := o.try(line)
	if errors.Is(err, unix.EAGAIN) {
		n, err = max(n, 0), nil
	}
	if err == nil && n < len(line) {
		o.behind = true
		o.kept = append(o.kept, line[n:]...)
		go o.catchUp()
	}
	return err
}

// try writes what is taken without waiting.
func (o *output) try(line []byte) (n int, err error) {
	switch {
	case o.disk:
		return o.file.Write(line)
	case o.socket:
		for {
			n, err = unix.SendmsgN(o.fd, line, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if !errors.Is(err, unix.EINTR) {
				return n, err
			}
		}
	}
	ready := []unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLOUT}}
	if _, err := unix.Poll(ready, 0); err != nil || ready[0].Revents == 0 || len(line) > atomicWrite {
		return 0, unix.EAGAIN
	}
	return o.file.Write(line)
}

// awaitReader waits, with the lock given away, until the reader has gone on or
// is seen to hang.
func (o *output) awaitReader() {
	taken := o.taken
	o.mu.Unlock()
	defer o.mu.Lock()
	patience := time.NewTimer(logPatience)
	defer patience.Stop()
	select {
	case <-taken:
	case <-patience.C:
		o.mu.Lock()
		o.hangs = o.hangs || taken == o.taken
		o.mu.Unlock()
	}
}

// catchUp writes what is kept, and waits for the reader.
func (o *output) catchUp() {
	for {
		text, lost := o.take()
		if len(text) == 0 && lost == 0 {
			return
		}
		for part := range slices.Chunk(text, 64<<10) {
			_, _ = o.file.Write(part) // a log that cannot be written has nobody to tell
			o.goOn()
		}
		if lost > 0 {
			o.tell(lost)
		}
	}
}

// take empties what is kept; when nothing is, the reader is behind no more.
func (o *output) take() (text []byte, lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text, lost = o.kept, o.lost
	o.kept, o.lost = nil, 0
	o.behind = len(text) > 0 || lost > 0
	return text, lost
}

// goOn says that the reader has taken something.
func (o *output) goOn() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hangs = false
	close(o.taken)
	o.taken = make(chan struct{})
}

// flush waits until all that is kept is written, within bounds.
func (o *output) flush() {
	for deadline := time.Now().Add(lastPatience); o.isBehind() && time.Now().Before(deadline); {
		time.Sleep(lastPoll)
	}
}

func (o *output) isBehind() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.behind
}
