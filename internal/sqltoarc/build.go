package sqltoarc

import (
	"crypto/sha256"
	"debug/elf"
	"io"
	"os"
	"strings"
)

// buildNote is the section in which the Go linker notes the build ID.
const buildNote = ".note.go.buildid"

// programHash identifies this program: another build may make other ARCs of the
// same rows.
func programHash() ([32]byte, error) {
	path, err := os.Executable()
	if err != nil {
		return [32]byte{}, err
	}
	file, err := os.Open(path)
	if err != nil {
		return [32]byte{}, err
	}
	defer func() { _ = file.Close() }()
	return hashProgram(file)
}

// hashProgram hashes the build ID, which takes no time, or else the whole
// program, which is tens of megabytes.
func hashProgram(file *os.File) ([32]byte, error) {
	if id := buildID(file); id != "" {
		return sha256.Sum256([]byte(id)), nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return [32]byte{}, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// buildID gives the build ID of a Go program, "" if there is none that can be
// trusted. That of the go command ends with a hash of the program's content, after
// three slashes; whoever links with an ID of their own may use it twice.
func buildID(program io.ReaderAt) string {
	f, err := elf.NewFile(program)
	if err != nil {
		return ""
	}
	section := f.Section(buildNote)
	if section == nil {
		return ""
	}
	note, err := section.Data()
	// Sizes of name and description, type, then the name "Go" in four bytes.
	const head = 16
	if err != nil || len(note) < head || string(note[12:head]) != "Go\x00\x00" {
		return ""
	}
	size := f.ByteOrder.Uint32(note[4:])
	if uint64(size) > uint64(len(note)-head) {
		return ""
	}
	id := string(note[head : head+size])
	if strings.Count(id, "/") != 3 {
		return ""
	}
	return id
}
