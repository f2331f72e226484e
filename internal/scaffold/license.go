package scaffold

import (
	"path"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
)

const (
	defaultLicenseID = "#LICENSE"
	noLicenseText    = "ALL RIGHTS RESERVED BY THE AUTHORS"
)

// license adds the file of the license. The id of the license in the crate is
// the name of the file; the id that ARC tools use stands for LICENSE, and for no
// file when there is nothing to say in it. An address on the web is no file name
// and leaves no file.
func (p *plan) license(l *arc.License) {
	switch {
	case l == nil, isURL(l.ID):
	case l.ID == defaultLicenseID:
		if l.Text != nil && *l.Text != noLicenseText {
			p.add("the license", "LICENSE", text(*l.Text))
		}
	default:
		content := text("")
		if l.Text != nil {
			content = text(*l.Text)
		}
		name, why := safePath(l.ID)
		if why != "" {
			p.problem(Problem{
				Code: "path", Path: quote(l.ID), Parts: []any{l},
				Text:   "the license " + quote(l.ID) + " names a file that " + why,
				Remedy: "give the license the id " + defaultLicenseID + ", or the name of a file in the ARC",
			})
			return
		}
		p.add("the license "+quote(l.ID), name, content)
	}
}

func isURL(id string) bool {
	scheme, _, ok := strings.Cut(id, ":")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// safePath makes a path of an ARC out of an id, or says why that cannot be.
func safePath(id string) (clean, why string) {
	name := strings.TrimLeft(id, `/\`)
	clean = path.Clean(name)
	if clean == "." || strings.HasSuffix(name, "/") || strings.IndexByte(name, 0) >= 0 {
		return "", "has no name"
	}
	// A backslash separates folders where some people check the ARC out.
	for part := range strings.SplitSeq(strings.ReplaceAll(clean, `\`, "/"), "/") {
		switch {
		case part == "..":
			return "", "may lie outside of the ARC"
		case part == ".":
			return "", "has no name"
		case isGitFolder(part):
			return "", "belongs to git"
		case len(part) > maxName:
			return "", "has too long a name"
		}
	}
	if len(clean) > maxPath {
		return "", "has too long a name"
	}
	return clean, ""
}

// maxPath is what Linux allows, less than half of it to leave room for where
// the clone is.
const maxPath = 2000

// isGitFolder tells whether the name of a folder is taken for git's own on some
// file system: in other case, with trailing dots and blanks, with characters
// that are ignored, or by its short name.
func isGitFolder(name string) bool {
	name = strings.ToLower(strings.Map(func(r rune) rune {
		switch { // what HFS+ ignores
		case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x206a && r <= 0x206f, r == 0xfeff:
			return -1
		}
		return r
	}, name))
	name, _, _ = strings.Cut(name, ":") // alternate data streams of NTFS
	name = strings.TrimRight(name, ". ")
	return name == ".git" || name == "git~1"
}
