package remote

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sort"
)

// Entry is one file as a repository holds it.
type Entry struct {
	Path    string
	Mode    uint32 // git's file mode, e.g. 0100644
	ID      [20]byte
	Foreign bool // put there by somebody else and kept
}

// Snapshot is what is remembered of a repository after a push: enough to build
// the next commit on top without reading anything from the remote.
type Snapshot struct {
	Head    [20]byte
	Entries []Entry // ordered by path
	// Extra belongs to the implementation, e.g. which project it is in GitLab.
	Extra []byte
}

const snapshotVersion = 1

var errSnapshot = errors.New("recorded state of the repository cannot be read")

// HeadHex gives the head as text, "" if there is none.
func (s *Snapshot) HeadHex() string {
	if s.Head == [20]byte{} {
		return ""
	}
	return hex.EncodeToString(s.Head[:])
}

// Encode gives the snapshot as bytes: version, head, extra, then the entries,
// each path as length shared with the one before and the rest.
func (s *Snapshot) Encode() []byte {
	sort.Slice(s.Entries, func(i, j int) bool { return s.Entries[i].Path < s.Entries[j].Path })
	b := make([]byte, 0, 64+len(s.Extra)+len(s.Entries)*40)
	b = append(b, snapshotVersion)
	b = append(b, s.Head[:]...)
	b = binary.AppendUvarint(b, uint64(len(s.Extra)))
	b = append(b, s.Extra...)
	b = binary.AppendUvarint(b, uint64(len(s.Entries)))
	last := ""
	for _, e := range s.Entries {
		n := shared(last, e.Path)
		b = binary.AppendUvarint(b, uint64(n))
		b = binary.AppendUvarint(b, uint64(len(e.Path)-n))
		b = append(b, e.Path[n:]...)
		mode := uint64(e.Mode) << 1
		if e.Foreign {
			mode |= 1
		}
		b = binary.AppendUvarint(b, mode)
		b = append(b, e.ID[:]...)
		last = e.Path
	}
	return b
}

// DecodeSnapshot reads what Encode wrote. Nothing recorded is an empty snapshot.
func DecodeSnapshot(b []byte) (*Snapshot, error) {
	s := &Snapshot{}
	if len(b) == 0 {
		return s, nil
	}
	if len(b) < 21 || b[0] != snapshotVersion {
		return s, errSnapshot
	}
	r := reader{b: b[1:]}
	copy(s.Head[:], r.take(20))
	s.Extra = append([]byte(nil), r.take(r.uvarint())...)
	n := r.uvarint()
	if r.bad || n > uint64(len(b)) {
		return &Snapshot{}, errSnapshot
	}
	s.Entries = make([]Entry, 0, n)
	last := ""
	for range n {
		common := r.uvarint()
		rest := r.take(r.uvarint())
		mode := r.uvarint()
		id := r.take(20)
		if r.bad || common > uint64(len(last)) {
			return &Snapshot{}, errSnapshot
		}
		e := Entry{Path: last[:common] + string(rest), Mode: uint32(mode >> 1), Foreign: mode&1 == 1}
		copy(e.ID[:], id)
		s.Entries = append(s.Entries, e)
		last = e.Path
	}
	if len(r.b) != 0 {
		return &Snapshot{}, errSnapshot
	}
	return s, nil
}

func shared(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// reader takes pieces off a slice; after the first piece that is missing it is
// bad and gives nothing more.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}
