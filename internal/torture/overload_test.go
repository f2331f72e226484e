package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/pgtest"
)

// station is a client with an address and a connection of its own.
type station struct {
	address string
	client  *http.Client
	name    string
}

// newStation makes the client number n of a group; groups have different networks.
func newStation(tb testing.TB, address string, group, n int) *station {
	tb.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(group), byte(n/250), byte(1+n%250))}}
	transport := &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: 1}
	tb.Cleanup(transport.CloseIdleConnections)
	return &station{address, &http.Client{Timeout: time.Minute, Transport: transport}, fmt.Sprintf("arc-%d-%d", group, n)}
}

// attempt is one upload: how long it took and what came of it.
type attempt struct {
	took   time.Duration
	status int
	retry  string // Retry-After
	err    error
}

// upload sends a version of the station's ARC.
func (s *station) upload(v int) attempt {
	body, _ := json.Marshal(map[string]any{"rdi": "r0", "arc": crate(s.name, v)})
	began := time.Now()
	resp, err := s.client.Post("http://"+s.address+"/v3/arcs", "application/json", bytes.NewReader(body))
	if err != nil {
		return attempt{took: time.Since(began), err: err}
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return attempt{time.Since(began), resp.StatusCode, resp.Header.Get("Retry-After"), err}
}

// press lets n clients upload without pause for a time.
func press(tb testing.TB, address string, group, n int, lasts time.Duration) []attempt {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), lasts)
	defer cancel()
	var mu sync.Mutex
	var all []attempt
	var clients sync.WaitGroup
	for i := range n {
		s := newStation(tb, address, group, i)
		clients.Go(func() {
			var mine []attempt
			for v := 1; ctx.Err() == nil; v++ {
				mine = append(mine, s.upload(v))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	clients.Wait()
	return all
}

// with gives the durations of the attempts with a status, sorted.
func with(all []attempt, status int) []time.Duration {
	var took []time.Duration
	for _, a := range all {
		if a.err == nil && a.status == status {
			took = append(took, a.took)
		}
	}
	slices.Sort(took)
	return took
}

// at gives a quantile of sorted durations.
func at(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

// resident is the memory of a process in bytes.
func resident(tb testing.TB, pid int) int64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		tb.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// startWorker runs one worker on a database of its own.
func startWorker(tb testing.TB, settings ...string) *fleet {
	tb.Helper()
	config := writeConfig(tb, pgtest.DSN(tb), "file:///nonexistent", settings...)
	f := startFleet(tb, fleetOptions{build: shipped, config: config, workers: 1})
	s := newStation(tb, f.address, 1, 0)
	await(tb, time.Minute, "worker", func() bool { return s.upload(1).status == http.StatusOK })
	return f
}

// TestOverload: ten times as many clients as there are places, none of which
// waits, do not make those that get in wait longer than at capacity; the others
// are told so at once and when to come again; memory does not grow, and when
// the crowd has gone everything is as before.
func TestOverload(t *testing.T) {
	const places = 16
	lasts := 2 * time.Second
	if long() {
		lasts = time.Minute
	}
	f := startWorker(t, fmt.Sprintf("max_concurrent_requests: %d", places), "retry_after_seconds: 3")
	calm := with(press(t, f.address, 2, 1, lasts/2), http.StatusOK)
	full := with(press(t, f.address, 3, places, lasts), http.StatusOK)
	before := resident(t, f.workers[0].pid())
	all := press(t, f.address, 4, 10*places, lasts)
	after := resident(t, f.workers[0].pid())
	ended := time.Now()

	admitted, refused := with(all, http.StatusOK), with(all, http.StatusServiceUnavailable)
	t.Logf("alone: %d in %v; at capacity: %d, half within %v, 99 %% within %v", len(calm), at(calm, .5), len(full), at(full, .5), at(full, .99))
	t.Logf("overload: %d admitted, half within %v, 99 %% within %v; %d refused, half within %v, 99 %% within %v; memory %d MB, before %d MB",
		len(admitted), at(admitted, .5), at(admitted, .99), len(refused), at(refused, .5), at(refused, .99), after>>20, before>>20)
	if len(admitted)+len(refused) != len(all) {
		t.Errorf("%d attempts were neither admitted nor refused: %v", len(all)-len(admitted)-len(refused), odd(all))
	}
	if len(refused) == 0 || len(admitted) < places {
		t.Errorf("%d admitted, %d refused: there was no overload", len(admitted), len(refused))
	}
	for _, a := range all {
		if n, err := strconv.Atoi(a.retry); a.status == http.StatusServiceUnavailable && (err != nil || n < 1 || n > 3) {
			t.Fatalf("Retry-After is %q, want whole seconds up to 3", a.retry)
		}
	}
	// The crowd takes CPU of the same machine, from both sides of the wire.
	if limit := 10*at(full, .99) + 200*time.Millisecond; at(admitted, .99) > limit {
		t.Errorf("99 %% of the admitted are answered within %v, want %v", at(admitted, .99), limit)
	}
	if at(refused, .5) > at(admitted, .5)+5*time.Millisecond {
		t.Errorf("a refusal takes %v, an upload %v", at(refused, .5), at(admitted, .5))
	}
	if after > before+before/2+(32<<20) {
		t.Errorf("memory grew from %d to %d MB", before>>20, after>>20)
	}
	s := newStation(t, f.address, 5, 0)
	await(t, 10*time.Second, "recovery", func() bool {
		calmAgain := make([]attempt, 20)
		for v := range calmAgain {
			calmAgain[v] = s.upload(v + 1)
		}
		served := with(calmAgain, http.StatusOK)
		return len(served) == len(calmAgain) && at(served, .5) <= 3*at(calm, .5)+10*time.Millisecond
	})
	t.Logf("as before %v after the last of them", time.Since(ended).Round(time.Millisecond))
}

// odd lists some attempts that ended in no expected way.
func odd(all []attempt) (some []string) {
	for _, a := range all {
		if a.status != http.StatusOK && a.status != http.StatusServiceUnavailable && len(some) < 3 {
			some = append(some, fmt.Sprintf("%d %v", a.status, a.err))
		}
	}
	return some
}

// TestSlowClients: a crowd that sends its headers or its bodies byte by byte
// does not stop a client that is as fast as it should be, nor is it refused
// because of them.
func TestSlowClients(t *testing.T) {
	count := 1000
	if long() {
		count = 10000
	}
	f := startWorker(t, "max_concurrent_requests: 64")
	calm := with(press(t, f.address, 2, 1, time.Second), http.StatusOK)
	before := resident(t, f.workers[0].pid())

	ctx, cancel := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	defer crowd.Wait()
	defer cancel()
	conns := make(chan net.Conn, count)
	for i := range count {
		crowd.Go(func() { dawdle(ctx, f.address, i, conns) })
	}
	open := 0
	await(t, 2*time.Minute, fmt.Sprintf("%d slow clients", count), func() bool {
		for len(conns) > 0 {
			if conn := <-conns; conn != nil {
				open++
			}
		}
		return open >= count
	})
	// A thousand that knock within the same moment are refused like anybody; they
	// are slow only once the service has heard of them all.
	s := newStation(t, f.address, 5, 0)
	await(t, time.Minute, "the crowd inside", func() bool {
		for v := range 20 {
			if s.upload(v+1).status != http.StatusOK {
				return false
			}
		}
		return true
	})
	all := press(t, f.address, 3, 1, 4*time.Second)
	served := with(all, http.StatusOK)
	after := resident(t, f.workers[0].pid())
	t.Logf("alone: half within %v; beside %d slow clients: %d of %d uploads, half within %v, 99 %% within %v; memory %d MB, before %d MB",
		at(calm, .5), open, len(served), len(all), at(served, .5), at(served, .99), after>>20, before>>20)
	if len(served) != len(all) || len(served) == 0 {
		t.Errorf("%d of %d uploads of the fast client failed: %v", len(all)-len(served), len(all), odd(all))
	}
	if limit := 10*at(calm, .5) + 20*time.Millisecond; at(served, .5) > limit {
		t.Errorf("an upload of the fast client takes %v, want %v", at(served, .5), limit)
	}
	if each := (after - before) / int64(count); each > 128<<10 {
		t.Errorf("a slow client costs %d KB", each>>10)
	}
}

// dawdle is one slow client: it sends a header or a body byte by byte, and begins
// anew when it is cut off.
func dawdle(ctx context.Context, address string, number int, conns chan<- net.Conn) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, byte(number/250), byte(1+number%250))}}
	text := "POST /v3/arcs HTTP/1.1\r\nHost: slow\r\nX-Slow: "
	if number%2 == 1 {
		text = "POST /v3/arcs HTTP/1.1\r\nHost: slow\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for first := true; ctx.Err() == nil; first = false {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			_, err = io.WriteString(conn, text)
		}
		if first && err == nil {
			conns <- conn
		}
		for err == nil {
			select {
			case <-ctx.Done():
				err = ctx.Err()
			case <-tick.C:
				_, err = conn.Write([]byte("x"))
			}
		}
		if conn != nil {
			_ = conn.Close()
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
