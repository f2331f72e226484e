package git

import (
	"bytes"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/fairagro/middleware-api/internal/remote"
)

// Whatever a server says of its references, reading it ends, and never in a panic.
func FuzzReadRefs(f *testing.F) {
	f.Add([]byte("0000"))
	f.Add([]byte("001f# service=git-receive-pack\n000000b0" + "1234567890123456789012345678901234567890 refs/heads/main\x00report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 agent=git/2.39.5\n0000"))
	f.Add([]byte("00430000000000000000000000000000000000000000 capabilities^{}\x00quiet\n0000"))
	f.Add([]byte("ffff"))
	f.Add([]byte("0004"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		adv, err := readRefs(bytes.NewReader(answer))
		if err != nil {
			return
		}
		if err := supported(adv); err != nil && remote.FailureOf(err).Fault.Code == "" {
			t.Fatalf("%q: failure without code", answer)
		}
		_ = adv.References["refs/heads/main"]
	})
}

// fetched is the answer of a real git to our request for one commit.
func fetched(tb testing.TB) (answer []byte, head plumbing.Hash) {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "r.git")
	run := func(stdin string, args ...string) []byte {
		cmd := exec.Command("git", append([]string{"--git-dir", dir, "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		cmd.Stdin = bytes.NewReader([]byte(stdin))
		out, err := cmd.Output()
		if err != nil {
			tb.Fatalf("git %v: %v", args, err)
		}
		return out
	}
	object := func(stdin string, args ...string) string { return strings.TrimSpace(string(run(stdin, args...))) }
	run("", "init", "--quiet", "--bare", dir)
	blob := object("content", "hash-object", "-w", "--stdin")
	tree := object("100644 blob "+blob+"\tfile\n", "mktree")
	commit := object("", "commit-tree", "-m", "first", tree)
	pack := run(commit+"\n"+tree+"\n"+blob+"\n", "pack-objects", "--stdout", "-q")
	head = plumbing.NewHash(commit)
	var b bytes.Buffer
	b.WriteString("0034shallow " + head.String() + "0000" + "0008NAK\n")
	line := append([]byte{1}, pack...)
	b.WriteString(pktLength(len(line)))
	b.Write(line)
	b.WriteString("0000")
	return b.Bytes(), head
}

func pktLength(n int) string {
	const digits = "0123456789abcdef"
	n += 4
	return string([]byte{digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15]})
}

func packRequest(tb testing.TB, head plumbing.Hash) *packp.UploadPackRequest {
	tb.Helper()
	req := packp.NewUploadPackRequest()
	req.Wants = []plumbing.Hash{head}
	req.Depth = packp.DepthCommits(1)
	for _, c := range []capability.Capability{capability.Shallow, capability.Sideband64k, capability.OFSDelta, capability.NoProgress} {
		if err := req.Capabilities.Set(c); err != nil {
			tb.Fatal(err)
		}
	}
	return req
}

// Whatever a server sends as a pack, reading it ends in a list of files or in an
// error, and never in a panic.
func FuzzReadPack(f *testing.F) {
	answer, head := fetched(f)
	store, err := readPack(packRequest(f, head), bytes.NewReader(answer))
	if err != nil {
		f.Fatalf("a real answer is not understood: %v", err)
	}
	if found, err := look(store, head); err != nil || len(found.entries) != 1 {
		f.Fatalf("a real commit is not understood: %+v, %v", found, err)
	}
	f.Add(answer)
	f.Add(answer[:len(answer)/2])
	f.Add([]byte("0008NAK\n0009\x03full\n0000"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if len(answer) > 64<<10 {
			return // an object of a few bytes may claim to be as large as it likes; see maxFetch
		}
		store, err := readPack(packRequest(t, head), bytes.NewReader(answer))
		if err == nil {
			_, _ = look(store, head)
		}
	})
}

// Whatever a server says about when to come again, it keeps us away for a day at
// most, and never sends us into the past.
func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "", "")
	f.Add("Wed, 21 Oct 2026 07:28:00 GMT", "", "")
	f.Add("", "0", "1795447523")
	f.Add("9223372036854775807", "0", "-9223372036854775808")
	now := time.Unix(1795447000, 0)
	f.Fuzz(func(t *testing.T, after, remaining, reset string) {
		h := http.Header{"Retry-After": {after}, "Ratelimit-Remaining": {remaining}, "Ratelimit-Reset": {reset}}
		if d := RetryAfter(h, now); d < 0 || d > 24*time.Hour {
			t.Fatalf("%v: %v", h, d)
		}
	})
}
