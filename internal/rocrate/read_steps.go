package rocrate

import (
	"strings"

	"github.com/fairagro/middleware-api/internal/arc"
	"github.com/fairagro/middleware-api/internal/rocrate/jsonld"
)

// expand looks the steps of a workflow up in the graph: a step that runs the file of another
// workflow protocol of the crate gets its processing unit.
func (r *reader) expand(u *arc.ProcessingUnit, path string, at jsonld.Node) {
	for i := range u.Steps {
		e := expansion{reader: r, active: map[string]bool{}, done: map[string]*arc.ProcessingUnit{}, at: at}
		u.Steps[i].Unit = e.step(path, u.Steps[i].Run)
	}
}

// expansion is the expansion of one step. A workflow that is being expanded is not expanded
// within itself.
type expansion struct {
	*reader
	active map[string]bool
	done   map[string]*arc.ProcessingUnit
	at     jsonld.Node
}

// unitCost is what writing a processing unit again costs, in bytes.
const unitCost = 256

// step gives the processing unit that a step runs, or nil.
func (e *expansion) step(workflowPath, run string) *arc.ProcessingUnit {
	candidates := runCandidates(workflowPath, run)
	for _, candidate := range candidates {
		key := normalizePath(candidate)
		if e.active[key] {
			continue
		}
		unit, known := e.done[key]
		if !known {
			if unit = e.find(candidate); unit == nil {
				continue
			}
			if unit.Class == arc.CWLWorkflow {
				e.active[key] = true
				for i := range unit.Steps {
					unit.Steps[i].Unit = e.step(candidate, unit.Steps[i].Run)
				}
				delete(e.active, key)
			}
			for _, c := range candidates {
				e.done[normalizePath(c)] = unit
			}
		}
		if !e.spend(e.size(unit), e.at) {
			return nil
		}
		return unit
	}
	return nil
}

// size says how much a processing unit is when it is written, as far as the budget goes.
func (e *expansion) size(u *arc.ProcessingUnit) int {
	n := unitCost + parameterCost*(len(u.Inputs)+len(u.Outputs)+len(u.Steps))
	for _, s := range u.Steps {
		if s.Unit != nil && n < e.budget.left {
			n += e.size(s.Unit)
		}
	}
	return n
}

// find reads the processing unit that the graph has for a path. One that cannot be read is
// none.
func (e *expansion) find(path string) *arc.ProcessingUnit {
	normalized := normalizePath(path)
	for _, id := range []string{path, normalized, "./" + normalized} {
		n, ok := e.graph.Node(id)
		if !ok {
			continue
		}
		if !n.Is(workflowTypes) {
			if n, ok = e.ofPart(n); !ok {
				return nil
			}
		}
		silent := *e.reader
		silent.findings = &findings{silent: true}
		unit := silent.unit(n, false)
		if silent.errors > 0 {
			return nil
		}
		return unit
	}
	return nil
}

// ofPart gives the workflow protocol of a workflow or run.
func (e *expansion) ofPart(n jsonld.Node) (jsonld.Node, bool) {
	if !n.Is(jsonld.Dataset) || !n.HasAdditionalType(additionalWorkflow) && !n.HasAdditionalType(additionalRun) {
		return jsonld.Node{}, false
	}
	return e.workflowProtocol(n)
}

// runCandidates gives the paths under which a file that a step runs may be known.
func runCandidates(workflowPath, run string) []string {
	run = arc.TrimSpace(run)
	if !strings.HasSuffix(strings.ToLower(run), ".cwl") {
		return nil
	}
	var list []string
	beside := resolvePath(workflowPath, run)
	for _, path := range []string{run, normalizePath(run), beside, normalizePath(beside)} {
		known := arc.IsBlank(path)
		for _, have := range list {
			known = known || have == path
		}
		if !known {
			list = append(list, path)
		}
	}
	return list
}

// splitPath splits a path into the root that it begins with, if any, and its segments.
func splitPath(path string) (root string, segments []string) {
	path = arc.TrimSpace(path)
	isSeparator := func(c rune) bool { return c == '/' || c == '\\' }
	switch {
	case len(path) >= 2 && path[1] == ':' && (path[0]|0x20) >= 'a' && (path[0]|0x20) <= 'z':
		root, path = path[:2]+"/", path[2:]
	case len(path) >= 2 && isSeparator(rune(path[0])) && path[0] == path[1]:
		root = "//"
	case path != "" && isSeparator(rune(path[0])):
		root = "/"
	}
	return root, strings.FieldsFunc(path, isSeparator)
}

// joinPath resolves . and .. in segments and joins them.
func joinPath(root string, segments []string, otherwise string) string {
	var out []string
	for _, s := range segments {
		switch s = arc.TrimSpace(s); {
		case s == "" || s == ".":
		case s == ".." && len(out) > 0 && out[len(out)-1] != "..":
			out = out[:len(out)-1]
		default:
			out = append(out, s)
		}
	}
	if len(out) == 0 && root == "" {
		return otherwise
	}
	return root + strings.Join(out, "/")
}

func normalizePath(path string) string {
	root, segments := splitPath(path)
	return joinPath(root, segments, arc.TrimSpace(path))
}

// resolvePath gives a path relative to the folder of a file.
func resolvePath(file, path string) string {
	if root, _ := splitPath(path); root != "" {
		return normalizePath(path)
	}
	root, folder := splitPath(file)
	if len(folder) > 0 {
		folder = folder[:len(folder)-1]
	}
	_, segments := splitPath(path)
	return joinPath(root, append(folder, segments...), arc.TrimSpace(path))
}
