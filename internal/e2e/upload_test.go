package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// state is the part of an answer about an ARC that the tests look at.
type state struct {
	ARCID string `json:"arc_id"`
	Git   struct {
		State  string `json:"state"`
		Commit string `json:"commit"`
	} `json:"git"`
}

// upload sends a crate over the socket and gives the id of the ARC.
func (b *box) upload(crate []byte) string {
	b.tb.Helper()
	b.write("/root/request.json", fmt.Appendf(nil, `{"rdi": "demo", "arc": %s}`, crate), 0o600)
	out := b.sh(`curl -sS --fail-with-body --max-time 30 -H 'Content-Type: application/json' -d @/root/request.json http://127.0.0.1:8000/v3/arcs`)
	var answer state
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.ARCID) != 64 {
		b.tb.Fatalf("upload answered %s (%v)", out, err)
	}
	return answer.ARCID
}

// untilSynced waits until the newest version of an ARC is said to be in git.
func (b *box) untilSynced(id string) state {
	b.tb.Helper()
	out := b.until("ARC in git", fmt.Sprintf(
		`curl -sS --max-time 5 http://127.0.0.1:8000/v3/arcs/%s | tee /root/state.json | grep -q '"state":"synced"' && cat /root/state.json`, id))
	var answer state
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		b.tb.Fatalf("state %s: %v", out, err)
	}
	return answer
}

// repository is where the local git store keeps an ARC.
func (b *box) repository(id string) string {
	b.tb.Helper()
	return b.sh(fmt.Sprintf(`find /var/lib/middleware-api/arcs -type d -name '*%s*'`, id))
}

// Starting the socket is all it takes: an upload over it becomes a commit in
// the local git store and can be found in the journal, and killing a worker
// changes nothing about that.
func TestUploadBecomesCommit(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.sh(`systemctl stop middleware-api.socket middleware-api.service middleware-api-sync.service`)
	b.untilWorkers(0)
	b.sh(`systemctl start middleware-api.socket`)

	id := b.upload(sample(t))
	synced := b.untilSynced(id)
	repository := b.repository(id)
	git := "git -c safe.directory='*' -C " + repository
	if head := b.sh(git + " rev-parse main"); head != synced.Git.Commit {
		t.Errorf("the branch is at %s, the service says %s", head, synced.Git.Commit)
	}
	files := b.sh(git + " ls-tree -r --name-only main")
	if !strings.Contains(files, "isa.investigation.xlsx") {
		t.Errorf("the commit holds %s", files)
	}
	for what, script := range map[string]string{
		"the line of the request":  `journalctl -t middleware-api --no-pager | grep -q 'POST /v3/arcs'`,
		"the record of the ARC":    `journalctl --no-pager -o cat ARC_ID=` + id + ` | grep -q .`,
		"the event of a readiness": `journalctl --no-pager -x MESSAGE_ID=e14adefc05934dd8ae09de6bed743f34 | grep -q 'A worker is ready'`,
	} {
		b.until(what, script)
	}

	n := len(strings.Fields(b.sh("systemctl show -p PropagatesStopTo --value middleware-api.service")))
	b.untilWorkers(n)
	b.sh("kill -9 " + b.workers()[0])
	second := b.upload([]byte(strings.Replace(string(sample(t)), "barley-drought-2026", "barley-drought-2027", 1)))
	if second == id {
		t.Error("another identifier gave the same ARC")
	}
	b.untilSynced(second)
	b.untilWorkers(n)
}
