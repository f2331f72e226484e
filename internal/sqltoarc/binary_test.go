package sqltoarc_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/sqltoarc/apitest"
	"github.com/fairagro/middleware-api/internal/sqltoarc/datagen"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// program builds sql-to-arc as it is delivered.
func program(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "sql-to-arc")
	cmd := osexec.CommandContext(tb.Context(), "go", "build", "-o", path, "./cmd/sql-to-arc")
	cmd.Dir = testenv.ModuleRoot(tb)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return path
}

// network lies between the program and a service, and can be cut.
type network struct {
	url   string
	proxy *httputil.ReverseProxy
	// cut is called at the request with this number, counted from 1, or, if that is
	// [theEnd], at the one that completes the harvest. The request reaches the
	// service first if late is set. The answer is lost in any case.
	at       atomic.Int64
	late     bool
	cut      func()
	requests atomic.Int64
	down     atomic.Bool  // nothing gets through
	silent   bool         // and nothing says so
	uploaded atomic.Int64 // bytes of ARCs
}

// theEnd stands for the number of the last request, which differs between runs.
const theEnd = -1

func newNetwork(tb testing.TB, service string) *network {
	tb.Helper()
	target, err := url.Parse(service)
	if err != nil {
		tb.Fatal(err)
	}
	n := &network{proxy: httputil.NewSingleHostReverseProxy(target)}
	n.proxy.ErrorLog = log.New(io.Discard, "", 0)
	web := httptest.NewServer(n)
	tb.Cleanup(web.Close)
	n.url = web.URL
	return n
}

func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number := n.requests.Add(1)
	if strings.HasSuffix(r.URL.Path, "/arcs") && !n.down.Load() {
		n.uploaded.Add(max(r.ContentLength, 0))
	}
	if strings.HasSuffix(r.URL.Path, "/complete") {
		number = theEnd
	}
	if n.at.CompareAndSwap(number, 0) {
		if n.late {
			n.proxy.ServeHTTP(httptest.NewRecorder(), r)
		}
		n.cut()
	}
	if !n.down.Load() {
		n.proxy.ServeHTTP(w, r)
		return
	}
	if n.silent {
		// That the client gives up is noticed only once its body has been read.
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

// target is a service of one of the generations, as a test sees it.
type target struct {
	url   string
	arcs  func() int
	check func(t *testing.T, datasets, harvests int)
}

func newTarget(t *testing.T) target {
	t.Helper()
	api := newService(t)
	arcs := func() int {
		all, _, err := api.store.ARCs(t.Context(), store.ARCFilter{RDIs: []string{"demo"}, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	return target{url: api.url, arcs: arcs, check: func(t *testing.T, datasets, harvests int) {
		t.Helper()
		all := api.harvests(t)
		if len(all) != harvests {
			t.Errorf("%d harvests, want %d", len(all), harvests)
		}
		for _, h := range all {
			if h.Status != store.Completed || h.Statistics.Submitted() != int64(datasets) || h.Statistics.Errors != 0 {
				t.Errorf("harvest: %+v", h)
			}
		}
	}}
}

func oldTarget(t *testing.T) target {
	t.Helper()
	api := apitest.New(t)
	return target{url: api.URL, arcs: func() int { return len(api.ARCs()) }, check: func(t *testing.T, datasets, harvests int) {
		t.Helper()
		all := api.Harvests()
		if len(all) != harvests {
			t.Errorf("%d harvests, want %d", len(all), harvests)
		}
		for id, h := range all {
			if h.Status != "COMPLETED" || len(h.ARCs) != datasets {
				t.Errorf("%s is %s with %d ARCs", id, h.Status, len(h.ARCs))
			}
		}
	}}
}

// Wherever the program is killed or the network cut, at the first upload, in the
// middle or while the harvest is being completed, before or after the service
// has got the request: going on brings everything into the one harvest, completes
// it (unless it is complete), and sends again no more than what was on its way.
func TestInterruptedProgramGoesOn(t *testing.T) {
	t.Parallel()
	const datasets = 40
	binary := program(t)
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: datasets, Studies: 1, Assays: 1, Cells: 20}, nil)

	// run gives the exit status, -1 if the program was killed.
	run := func(t *testing.T, config string, started func(*os.Process)) (status int, output string) {
		t.Helper()
		var out bytes.Buffer
		cmd := osexec.CommandContext(t.Context(), binary, "run", "--resume", "-c", config)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if started != nil {
			started(cmd.Process)
		}
		if err := cmd.Wait(); err != nil && !errors.As(err, new(*osexec.ExitError)) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), out.String()
	}
	configure := func(t *testing.T, api string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "config.yaml")
		text := fmt.Sprintf("connection_string: %q\nrdi: demo\nstate_dir: %q\ndb_batch_size: 4\nmax_concurrent_arc_builds: 2\n"+
			"api_client:\n  api_url: %s\n  max_retries: 1\n  retry_backoff_factor: 0.01\n  timeout: 1\n", connection, t.TempDir(), api)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}

	for name, newTarget := range map[string]func(t *testing.T) target{"new service": newTarget, "former service": oldTarget} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := newNetwork(t, newTarget(t).url)
			if status, out := run(t, configure(t, whole.url), nil); status != 0 {
				t.Fatalf("undisturbed: status %d\n%s", status, out)
			}
			last := whole.requests.Load()
			for _, how := range []string{"killed", "cut", "silent"} {
				for _, late := range []bool{false, true} {
					// The first request begins the harvest; the former service cannot be
					// asked which one that was.
					// How many there are depends a little on how the lanes meet, so
					// that none of the very last can be counted on but the end.
					positions := []int64{2, 3, last / 2, last * 3 / 4, theEnd}
					if name == "new service" {
						positions = append(positions, 1)
					}
					if how == "silent" {
						positions = []int64{last / 2, theEnd}
					}
					for _, at := range positions {
						t.Run(fmt.Sprintf("%s/late=%v/request %d of %d", how, late, at, last), func(t *testing.T) {
							t.Parallel()
							api := newTarget(t)
							net := newNetwork(t, api.url)
							config := configure(t, net.url)
							process := make(chan *os.Process, 1)
							net.late, net.silent = late, how == "silent"
							net.cut = func() {
								net.down.Store(true)
								if how == "killed" {
									_ = (<-process).Kill()
								}
							}
							net.at.Store(at) // last: whoever sees it sees the rest
							status, out := run(t, config, func(p *os.Process) { process <- p })
							want := 75
							switch {
							case how == "killed":
								want = -1
							case at == 1:
								want = 69 // there is nothing yet to go on with
							}
							if status != want {
								t.Fatalf("interrupted: status %d, want %d\n%s", status, want, out)
							}
							before, sent := api.arcs(), net.uploaded.Load()
							net.down.Store(false)
							if status, out = run(t, config, nil); status != 0 {
								t.Fatalf("going on: status %d\n%s", status, out)
							}
							if n := api.arcs(); n != datasets {
								t.Errorf("%d ARCs, want %d", n, datasets)
							}
							harvests := 1
							if late && at == theEnd {
								harvests = 2 // the first one was complete, so there was nothing to go on with
							}
							api.check(t, datasets, harvests)
							// Four lanes of four datasets may have been on their way.
							again := net.uploaded.Load() - sent
							if most := whole.uploaded.Load() * int64(min(datasets-before+16, datasets)) / datasets * 13 / 10; again > most && harvests == 1 {
								t.Errorf("with %d of %d ARCs there, %d bytes were sent again; %d would do", before, datasets, again, most)
							}
						})
					}
				}
			}
		})
	}
}

// If the answer to the beginning of the harvest is lost, it is asked for again, and
// there is but one harvest.
func TestUnheardBeginning(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 5, Studies: 1}, nil)
	api := newTarget(t)
	net := newNetwork(t, api.url)
	net.late, net.cut = true, func() { panic(http.ErrAbortHandler) }
	net.at.Store(1)
	o := options(connection, net.url)
	o.StateDir = t.TempDir()
	run(t, o)
	api.check(t, 5, 1)
}

// Who does not want to wait for a service that does not answer presses Ctrl-C once
// more, and the program is gone.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	t.Parallel()
	connection := loaded(t, postgres(t), datagen.Shape{Investigations: 5, Studies: 1}, nil)
	api := apitest.New(t)
	process := make(chan *os.Process, 1)
	api.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/arcs"):
			_, _ = io.Copy(io.Discard, r.Body) // else nobody sees the connection end
			p := <-process
			_ = p.Signal(os.Interrupt)
			process <- p
			<-r.Context().Done()
		case r.Method == http.MethodPatch: // the harvest is declared failed
			_, _ = io.Copy(io.Discard, r.Body)
			p := <-process
			again := time.NewTicker(20 * time.Millisecond)
			defer again.Stop()
			for r.Context().Err() == nil {
				<-again.C
				_ = p.Signal(os.Interrupt)
			}
		default:
			return false
		}
		return true
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	// Without a state file the harvest is not left open.
	text := fmt.Sprintf("connection_string: %q\nrdi: demo\nstate_dir: %q\nmax_concurrent_arc_builds: 1\napi_client:\n  api_url: %s\n  max_concurrency: 1\n  max_retries: 0\n  timeout: 10\n",
		connection, filepath.Join(file, "none"), api.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := osexec.CommandContext(t.Context(), program(t), "run", "-c", file)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	process <- cmd.Process
	err := cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, want the signal\n%s", err, out.String())
	}
}
