package torture

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/store"
)

// waitIdle waits until nothing is due any more.
func waitIdle(tb testing.TB, dsn string, limit time.Duration) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	var behind int
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := conn.QueryRow(tb.Context(), `SELECT count(*) FROM arc WHERE due_at IS NOT NULL OR NOT parked AND pushed_hash IS DISTINCT FROM content_hash`).Scan(&behind)
		if err == nil && behind == 0 {
			return
		}
		if time.Now().After(deadline) {
			tb.Errorf("%d ARCs are still not in git after %s (%v): %s", behind, limit, err, laggards(conn))
			return
		}
		<-tick.C
	}
}

// laggards tells of some ARCs that are not in git.
func laggards(conn *pgx.Conn) string {
	rows, _ := conn.Query(context.Background(), `SELECT rdi || '/' || identifier || ': ' || git_state || ', due in ' || coalesce((due_at - now())::text, 'never')
		|| ', holder ' || coalesce(lease_holder, '-') || ', ' || failure_code || ' ' || failure_text FROM arc
		WHERE due_at IS NOT NULL OR NOT parked AND pushed_hash IS DISTINCT FROM content_hash LIMIT 5`)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return fmt.Sprint(strings.Join(list, "; "), err)
}

// orphans are queries that have to give 0 once everything is in git.
var orphans = map[string]string{
	"leases that nobody gave back":                 `SELECT count(*) FROM arc WHERE lease_holder IS NOT NULL OR lease_until IS NOT NULL`,
	"members of a harvest that does not exist":     `SELECT count(*) FROM harvest_arc m LEFT JOIN harvest h ON h.id = m.harvest_id WHERE h.id IS NULL`,
	"members of a harvest without an ARC":          `SELECT count(*) FROM harvest_arc m LEFT JOIN arc a ON a.id = m.arc_id WHERE a.id IS NULL`,
	"refusals of a harvest that does not exist":    `SELECT count(*) FROM harvest_error e LEFT JOIN harvest h ON h.id = e.harvest_id WHERE h.id IS NULL`,
	"events without an ARC":                        `SELECT count(*) FROM event e LEFT JOIN arc a ON a.id = e.arc_id WHERE a.id IS NULL`,
	"reports without an ARC":                       `SELECT count(*) FROM report r LEFT JOIN arc a ON a.id = r.arc_id WHERE a.id IS NULL`,
	"ARCs that were created not exactly once":      `SELECT count(*) FROM arc a WHERE (SELECT count(*) FROM audit u WHERE u.arc_id = a.id AND u.action = 'arc.created') <> 1`,
	"ARCs whose version is not 1 + their updates":  `SELECT count(*) FROM arc a WHERE a.version <> 1 + (SELECT count(*) FROM audit u WHERE u.arc_id = a.id AND u.action = 'arc.updated')`,
	"ARCs with another event count than events":    `SELECT count(*) FROM arc a WHERE a.event_count < 100 AND a.event_count <> (SELECT count(*) FROM event e WHERE e.arc_id = a.id)`,
	"harvests whose counts are not their members'": `SELECT count(*) FROM harvest h WHERE status = 'COMPLETED' AND (arcs_new, arcs_updated, arcs_unchanged, arcs_missing) <> (SELECT count(*) FILTER (WHERE outcome = 'new'), count(*) FILTER (WHERE outcome = 'updated'), count(*) FILTER (WHERE outcome = 'unchanged'), count(*) FILTER (WHERE outcome = 'missing') FROM harvest_arc m WHERE m.harvest_id = h.id)`,
}

// stored is an ARC as the database has it.
type stored struct {
	title, commit string
	pushes        int // pushes that were recorded
	parked        bool
	whole         bool // the document is the one whose title the row has
	synced        bool
}

var titlePattern = regexp.MustCompile(`"name":\s*"(v\d+)"`)

// readStored reads every ARC with its document.
func readStored(tb testing.TB, dsn string) map[string]stored {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	for what, query := range orphans {
		var n int
		if err := conn.QueryRow(tb.Context(), query).Scan(&n); err != nil || n != 0 {
			tb.Errorf("%s: %d (%v)", what, n, err)
		}
	}
	rows, err := conn.Query(tb.Context(), `SELECT id, name, commit_id, content, content_hash, content_size, parked, pushed_hash IS NOT DISTINCT FROM content_hash,
		(SELECT count(*) FROM event e WHERE e.arc_id = arc.id AND e.type = 'GIT_PUSH_SUCCESS') FROM arc`)
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string]stored{}
	var id, hash []byte
	var s stored
	var content store.Content
	_, err = pgx.ForEachRow(rows, []any{&id, &s.title, &s.commit, &content.Frame, &hash, &content.Size, &s.parked, &s.synced, &s.pushes}, func() error {
		content.Hash = store.Hash(hash)
		document, err := content.Document()
		found := titlePattern.FindSubmatch(document)
		s.whole = err == nil && (s.parked || found != nil && string(found[1]) == s.title)
		all[hex.EncodeToString(id)] = s
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// verify compares the model with what is stored and what is in git.
func (m *model) verify(tb testing.TB, dsn, repositories string) {
	tb.Helper()
	all := readStored(tb, dsn)
	var wg sync.WaitGroup
	places := make(chan struct{}, 4)
	var late, commits int
	var mu sync.Mutex
	for k, a := range m.arcs {
		s, there := all[k.id()]
		delete(all, k.id())
		if !there {
			if a.acked > 0 {
				tb.Errorf("%v was acknowledged and is not stored", k)
			}
			continue
		}
		v, err := strconv.Atoi(strings.TrimPrefix(s.title, "v"))
		if err != nil || !s.whole || !s.synced {
			tb.Errorf("%v: damaged: %+v", k, s)
		}
		if v < a.acked || v > a.sent {
			mu.Lock()
			late++
			mu.Unlock()
			if !a.unanswered[v] {
				tb.Errorf("%v: version %d is stored; %d was acknowledged and %d sent", k, v, a.acked, a.sent)
			}
		}
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			n := checkRepository(tb, filepath.Join(repositories, k.id()+".git"), k, a, v, s)
			mu.Lock()
			commits += n
			mu.Unlock()
		})
	}
	wg.Wait()
	for id, s := range all {
		if !s.parked {
			tb.Errorf("%s is stored (%+v), and nobody sent it", id, s)
		}
	}
	tb.Logf("%d ARCs, %d commits, %d with a late arrival of a request without answer", len(m.arcs), commits, late)
	m.verifyRecords(tb, dsn)
}

// checkRepository compares the history of one repository with what its sender
// knows: each version at most once, in order, the stored one on top.
func checkRepository(tb testing.TB, repository string, k arcKey, a *arcModel, now int, s stored) int {
	tb.Helper()
	titles, head, err := history(repository)
	if err != nil {
		tb.Errorf("%v: %v", k, err)
		return 0
	}
	if head != s.commit {
		tb.Errorf("%v: head is %s, recorded is %s", k, head, s.commit)
	}
	last := 0
	for _, v := range titles {
		if v <= last && !a.unanswered[v] {
			tb.Errorf("%v: version %d was committed after version %d: %v", k, v, last, titles)
		}
		last = v
	}
	if last != now {
		tb.Errorf("%v: version %d is in git, %d is stored", k, last, now)
	}
	if s.pushes > len(titles) {
		tb.Errorf("%v: %d pushes recorded, %d commits", k, s.pushes, len(titles))
	}
	return len(titles)
}

var cellPattern = regexp.MustCompile(`>v(\d+)<`)

// history gives the versions of an ARC in the order of their commits, and the
// newest commit.
func history(repository string) (versions []int, head string, err error) {
	out, err := exec.Command("git", "--git-dir", repository, "rev-list", "--reverse", "main").Output()
	if err != nil {
		return nil, "", fmt.Errorf("history of %s: %w", repository, err)
	}
	commits := strings.Fields(string(out))
	var ask strings.Builder
	for _, c := range commits {
		ask.WriteString(c + ":isa.investigation.xlsx\n")
	}
	cmd := exec.Command("git", "--git-dir", repository, "cat-file", "--batch")
	cmd.Stdin = strings.NewReader(ask.String())
	books, err := cmd.Output()
	if err != nil {
		return nil, "", fmt.Errorf("workbooks of %s: %w", repository, err)
	}
	r := bufio.NewReader(bytes.NewReader(books))
	for _, c := range commits {
		var id, kind string
		var size int64
		if _, err := fmt.Fscanf(r, "%s %s %d\n", &id, &kind, &size); err != nil {
			return nil, "", fmt.Errorf("workbook of %s: %w", c, err)
		}
		book := make([]byte, size+1)
		if _, err := io.ReadFull(r, book); err != nil {
			return nil, "", err
		}
		v, err := titleOf(book[:size])
		if err != nil {
			return nil, "", fmt.Errorf("workbook of %s: %w", c, err)
		}
		versions = append(versions, v)
		head = c
	}
	return versions, head, nil
}

// titleOf reads the version from the texts of a workbook.
func titleOf(book []byte) (int, error) {
	z, err := zip.NewReader(bytes.NewReader(book), int64(len(book)))
	if err != nil {
		return 0, err
	}
	f, err := z.Open("xl/sharedStrings.xml")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return 0, err
	}
	found := cellPattern.FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("no title in %.200s", text)
	}
	return strconv.Atoi(string(found[1]))
}

// verifyRecords compares harvests and tasks.
func (m *model) verifyRecords(tb testing.TB, dsn string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	for id, want := range m.harvests {
		var got harvestModel
		err := conn.QueryRow(tb.Context(), `SELECT arcs_new, arcs_updated, arcs_unchanged, arcs_missing FROM harvest
			WHERE id = $1::uuid AND status = 'COMPLETED'`, strings.TrimPrefix(id, "harvest-")).Scan(&got.added, &got.updated, &got.unchanged, &got.missing)
		if err != nil || got != want {
			tb.Errorf("%s: statistics are %+v, want %+v (%v)", id, got, want, err)
		}
	}
	for id, k := range m.tasks {
		var status, arc string
		err := conn.QueryRow(tb.Context(), `SELECT status, arcs->0->>'id' FROM task WHERE id = $1::uuid`, id).Scan(&status, &arc)
		if err != nil || status != "SUCCESS" || arc != k.id() {
			tb.Errorf("task %s of %v: %s, ARC %s (%v)", id, k, status, arc, err)
		}
	}
	var running int
	if err := conn.QueryRow(tb.Context(), `SELECT count(*) FROM harvest WHERE status = 'RUNNING'`).Scan(&running); err != nil || running > m.lost+10 {
		tb.Errorf("%d harvests run, and %d begins got no answer (%v)", running, m.lost, err)
	}
	tb.Logf("%d harvests, %d tasks compared", len(m.harvests), len(m.tasks))
}

// leftovers waits until no process is left whose command line names the text.
func leftovers(tb testing.TB, text string) {
	tb.Helper()
	var found []string
	await(tb, 15*time.Second, "processes to be gone", func() bool {
		found = found[:0]
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range lines {
			if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(text)) {
				found = append(found, path+": "+strings.ReplaceAll(string(b), "\x00", " "))
			}
		}
		return len(found) == 0
	})
	if len(found) > 0 {
		tb.Errorf("left behind: %v", found)
	}
}
