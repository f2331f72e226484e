package worker

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Connections gather in few workers, because requests that meet in one process
// are cheaper: uploads share a commit, and threads that are busy need not be
// woken. Spread evenly over five processes, the same load costs twice the
// processor time (docs/benchmarks.md). The first worker takes all connections
// until it is crowded, then the second, and so on; when all are crowded, they
// spread evenly.
//
// crowd is how many connections make a worker crowded; it has room again below
// three quarters of that.
const crowd = 128

// A connection that a better worker does not take within twice this time is
// taken by any: the better one hangs, or has no time. For a while nobody waits
// for it any more.
const (
	gatherPatience = 20 * time.Millisecond
	gatherAlone    = time.Second
)

// room says which workers of a host take connections and are not crowded. Each
// of them has a lock on the byte of its number in one file (an open file description
// lock, fcntl_locking(2)), which no kind of death can leave behind, and which others can ask
// for without taking it.
type room struct {
	number int64        // of the worker, from 1 on
	load   func() int64 // connections

	mu   sync.Mutex
	file *os.File // nil once the worker has left
	mine bool     // the lock is held
}

// openRoom gives nil if there is nobody to gather with: no runtime directory,
// or no number among the workers.
func openRoom(dir, instance string, load func() int64) (*room, error) {
	number, _ := strconv.ParseInt(instance, 10, 32) // 0 if it is none
	if dir == "" || number < 1 {
		return nil, nil
	}
	f, err := os.OpenFile(filepath.Join(dir, "room"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return &room{number: number, load: load, file: f}, nil
}

// better tells whether another worker should take the next connection. It also
// says whether this one has room.
func (r *room) better() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return false
	}
	limit := int64(crowd)
	if !r.mine {
		limit = crowd * 3 / 4
	}
	switch has := r.load() < limit; {
	case has && !r.mine:
		r.mine = r.lock(unix.F_WRLCK)
	case !has && r.mine:
		r.mine = !r.lock(unix.F_UNLCK)
	}
	before := unix.Flock_t{Type: unix.F_WRLCK, Start: 1, Len: r.number - 1}
	if !r.mine {
		before.Len = math.MaxInt32
	}
	if before.Len == 0 { // which would stand for all
		return false
	}
	err := unix.FcntlFlock(r.file.Fd(), unix.F_OFD_GETLK, &before)
	return err == nil && before.Type != unix.F_UNLCK
}

// lock changes the lock on the worker's own byte.
func (r *room) lock(kind int16) bool {
	l := unix.Flock_t{Type: kind, Start: r.number, Len: 1}
	return unix.FcntlFlock(r.file.Fd(), unix.F_OFD_SETLK, &l) == nil
}

// leave makes the others stop waiting for this worker.
func (r *room) leave() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		_ = r.file.Close()
		r.file, r.mine = nil, false
	}
}

// gathering is a listener that leaves connections to better workers.
type gathering struct {
	sharable

	room    *room
	arrival syscall.RawConn
	socket  *os.File           // the same socket, to wait for connections without taking one
	ctx     context.Context    //nolint:containedctx // ends with Close; Accept has none
	cancel  context.CancelFunc // of ctx
	alone   time.Time          // until then better workers are not waited for
}

// sharable is what TCP and unix listeners have.
type sharable interface {
	net.Listener
	SetDeadline(t time.Time) error
	File() (*os.File, error)
}

// gather lets the listeners leave connections to better workers.
func (ls listeners) gather(r *room) error {
	for _, set := range ls {
		for i, l := range set {
			s, ok := l.(sharable)
			if !ok {
				continue
			}
			g, err := newGathering(s, r)
			if err != nil {
				return err
			}
			set[i] = g
		}
	}
	return nil
}

func newGathering(l sharable, r *room) (*gathering, error) {
	socket, err := l.File() // never Fd: that would make the socket blocking, for everybody
	if err != nil {
		return nil, err
	}
	arrival, err := socket.SyscallConn()
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	g := &gathering{sharable: l, room: r, arrival: arrival, socket: socket}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g, nil
}

// Accept implements net.Listener.
func (g *gathering) Accept() (net.Conn, error) {
	for {
		if err := g.await(); err != nil {
			return nil, err
		}
		// The connection may be gone by now.
		if err := g.SetDeadline(time.Now().Add(gatherPatience)); err != nil {
			return nil, err
		}
		conn, err := g.sharable.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return conn, err
		}
	}
}

// await returns when a connection has arrived that this worker should take.
func (g *gathering) await() error {
	for {
		_ = g.room.better() // says that there is room, before anybody asks
		if err := g.arrival.Read(pending); err != nil {
			return net.ErrClosed
		}
		if time.Now().Before(g.alone) || !g.room.better() {
			return nil
		}
		if leftOver(g.ctx, g.backlog) {
			g.alone = time.Now().Add(gatherAlone)
			return nil
		}
	}
}

// leftOver waits for others, and tells whether they leave connections behind:
// after a while there are some, and after another not fewer. Backlog counts those
// that wait to be taken.
func leftOver(ctx context.Context, backlog func() int) bool {
	if !pause(ctx, gatherPatience) {
		return false
	}
	before := backlog()
	return before > 0 && pause(ctx, gatherPatience) && backlog() >= before
}

// Close implements net.Listener.
func (g *gathering) Close() error {
	g.cancel()
	return errors.Join(g.sharable.Close(), g.socket.Close())
}

// backlog gives how many connections wait to be taken; for sockets that do not
// tell, 1 if there are any.
func (g *gathering) backlog() (n int) {
	_ = g.arrival.Control(func(fd uintptr) {
		if !pending(fd) {
			return
		}
		n = 1
		// Of a listening socket that is the length of its queue.
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = int(info.Unacked)
		}
	})
	return n
}

func pending(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1
}
