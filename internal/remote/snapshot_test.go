package remote_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
)

// What a snapshot encodes it decodes again, entries ordered by path.
func TestSnapshotRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := remote.Snapshot{Extra: rapid.SliceOf(rapid.Byte()).Draw(t, "extra")}
		copy(want.Head[:], rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "head"))
		for _, p := range rapid.SliceOfDistinct(rapid.String(), rapid.ID).Draw(t, "paths") {
			e := remote.Entry{Path: p, Mode: rapid.SampledFrom([]uint32{0o100644, 0o100755, 0o120000, 0o160000}).Draw(t, "mode"), Foreign: rapid.Bool().Draw(t, "foreign")}
			copy(e.ID[:], rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "id"))
			want.Entries = append(want.Entries, e)
		}
		got, err := remote.DecodeSnapshot(want.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&want, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

// Whatever is in the database, decoding a snapshot neither fails badly nor invents entries out of nothing.
func FuzzDecodeSnapshot(f *testing.F) {
	f.Add((&remote.Snapshot{Entries: []remote.Entry{{Path: "a/b", Mode: 0o100644}, {Path: "a/c"}}}).Encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := remote.DecodeSnapshot(b)
		if s == nil || err != nil && len(s.Entries) > 0 {
			t.Fatalf("%+v, %v", s, err)
		}
	})
}

// The table of failures is complete: every row says what happened, who can mend it and how, and no code occurs twice.
func TestKinds(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range fault.OfPushes() {
		if k.Text == "" || k.Remedy == "" || k.Owner == "" || seen[string(k.Code)] || !strings.HasSuffix(k.Text, ".") {
			t.Errorf("row %+v", k)
		}
		seen[string(k.Code)] = true
		f := remote.Fail(k.Code, errors.New("cause"))
		if f.Class != k.Class || f.Fault.Code != k.Code {
			t.Errorf("Fail(%s) = %+v", k.Code, f)
		}
	}
}

// A redactor takes out the token in every form in which it travels, and keeps what errors.Is finds.
func TestRedactor(t *testing.T) {
	t.Parallel()
	const token = "glpat-a/b+c d"
	r := remote.NewRedactor(token)
	inner := errors.New("inner")
	err := r.Err(fmt.Errorf("https://oauth2:glpat-a%%2Fb+c%%20d@host %s b2F1dGgyOmdscGF0LWEvYitjIGQ=: %w", token, inner))
	if !errors.Is(err, inner) {
		t.Error("the chain is lost")
	}
	for _, secret := range []string{"glpat", "b2F1dGgyOmds"} {
		if strings.Contains(fmt.Sprintf("%v %+v %q", err, err, err), secret) {
			t.Errorf("%q is in %v", secret, err)
		}
	}
}
