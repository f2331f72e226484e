// Package scaffold lays an ARC out as a folder: the workbooks with the metadata
// and the annotation tables (ISA-XLSX), the CWL documents of workflows and runs,
// the license, and the files that keep empty folders alive.
//
// The mapping is described in docs/arc-format.md; it is that of the reference
// library of the ARC format, with the deviations listed there. The same ARC
// always gives the same bytes, and what changes in an ARC changes only the files
// that show it.
//
// A path never leaves the folder, whatever an ARC says, and never leads into
// .git. Files plans everything and checks it; contents are made when they are
// asked for. Files of one ARC may be written by several goroutines at once, as
// long as nobody changes the ARC.
package scaffold

import (
	"io"
	"slices"
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
)

// File is a file of an ARC folder.
type File struct {
	// Path is relative to the folder, with slashes, clean, and never leads out
	// of it.
	Path    string
	content content
}

// content makes the content of a file.
type content interface {
	WriteTo(io.Writer) (int64, error)
}

// WriteTo makes the content of the file. It can be called as often as one likes
// and always writes the same.
func (f File) WriteTo(w io.Writer) (int64, error) { return f.content.WriteTo(w) }

// text is a file that is a text. The empty text makes an empty file.
type text string

func (t text) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(t))
	return int64(n), err
}

// Files plans the files of an ARC: the investigation, studies, assays, workflows
// and runs in their order, the license, and what keeps empty folders. When the
// ARC cannot be laid out, the error is of type Problems and has all the reasons,
// not just the first.
func Files(inv *arc.Investigation) ([]File, error) {
	p := &plan{part: inv, taken: map[string]string{}, folders: map[string]string{}}
	p.investigation(inv)
	for _, s := range inv.Studies {
		p.part = s
		p.study(s)
	}
	for _, a := range inv.Assays {
		p.part = a
		p.assay(a)
	}
	for _, w := range inv.Workflows {
		p.part = w
		p.workflow(w)
	}
	for _, r := range inv.Runs {
		p.part = r
		p.run(r)
	}
	p.part = inv
	p.license(inv.License)
	for _, folder := range []string{"assays", "studies", "workflows", "runs"} {
		p.keep(folder)
	}
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return p.files, nil
}

// plan gathers files and problems.
type plan struct {
	files    []File
	problems Problems
	part     any               // what is being laid out
	taken    map[string]string // path of a file -> what it belongs to
	folders  map[string]string // path of a folder -> what made it necessary
}

// add adds a file that belongs to entity, unless its path is taken.
func (p *plan) add(entity, path string, c content) {
	if p.taken[path] != "" && strings.HasSuffix(path, "/"+keepName) {
		i := slices.IndexFunc(p.files, func(f File) bool { return f.Path == path })
		p.files[i].content = c // one of two files that keep a folder is enough
		return
	}
	if p.take(entity, path) {
		p.files = append(p.files, File{Path: path, content: c})
	}
}

const keepName = ".gitkeep"

// take claims the path of a file and the folders above it.
func (p *plan) take(entity, path string) bool {
	other, taken := p.taken[path]
	if !taken {
		other, taken = p.folders[path]
	}
	for i := 0; !taken; i++ {
		next := strings.IndexByte(path[i:], '/')
		if next < 0 {
			break
		}
		i += next
		other, taken = p.taken[path[:i]]
	}
	if taken {
		p.problem(Problem{
			Code: "path-taken", Path: path,
			Text:   "the file " + quote(path) + " of " + entity + " is in the way of a file of " + other,
			Remedy: "give the two different identifiers, or list the part only once",
		})
		return false
	}
	p.taken[path] = entity
	for i := range len(path) {
		if path[i] == '/' {
			p.folders[path[:i]] = entity
		}
	}
	return true
}

// keep adds the file that keeps a folder alive when it is otherwise empty. It is
// there also when it is not.
func (p *plan) keep(folder string) {
	p.add("the folder "+folder, folder+"/"+keepName, text(""))
}

// partFolder checks the identifier of a study, assay, workflow or run and claims
// its folder. It is false when there can be no such folder.
func (p *plan) partFolder(kind, parent, identifier string) (entity, folder string, ok bool) {
	entity = "the " + kind + " " + quote(identifier)
	folder = parent + "/" + identifier
	switch {
	case !arc.ValidIdentifier(identifier):
		p.problem(Problem{
			Code: "identifier", Path: parent, Name: true,
			Text:   entity + " has an identifier that cannot be the name of a folder",
			Remedy: "use letters, digits, underscores, dashes and blanks of ASCII only",
		})
		return entity, folder, false
	case len(identifier) > maxName:
		p.problem(Problem{
			Code: "identifier", Path: parent, Name: true,
			Text:   entity + " has an identifier that is too long for the name of a folder",
			Remedy: "use at most 255 characters",
		})
		return entity, folder, false
	}
	if _, twice := p.folders[folder]; twice {
		p.problem(Problem{
			Code: "path-taken", Path: folder, Name: true,
			Text:   entity + " is there twice",
			Remedy: "give every " + kind + " its own identifier and list it once",
		})
		return entity, folder, false
	}
	return entity, folder, true
}

// maxName is how long the name of a file or folder may be in the file systems
// people keep clones in, in bytes.
const maxName = 255
