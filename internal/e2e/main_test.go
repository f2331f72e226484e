package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/e2e/load"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// insideEnv tells the test binary that it was copied into the box, and what
// it is there for: load or probe.
const insideEnv = "MIDDLEWARE_API_E2E"

// insidePath is the test binary in the box.
const insidePath = "/usr/local/bin/e2e"

func TestMain(m *testing.M) {
	switch os.Getenv(insideEnv) {
	case "load":
		os.Exit(loadInside())
	case "probe":
		os.Exit(probeInside())
	case "occupy":
		os.Exit(occupyInside())
	}
	code := m.Run()
	if built.own {
		_ = os.RemoveAll(built.debs.dir)
	}
	os.Exit(code)
}

// long tells whether the long form was asked for.
func long() bool { return os.Getenv("E2E_LONG") != "" }

// enough is the number of requests that a scenario has to see.
func enough() int64 {
	if text := os.Getenv("E2E_REQUESTS"); text != "" {
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	}
	if long() {
		return 100_000
	}
	return 3_000
}

// loadKind is a group of clients that the load generator knows.
type loadKind struct {
	Name  string
	Count int
	Think time.Duration
}

// Kinds of clients. Together they are what a fleet meets in practice.
const (
	keepAlive  = "keep-alive"  // busy connections
	newConn    = "new"         // a connection per request
	thoughtful = "thoughtful"  // mostly idle connections
	reader     = "reader"      // reads ARCs, hence the database
	uploader   = "uploader"    // uploads on a kept connection
	slowUpload = "slow-upload" // a connection per upload, which takes its time
)

func everybody() []loadKind {
	// In the short form the clients leave the machine something to work with.
	think := 20 * time.Millisecond
	if long() {
		think = 0
	}
	return []loadKind{
		{keepAlive, 4, think}, {newConn, 3, think}, {thoughtful, 16, 200 * time.Millisecond},
		{reader, 2, think}, {uploader, 2, 20 * time.Millisecond}, {slowUpload, 3, 0},
	}
}

func (k loadKind) clients(network, address string) load.Clients {
	c := load.Clients{Network: network, Address: address, Count: k.Count, Think: k.Think, KeepAlive: true}
	get := func(path string) func(int) load.Request {
		return func(int) load.Request { return load.Get(path) }
	}
	switch k.Name {
	case keepAlive, thoughtful:
		c.Next = get("/v3/liveness")
	case newConn:
		c.KeepAlive, c.Next = false, get("/v3/liveness")
	case reader:
		c.Next = get("/v3/readiness")
	case uploader:
		c.Next = func(n int) load.Request { return load.Post("/v3/arcs", upload(fmt.Sprintf("load-%d", n%50), n)) }
	case slowUpload:
		c.KeepAlive = false
		c.Next = func(n int) load.Request {
			r := load.Post("/v3/arcs", upload(fmt.Sprintf("slow-%d", n%20), n))
			r.Pieces, r.Pause = 5, 100*time.Millisecond
			return r
		}
	}
	return c
}

// upload is the body of a request with a small ARC.
func upload(identifier string, version int) []byte {
	crate := map[string]any{
		"@context": "https://w3id.org/ro/crate/1.1/context",
		"@graph": []any{
			map[string]any{
				"@id": "ro-crate-metadata.json", "@type": "CreativeWork",
				"conformsTo": map[string]any{"@id": "https://w3id.org/ro/crate/1.1"}, "about": map[string]any{"@id": "./"},
			},
			map[string]any{
				"@id": "./", "@type": "Dataset", "additionalType": "Investigation", "identifier": identifier,
				"name": fmt.Sprintf("Investigation %s, version %d", identifier, version), "description": "For a test.",
				"datePublished": "2026-01-01", "license": "CC-BY-4.0",
			},
		},
	}
	body, err := json.Marshal(map[string]any{"rdi": "demo", "arc": crate})
	if err != nil {
		panic(err) // maps and texts only
	}
	return body
}

// loadInside runs the load until standard input ends, reports the number of
// requests so far every 100 ms, and at last the result.
func loadInside() int {
	var kinds []loadKind
	if err := json.Unmarshal([]byte(os.Args[3]), &kinds); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	groups := make([]load.Clients, len(kinds))
	for i, k := range kinds {
		groups[i] = k.clients(os.Args[1], os.Args[2])
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	done := make(chan []load.Report)
	progress := new(load.Progress)
	go func() { done <- load.Run(load.WithProgress(ctx, progress), groups...) }()
	tick := time.NewTicker(100 * time.Millisecond)
	for {
		select {
		case reports := <-done:
			_ = json.NewEncoder(os.Stdout).Encode(reports)
			return 0
		case <-tick.C:
			fmt.Println(progress.Total())
		}
	}
}

// running is the load generator at work in a box.
type running struct {
	tb    testing.TB
	kinds []loadKind
	stdin io.Closer
	words chan string // the newest word of the generator; closed at its end
	last  string      // its last word
	wait  func() error
	total int64
}

// load starts clients of all kinds against the usual address.
func (b *box) load(kinds ...loadKind) *running {
	b.tb.Helper()
	text, err := json.Marshal(kinds)
	if err != nil {
		b.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.tb.Cleanup(cancel)
	cmd := b.command(ctx, "env", insideEnv+"=load", insidePath, "tcp", "127.0.0.1:8000", string(text))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.tb.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		b.tb.Fatal(err)
	}
	r := &running{tb: b.tb, kinds: kinds, stdin: stdin, words: make(chan string, 1), wait: func() error {
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%w: %s", err, &stderr)
		}
		return nil
	}}
	go r.listen(stdout)
	return r
}

// listen keeps the newest word only, so that nobody acts on an old one.
func (r *running) listen(out io.Reader) {
	defer close(r.words)
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		r.last = scanner.Text()
		select {
		case <-r.words:
		default:
		}
		r.words <- scanner.Text()
	}
}

// seen waits for the next word of the generator and gives the number of
// requests so far.
func (r *running) seen() int64 {
	r.tb.Helper()
	word, ok := <-r.words
	if !ok {
		r.tb.Fatalf("the load generator ended: %v", r.wait())
	}
	r.total, _ = strconv.ParseInt(word, 10, 64)
	return r.total
}

// stop ends the load and gives a report per kind.
func (r *running) stop() []load.Report {
	r.tb.Helper()
	_ = r.stdin.Close()
	for range r.words {
		continue // until it has ended
	}
	if err := r.wait(); err != nil {
		r.tb.Fatal(err)
	}
	var reports []load.Report
	if err := json.Unmarshal([]byte(r.last), &reports); err != nil {
		r.tb.Fatalf("report %q: %v", r.last, err)
	}
	return reports
}

// flawless ends the load and fails the test for each kind with a failure.
func (r *running) flawless(what string) {
	r.tb.Helper()
	var total int64
	for i, report := range r.stop() {
		total += report.Total
		if report.Failed > 0 || report.Total == 0 {
			r.tb.Errorf("%s, %s: %s", what, r.kinds[i].Name, report)
		}
	}
	r.tb.Logf("%s: %d requests, none may fail", what, total)
}

// during runs an action again and again under load, at least rounds times and
// until the scenario has seen enough requests, and lets no request fail.
func (b *box) during(what string, rounds int, action func(round int)) {
	b.tb.Helper()
	r := b.load(everybody()...)
	began := r.seen()
	for round := 0; round < rounds || r.total-began < enough(); round++ {
		action(round)
		for before := r.total; r.seen() == before; { // the fleet answers after it
			continue
		}
	}
	r.flawless(what)
}

// prepare boots a box with a running PostgreSQL and the first version, open to
// the RDI demo without certificates.
func prepare(tb testing.TB) *box {
	tb.Helper()
	b := start(tb)
	b.installFirst()
	return b
}

// start boots a box with a running PostgreSQL and the packages in /root.
func start(tb testing.TB) *box {
	tb.Helper()
	d := packages(tb)
	b := boot(tb)
	// The machine may have no cluster of that name, or keep it on another port.
	b.sh(`pg_lsclusters -h | awk '{ print $1, $2, $3 }' | grep -qx '` + postgres + ` main 5432' || {
		for v in $(pg_lsclusters -h | awk '{ print $1 ":" $2 }'); do pg_dropcluster --stop "${v%:*}" "${v#*:}"; done
		pg_createcluster -p 5432 ` + postgres + ` main; } 2>&1`)
	b.sh("systemctl enable --now postgresql 2>&1 && systemctl start " + cluster)
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	b.copyIn(self, insidePath, 0o755)
	for _, version := range []string{firstVersion, secondVersion, brokenVersion} {
		b.copyIn(d.path(version), b.deb(version), 0o644)
	}
	// The machine may have been in the middle of an installation of its own.
	_, _ = b.try("dpkg --configure -a")
	return b
}

// installFirst installs the first version and opens it to the RDI demo.
func (b *box) installFirst() {
	b.tb.Helper()
	b.apt("install", b.deb(firstVersion))
	b.configure()
}

// deb is where a version of the package is in the box.
func (b *box) deb(version string) string {
	return filepath.Join("/root", filepath.Base(debs{}.path(version)))
}

// configure writes the configuration and applies it.
func (b *box) configure(settings ...string) {
	b.tb.Helper()
	lines := append([]string{"known_rdis: [demo]", "require_client_cert: false"}, settings...)
	b.write("/etc/middleware-api/config.yaml", []byte(strings.Join(lines, "\n")+"\n"), 0o640)
	b.sh("chgrp middleware-api /etc/middleware-api/config.yaml && systemctl reload middleware-api")
}

// fleet sets the number of workers.
func (b *box) fleet(n int) {
	b.tb.Helper()
	b.write("/etc/default/middleware-api", fmt.Appendf(nil, "MIDDLEWARE_API_WORKERS=%d\n", n), 0o644)
}

// workers are the main processes of the workers that run.
func (b *box) workers() []string {
	b.tb.Helper()
	return strings.Fields(b.sh(`for u in $(systemctl list-units --plain --no-legend --state=active 'middleware-api@*.service' | awk '{print $1}'); do
		systemctl show -p MainPID --value "$u"; done`))
}

// untilWorkers waits until exactly n workers run, and none is on its way.
func (b *box) untilWorkers(n int) {
	b.tb.Helper()
	b.until(fmt.Sprintf("%d workers", n), fmt.Sprintf(
		`test "$(systemctl list-units --plain --no-legend --state=active,activating,deactivating,reloading 'middleware-api@*.service' | wc -l)" = %d &&
		test "$(systemctl list-units --plain --no-legend --state=active 'middleware-api@*.service' | wc -l)" = %d`, n, n))
}

// occupyInside holds the address in its argument.
func occupyInside() int {
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("occupied")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = l.Close()
	return 0
}

// probeInside takes the place of a worker and tries what it must not be able
// to do. It prints one line per attempt.
func probeInside() int {
	attempt := func(what string, err error) {
		verdict := "refused"
		if err == nil {
			verdict = "POSSIBLE"
		}
		fmt.Printf("probe: %s: %s\n", what, verdict)
	}
	read := func(path string) error {
		f, err := os.Open(path)
		if err == nil {
			_ = f.Close()
		}
		return err
	}
	create := func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }
	dial := func(network, address string) error {
		conn, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	// Its flags are those of all workers: one that cleared this could leave another
	// waiting for a connection that a third one has taken.
	if flags, err := unix.FcntlInt(3, unix.F_GETFL, 0); err == nil && flags&unix.O_NONBLOCK != 0 {
		fmt.Println("probe: shared socket does not block")
	}
	attempt("tcp4", dial("tcp4", "127.0.0.1:5432"))
	attempt("tcp6", dial("tcp6", "[::1]:8000"))
	attempt("udp", dial("udp", "192.0.2.1:53"))
	attempt("token file", read("/etc/middleware-api/credentials/gitlab-token"))
	attempt("token of the synchroniser", read("/run/credentials/middleware-api-sync.service/gitlab-token"))
	_, err := os.ReadDir("/proc/" + os.Getenv("SYNC_PID") + "/fd")
	attempt("open files of the synchroniser", err)
	attempt("memory of the synchroniser", read("/proc/"+os.Getenv("SYNC_PID")+"/mem"))
	attempt("repositories", create("/var/lib/middleware-api/arcs/probe"))
	for _, dir := range []string{"/etc", "/usr", "/var", "/var/lib/middleware-api", "/run", "/home", "/root", "/dev/shm", "/etc/middleware-api"} {
		attempt("write to "+dir, create(filepath.Join(dir, "probe")))
	}
	attempt("trace others", syscall.PtraceAttach(1))
	attempt("mount", syscall.Mount("tmpfs", "/tmp", "tmpfs", 0, ""))
	if create("/run/middleware-api/probe") == nil {
		fmt.Println("probe: runtime directory written")
		attempt("set-user-id file", os.Chmod("/run/middleware-api/probe", os.ModeSetuid|0o755))
		_ = os.Remove("/run/middleware-api/probe")
	}
	attempt("other programs of the system", exec.Command("/bin/mount", "--bind", "/", "/tmp").Run())
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: "/run/postgresql/.s.PGSQL.5432", Net: "unix"})
	if err == nil {
		fmt.Println("probe: database reached")
		_ = conn.Close()
	}
	return 0
}

// sample is a real crate, from the trial that comes with the project.
func sample(tb testing.TB) []byte {
	tb.Helper()
	crate, err := os.ReadFile(filepath.Join(testenv.ModuleRoot(tb), "internal", "devrun", "sample.json"))
	if err != nil {
		tb.Fatal(err)
	}
	return crate
}
