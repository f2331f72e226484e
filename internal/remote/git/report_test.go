package git

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/fairagro/middleware-api/internal/remote"
)

// Whatever a server answers, only "unpack ok" with "ok" for our branch counts as a push.
func FuzzReadReport(f *testing.F) {
	plain, banded := capability.NewList(), capability.NewList()
	if err := banded.Set(capability.Sideband64k); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("000eunpack ok\n0017ok refs/heads/main\n0000"), false)
	f.Add([]byte("000eunpack ok\n0025ng refs/heads/main hook declined\n0000"), false)
	f.Add([]byte("002e\x01000eunpack ok\n0017ok refs/heads/main\n00000000"), true)
	f.Add([]byte("0013\x03disk is full\n0000"), true)
	f.Fuzz(func(t *testing.T, answer []byte, band bool) {
		caps := plain
		if band {
			caps = banded
		}
		err := readReport(bytes.NewReader(answer), caps, "refs/heads/main")
		if err == nil && (!bytes.Contains(answer, []byte("unpack ok")) || !bytes.Contains(answer, []byte("ok refs/heads/main"))) {
			t.Fatalf("%q counts as a push", answer)
		}
		if err != nil && remote.FailureOf(err).Fault.Code == "" {
			t.Fatalf("%q: failure without code", answer)
		}
	})
}

// A report that misses our branch, or names another one, is no success.
func TestReadReport(t *testing.T) {
	t.Parallel()
	for answer, ok := range map[string]bool{
		"000eunpack ok\n0017ok refs/heads/main\n0000":    true,
		"000eunpack ok\n0000":                            false,
		"000eunpack ok\n0019ok refs/heads/master\n0000":  false,
		"000eunpack ok\n0017ok refs/heads/main\n":        false,
		"0011unpack error\n0017ok refs/heads/main\n0000": false,
		"": false,
	} {
		err := readReport(strings.NewReader(answer), capability.NewList(), "refs/heads/main")
		if (err == nil) != ok {
			t.Errorf("%q: %v, want success %t", answer, err, ok)
		}
	}
}
