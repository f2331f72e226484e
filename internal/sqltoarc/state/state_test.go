package state_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/fairagro/middleware-api/internal/sqltoarc/state"
)

func open(tb testing.TB, path string, builder byte) *state.File {
	tb.Helper()
	f, err := state.Open(path, [32]byte{builder})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	return f
}

// The table behaves as a map, whatever is put in which order, also after it was
// closed and opened again.
func TestTableIsAMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		f := open(t, path, 1)
		model := map[string]state.Record{}
		for range rapid.IntRange(1, 300).Draw(rt, "steps") {
			id := fmt.Sprint(rapid.IntRange(0, 100).Draw(rt, "id"))
			if rapid.IntRange(0, 50).Draw(rt, "reopen") == 0 {
				_ = f.Close()
				f = open(t, path, 1)
			}
			r := state.Record{
				Run: rapid.Uint32().Draw(rt, "run"), Studies: rapid.Uint32().Draw(rt, "studies"), Assays: rapid.Uint32().Draw(rt, "assays"), Warnings: rapid.Uint32().Draw(rt, "warnings"),
				Fingerprint: sha256.Sum256([]byte(id)), Marker: [16]byte{1, byte(len(id))}, Hash: sha256.Sum256([]byte(id + "h")),
			}
			if err := f.Put(id, r); err != nil {
				rt.Fatal(err)
			}
			model[id] = r
		}
		for i := range 101 {
			got, ok, err := f.Get(fmt.Sprint(i))
			want, wantOK := model[fmt.Sprint(i)]
			if err != nil || ok != wantOK || got != want {
				rt.Fatalf("%d: got %v %v %v, want %v %v", i, got, ok, err, want, wantOK)
			}
		}
		_ = f.Close()
	})
}

// The table grows while several put into it, and loses nothing: neither records nor the
// open harvest nor the lock.
func TestTableGrows(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sub", "s")
	f := open(t, path, 1)
	if err := f.Begin("harvest-1"); err != nil {
		t.Fatal(err)
	}
	const each, writers = 3000, 4
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := f.Put(fmt.Sprintf("%d/%d", w, i), state.Record{Run: uint32(i + 1)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if _, err := state.Open(path, [32]byte{1}); !errors.Is(err, state.ErrBusy) {
		t.Errorf("a second run may use the file: %v", err)
	}
	_ = f.Close()
	f = open(t, path, 1)
	if f.Unfinished() != "harvest-1" || f.Run() != 1 {
		t.Errorf("harvest %q, run %d", f.Unfinished(), f.Run())
	}
	for w := range writers {
		for i := range each {
			r, ok, err := f.Get(fmt.Sprintf("%d/%d", w, i))
			if err != nil || !ok || r.Run != uint32(i+1) {
				t.Fatalf("%d/%d: got %v %v %v", w, i, r, ok, err)
			}
		}
	}
}

// A torn record, a torn header, another program: what cannot be trusted is
// forgotten, but never what harvest is open, as long as that can be read.
func TestDistrust(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	f := open(t, path, 1)
	if err := errors.Join(f.Begin("harvest-1"), f.Put("a", state.Record{Run: 1})); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(path, [32]byte{1}); !errors.Is(err, state.ErrBusy) {
		t.Errorf("a second run may use the file: %v", err)
	}
	_ = f.Close()

	f = open(t, path, 2)
	if _, ok, _ := f.Get("a"); ok || f.Unfinished() != "harvest-1" || f.Run() != 1 {
		t.Errorf("another program: record kept %v, harvest %q, run %d", ok, f.Unfinished(), f.Run())
	}
	if err := errors.Join(f.Put("a", state.Record{Run: 1}), f.Finish(), f.Close()); err != nil {
		t.Fatal(err)
	}

	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(data); i++ {
		if data[i] != 0 {
			data[i+20] ^= 1
			break
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f = open(t, path, 2)
	if f.Unfinished() != "" {
		t.Errorf("the harvest %q has ended", f.Unfinished())
	}
	if _, ok, err := f.Get("a"); ok || err != nil {
		t.Errorf("a torn record is believed: %v, %v", ok, err)
	}
	_ = f.Close()
	if err := os.WriteFile(path, data[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	f = open(t, path, 2)
	if f.Unfinished() != "" || f.Put("b", state.Record{}) != nil {
		t.Error("a torn header is not replaced")
	}
}

// The key of a harvest that is being begun is on disk before it is used: until the
// harvest is known every run gets the same one, another build of the program too.
func TestAKeyIsKeptUntilItsHarvestIsKnown(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	intend := func(builder byte, key string) string {
		t.Helper()
		f := open(t, path, builder)
		defer func() { _ = f.Close() }()
		got, err := f.Intend(key)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for i, builder := range []byte{1, 1, 2} {
		if got := intend(builder, fmt.Sprint("key-", i)); got != "key-0" {
			t.Errorf("run %d: got %q", i, got)
		}
	}
	f := open(t, path, 2)
	if err := f.Begin("harvest-1"); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if got := intend(2, "key-9"); got != "key-9" {
		t.Errorf("the next harvest: got %q", got)
	}
	f = open(t, path, 2)
	if got := f.Unfinished(); got != "harvest-1" {
		t.Errorf("unfinished: got %q", got)
	}
}
