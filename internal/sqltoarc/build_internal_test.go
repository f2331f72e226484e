package sqltoarc

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A program is known by the build ID that the go command gave it, and a program
// without one, or with one of somebody's own, by all of its bytes.
func TestProgramHash(t *testing.T) {
	t.Parallel()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	id := buildID(bytes.NewReader(program))
	if id == "" {
		t.Fatal("this program has no build ID")
	}
	hash := func(content []byte) [32]byte {
		t.Helper()
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		sum, err := hashProgram(file)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	own, err := programHash()
	if err != nil || own != hash(program) {
		t.Errorf("the same program has another hash (%v)", err)
	}
	// The same ID with other slashes is not one of the go command.
	foreign := bytes.ReplaceAll(program, []byte(id), bytes.ReplaceAll([]byte(id), []byte("/"), []byte("-")))
	if got := buildID(bytes.NewReader(foreign)); got != "" {
		t.Errorf("build ID %q is trusted", got)
	}
	longer := append(bytes.Clone(foreign), 0)
	if hash(foreign) == hash(longer) {
		t.Error("without a build ID not all bytes count")
	}
	if hash([]byte("#!/bin/sh\n")) == hash([]byte("#!/bin/sh\n\n")) {
		t.Error("what is no Go program does not count by its bytes")
	}
}
