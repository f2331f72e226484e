package git

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // git names objects by SHA-1
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
)

// errLarge says that an ARC does not fit into memory as far as we allow.
var errLarge = errors.New("ARC is larger than what is built in memory")

// maxPath is the longest path taken: what Linux can check out.
const maxPath = 4096

// built is an ARC as git objects. Objects holds only those that the other side
// does not know.
type built struct {
	tree    plumbing.Hash
	entries []remote.Entry
	objects []plumbing.EncodedObject
	known   objectSet
	size    int64
}

// objectSet is a set of object names.
type objectSet map[plumbing.Hash]struct{}

func (s objectSet) has(h plumbing.Hash) bool { _, ok := s[h]; return ok }

func (s objectSet) add(h plumbing.Hash) { s[h] = struct{}{} }

// BlobID gives git's name of a file's content.
func BlobID(content []byte) plumbing.Hash { return objectID("blob ", content) }

func objectID(kind string, content []byte) plumbing.Hash {
	h := sha1.New() //nolint:gosec // git names objects by SHA-1
	var head [32]byte
	h.Write(append(strconv.AppendInt(append(head[:0], kind...), int64(len(content)), 10), 0))
	h.Write(content)
	var id plumbing.Hash
	h.Sum(id[:0])
	return id
}

// buildBlobs reads every file once and keeps the content only of those that
// are not known to the other side; with namesOnly, of none.
func buildBlobs(files []remote.File, known objectSet, limit int64, namesOnly bool) (*built, error) {
	if err := CheckPaths(files); err != nil {
		return nil, err
	}
	out := &built{entries: make([]remote.Entry, 0, len(files)), known: known}
	seen := objectSet{}
	var buf bytes.Buffer
	for _, f := range files {
		buf.Reset()
		if _, err := f.Content.WriteTo(&capped{&buf, limit - out.size, errLarge}); err != nil {
			return nil, fmt.Errorf("write %s: %w", f.Path, err)
		}
		out.size += int64(buf.Len())
		id := BlobID(buf.Bytes())
		out.entries = append(out.entries, remote.Entry{Path: f.Path, Mode: uint32(filemode.Regular), ID: id})
		if namesOnly || known.has(id) || seen.has(id) {
			continue
		}
		seen.add(id)
		o := &plumbing.MemoryObject{}
		o.SetType(plumbing.BlobObject)
		if _, err := o.Write(bytes.Clone(buf.Bytes())); err != nil {
			return nil, err
		}
		out.objects = append(out.objects, o)
	}
	sortEntries(out.entries)
	return out, nil
}

// capped writes up to a limit, then gives the error.
type capped struct {
	w    io.Writer
	left int64
	err  error
}

func (c *capped) Write(p []byte) (int, error) {
	if c.left -= int64(len(p)); c.left < 0 {
		return 0, c.err
	}
	return c.w.Write(p)
}

// addTrees makes the trees over the entries and keeps those that are not known.
func (b *built) addTrees(known objectSet) {
	seen := objectSet{}
	b.tree = buildTrees(b.entries, func(id plumbing.Hash, content []byte) {
		if known.has(id) || seen.has(id) {
			return
		}
		seen.add(id)
		o := &plumbing.MemoryObject{}
		o.SetType(plumbing.TreeObject)
		_, _ = o.Write(bytes.Clone(content)) // to memory: cannot fail
		b.objects = append(b.objects, o)
	})
}

func sortEntries(entries []remote.Entry) {
	sort.Slice(entries, func(i, j int) bool { return entries[i].Path < entries[j].Path })
}

// buildTrees gives the root tree over ordered entries and shows every tree, the
// ones below first. The order of full paths is the order that git wants within
// a tree, where a folder counts as if its name ended with a slash.
func buildTrees(entries []remote.Entry, show func(id plumbing.Hash, content []byte)) plumbing.Hash {
	var levels [][]byte // one buffer per depth, used again and again
	var build func(entries []remote.Entry, depth, skip int) plumbing.Hash
	build = func(entries []remote.Entry, depth, skip int) plumbing.Hash {
		if depth == len(levels) {
			levels = append(levels, nil)
		}
		buf := levels[depth][:0]
		for i := 0; i < len(entries); {
			name := entries[i].Path[skip:]
			cut := strings.IndexByte(name, '/')
			if cut < 0 {
				buf = appendTreeEntry(buf, entries[i].Mode, name, entries[i].ID)
				i++
				continue
			}
			prefix := entries[i].Path[:skip+cut+1]
			end := i + 1
			for end < len(entries) && strings.HasPrefix(entries[end].Path, prefix) {
				end++
			}
			buf = appendTreeEntry(buf, uint32(filemode.Dir), name[:cut], build(entries[i:end], depth+1, len(prefix)))
			i = end
		}
		levels[depth] = buf
		id := objectID("tree ", buf)
		show(id, buf)
		return id
	}
	return build(entries, 0, 0)
}

func appendTreeEntry(buf []byte, mode uint32, name string, id plumbing.Hash) []byte {
	buf = strconv.AppendUint(buf, uint64(mode), 8)
	buf = append(append(append(buf, ' '), name...), 0)
	return append(buf, id[:]...)
}

// knownObjects names every blob and tree of a repository that holds the entries.
func knownObjects(entries []remote.Entry) (plumbing.Hash, objectSet) {
	known := make(objectSet, 2*len(entries))
	if len(entries) == 0 {
		return plumbing.ZeroHash, known
	}
	root := buildTrees(entries, func(id plumbing.Hash, _ []byte) { known.add(id) })
	for _, e := range entries {
		known.add(e.ID)
	}
	return root, known
}

// CheckPaths refuses what git would refuse on the other side, or what could
// leave the folder when somebody checks the repository out.
func CheckPaths(files []remote.File) error {
	all := make(map[string]bool, len(files))
	for _, f := range files {
		if why := badPath(f.Path); why != "" {
			return remote.Fail(fault.PathInvalid, fmt.Errorf("path %q: %s", f.Path, why))
		}
		if all[f.Path] {
			return remote.Fail(fault.PathInvalid, fmt.Errorf("path %q: given twice", f.Path))
		}
		all[f.Path] = true
	}
	for p := range all {
		for i, c := range p {
			if c == '/' && all[p[:i]] {
				return remote.Fail(fault.PathInvalid, fmt.Errorf("path %q: is a file and a folder", p[:i]))
			}
		}
	}
	return nil
}

func badPath(p string) string {
	if p == "" || len(p) > maxPath {
		return "empty or too long"
	}
	if strings.ContainsAny(p, "\x00\\") {
		return "holds a NUL or a backslash"
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 {
			return "has an empty, relative or too long part"
		}
		if plain(part) {
			continue
		}
		// What git's fsck takes for .git on case-folding, NTFS and HFS+ file systems.
		folded := strings.ToLower(strings.TrimRight(strings.Map(dropIgnorable, part), " ."))
		if stream, _, ok := strings.Cut(folded, ":"); ok {
			folded = strings.TrimRight(stream, " .")
		}
		if folded == ".git" || folded == "git~1" || folded == ".gitmodules" {
			return "has a part that git keeps for itself"
		}
	}
	return ""
}

// plain tells that a part cannot be mistaken for .git: it is ASCII and has no
// "git" in it.
func plain(part string) bool {
	for i := range len(part) {
		if part[i] >= 0x80 || part[i]|0x20 == 'g' && len(part) >= i+3 && part[i+1]|0x20 == 'i' && part[i+2]|0x20 == 't' {
			return false
		}
	}
	return true
}

// dropIgnorable removes the code points that HFS+ ignores in names.
func dropIgnorable(r rune) rune {
	if r >= 0x200c && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x206a && r <= 0x206f || r == 0xfeff {
		return -1
	}
	return r
}
