package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// gatherers are workers that share a socket and a runtime directory.
type gatherers struct {
	address   net.Addr
	listeners []listeners
	rooms     []*room
	taken     []atomic.Int64
	conns     []atomic.Int64 // that each believes to have
}

func newGatherers(t *testing.T, n int, network string) *gatherers {
	t.Helper()
	dir := t.TempDir()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(dir, "socket")
	}
	var lc net.ListenConfig
	socket, err := lc.Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	g := &gatherers{address: socket.Addr(), taken: make([]atomic.Int64, n), conns: make([]atomic.Int64, n)}
	for i := range n {
		f, err := socket.(sharable).File()
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.FileListener(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		r, err := openRoom(dir, strconv.Itoa(i+1), g.conns[i].Load)
		if err != nil {
			t.Fatal(err)
		}
		ls := listeners{"http": {l}}
		if err := ls.gather(r); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.stop(i) })
		g.listeners, g.rooms = append(g.listeners, ls), append(g.rooms, r)
	}
	return g
}

// work lets a worker take connections until it is stopped, and gives why it ended.
func (g *gatherers) work(i int) <-chan error {
	ended := make(chan error, 1)
	_ = g.rooms[i].better() // says that it has room, as it does before it waits
	go func() {
		for {
			conn, err := g.listeners[i]["http"][0].Accept()
			if err != nil {
				ended <- err
				return
			}
			g.taken[i].Add(1)
			_ = conn.Close()
		}
	}()
	return ended
}

// stop is what a worker does when it drains.
func (g *gatherers) stop(i int) {
	g.rooms[i].leave()
	g.listeners[i].close()
}

// call opens connections one after the other; each has been taken at the end.
func (g *gatherers) call(t *testing.T, times int) {
	t.Helper()
	for range times {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), g.address.Network(), g.address.String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("nobody takes the connection")
		}
		_ = conn.Close()
	}
}

// Connections go to the first worker that is there and has room.
func TestConnectionsGather(t *testing.T) {
	t.Parallel()
	const calls = 100
	for name, tt := range map[string]struct {
		conns [3]int64
		gone  int // so many of the first have drained
		taker int
	}{
		"all are there":             {taker: 0},
		"the first has drained":     {gone: 1, taker: 1},
		"the first two have":        {gone: 2, taker: 2},
		"the first is crowded":      {conns: [3]int64{crowd, 0, 0}, taker: 1},
		"the first two are crowded": {conns: [3]int64{crowd, 10 * crowd, 0}, taker: 2},
		"the last two are crowded":  {conns: [3]int64{crowd - 1, crowd, crowd}, taker: 0},
	} {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(name+", "+network, func(t *testing.T) {
				t.Parallel()
				g := newGatherers(t, 3, network)
				for i := range 3 {
					g.conns[i].Store(tt.conns[i])
					g.work(i)
					if i < tt.gone {
						g.stop(i)
					}
				}
				// Other work on the machine may keep any worker from being in time.
				testenv.Await(t, fmt.Sprintf("most connections to be taken by worker %d", tt.taker+1), func() bool {
					before := g.taken[tt.taker].Load()
					g.call(t, calls)
					return g.taken[tt.taker].Load()-before > calls*3/4
				})
			})
		}
	}
}

// Whoever has room but hangs, is not there for others to wait for; and when all
// are crowded, all take connections.
func TestNoConnectionIsLeftBehind(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		g := newGatherers(t, 3, network)
		_ = g.rooms[0].better() // and takes none
		g.work(1)
		g.work(2)
		g.call(t, 100)

		g = newGatherers(t, 2, network)
		for i := range 2 {
			g.conns[i].Store(10 * crowd)
			g.work(i)
		}
		testenv.Await(t, "both crowded workers to take connections", func() bool {
			g.call(t, 10)
			return g.taken[0].Load() > 0 && g.taken[1].Load() > 0
		})
	}
}

// Connections count as left over when some wait after a while and, after another, no
// fewer: then nobody takes any. Where others are at it, or nobody calls, this worker
// leaves them alone, and so it does when it ends.
func TestWhatIsLeftOver(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		waiting []int         // at each look
		ends    time.Duration // of the worker; 0 is later
		want    bool
		takes   time.Duration
	}{
		"as many":             {[]int{1, 1}, 0, true, 2 * gatherPatience},
		"more":                {[]int{1, 7}, 0, true, 2 * gatherPatience},
		"fewer":               {[]int{3, 2}, 0, false, 2 * gatherPatience},
		"all taken":           {[]int{1, 0}, 0, false, 2 * gatherPatience},
		"none":                {[]int{0}, 0, false, gatherPatience},
		"ended before":        {nil, gatherPatience / 2, false, gatherPatience / 2},
		"ended between looks": {[]int{1}, gatherPatience * 3 / 2, false, gatherPatience * 3 / 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(tt.ends, time.Hour))
				defer cancel()
				began, looks := time.Now(), 0
				got := leftOver(ctx, func() int {
					if looks++; looks > len(tt.waiting) {
						return 0
					}
					return tt.waiting[looks-1]
				})
				if took := time.Since(began); got != tt.want || looks != len(tt.waiting) || took != tt.takes {
					t.Errorf("left over: %t with %d looks after %s, want %t with %d after %s", got, looks, took, tt.want, len(tt.waiting), tt.takes)
				}
			})
		})
	}
}

// How many connections wait is counted, where the socket tells: else a queue from which
// others take, and to which callers add, would look like one that nobody takes from.
func TestWhatWaitsIsCounted(t *testing.T) {
	t.Parallel()
	for network, want := range map[string]int{"tcp": 3, "unix": 1} {
		g := newGatherers(t, 1, network)
		waiting := g.listeners[0]["http"][0].(*gathering)
		if n := waiting.backlog(); n != 0 {
			t.Errorf("%s: %d wait before anybody has called", network, n)
		}
		for range 3 {
			var d net.Dialer
			conn, err := d.DialContext(t.Context(), network, g.address.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		testenv.Await(t, fmt.Sprintf("%d to wait over %s", want, network), func() bool { return waiting.backlog() == want })
	}
}

// Who has been waited for in vain is not waited for again for a while.
func TestNobodyWaitsInVainTwice(t *testing.T) {
	t.Parallel()
	g := newGatherers(t, 2, "tcp")
	_ = g.rooms[0].better() // and takes none
	second := g.listeners[1]["http"][0].(*gathering)
	var d net.Dialer
	client, err := d.DialContext(t.Context(), "tcp", g.address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	began := time.Now()
	conn, err := second.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if second.alone.Before(began.Add(gatherAlone)) || second.alone.After(time.Now().Add(gatherAlone)) {
		t.Errorf("waits again after %s, want %s", second.alone.Sub(began), gatherAlone)
	}
}

// A worker that is in trouble, or short of what others may have, has no room, however few connections it has.
func TestNoRoomInTrouble(t *testing.T) {
	t.Parallel()
	crowded := false
	w := newWorker(t.Context(), Options{Logger: slog.New(slog.DiscardHandler), Crowded: func() bool { return crowded }})
	text := "away"
	for _, step := range []struct {
		sick    bool
		trouble *string
		crowded bool
		want    int64
	}{{want: 3}, {sick: true, want: math.MaxInt64}, {trouble: &text, want: math.MaxInt64}, {crowded: true, want: math.MaxInt64}, {want: 3}} {
		crowded = step.crowded
		w.traffic.conns.Store(3)
		w.sick.Store(step.sick)
		w.trouble.Store(step.trouble)
		if got := w.load(); got != step.want {
			t.Errorf("%+v: load %d", step, got)
		}
	}
}

// A worker that was crowded has room again when a quarter of that is gone, not
// with each connection that comes and goes.
func TestRoomComesBack(t *testing.T) {
	t.Parallel()
	g := newGatherers(t, 2, "tcp")
	first, second := g.rooms[0], g.rooms[1]
	for _, step := range []struct {
		conns  int64
		better bool // than the second, for which nothing changes
	}{{0, true}, {crowd - 1, true}, {crowd, false}, {crowd - 1, false}, {crowd * 3 / 4, false}, {crowd*3/4 - 1, true}} {
		g.conns[0].Store(step.conns)
		_ = first.better()
		if got := second.better(); got != step.better {
			t.Errorf("with %d connections the first is better: %t, want %t", step.conns, got, step.better)
		}
	}
	first.leave()
	if second.better() {
		t.Error("a worker that has left is waited for")
	}
}

// A worker that drains stops taking connections at once, also while it leaves
// one to others.
func TestDrainedWorkerTakesNothing(t *testing.T) {
	t.Parallel()
	for _, called := range []bool{false, true} {
		g := newGatherers(t, 2, "tcp")
		_ = g.rooms[0].better()
		ended := []<-chan error{g.work(1)}
		if called {
			var d net.Dialer
			conn, err := d.DialContext(t.Context(), "tcp", g.address.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		} else {
			ended = append(ended, g.work(0))
		}
		for i := range 2 {
			g.stop(i)
		}
		for _, e := range ended {
			if err := <-e; !errors.Is(err, net.ErrClosed) {
				t.Errorf("called: %t: %v", called, err)
			}
		}
	}
}

// Who has no number, or no runtime directory, leaves nothing to others.
func TestNobodyToGatherWith(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ dir, instance string }{{"", "1"}, {t.TempDir(), ""}, {t.TempDir(), "blue"}, {t.TempDir(), "0"}} {
		r, err := openRoom(tt.dir, tt.instance, func() int64 { return 0 })
		if r != nil || err != nil {
			t.Errorf("%q, %q: %v, %v", tt.dir, tt.instance, r, err)
		}
		r.leave()
	}
}

// Processes gather as well: the first one serves, while it is well; a second one
// when its database or the way of its requests is in trouble.
func TestASickWorkerIsPassedOver(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(o *childOptions, file string) (begin, end func() error){
		"requests hang": func(o *childOptions, file string) (begin, end func() error) {
			o.StallFile = file
			return func() error { return os.WriteFile(file, nil, 0o600) }, func() error { return os.Remove(file) }
		},
		"database away": func(o *childOptions, file string) (begin, end func() error) {
			o.DatabaseFile = file
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return func() error { return os.Remove(file) }, func() error { return os.WriteFile(file, nil, 0o600) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newManager(t)
			var o childOptions
			begin, end := trouble(&o, filepath.Join(t.TempDir(), "file"))
			first := m.startAs("1", o, withWatchdog(time.Second)).ready()
			second := m.startAs("2", childOptions{}).ready()
			// Ten times in a row, and for longer than nobody waits for a worker that was
			// slow once: any worker may have a connection now and then.
			servedBy := func(p *process) func() bool {
				return func() bool {
					for range 10 {
						if answeredBy(t, m.address) != strconv.Itoa(p.cmd.Process.Pid) {
							return false
						}
						time.Sleep(gatherAlone / 5)
					}
					return true
				}
			}
			testenv.Await(t, "the first worker to serve", servedBy(first))
			if err := begin(); err != nil {
				t.Fatal(err)
			}
			testenv.Await(t, "the second worker to serve", servedBy(second))
			if err := end(); err != nil {
				t.Fatal(err)
			}
			testenv.Await(t, "the first worker to serve again", servedBy(first))
		})
	}
}

func answeredBy(t *testing.T, address string) string {
	t.Helper()
	conn, answer := request(t, address, "GET /fast")
	defer conn.Close()
	r, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	pid, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(pid)
}
