package scaffold

import "strings"

// yaml is a node of a YAML document: a scalar, a mapping or a sequence. Only what
// CWL documents need; scalars are neither quoted nor escaped, as in the files of
// other ARC tools.
type yaml interface {
	// put writes the node as a block of lines of its own.
	put(w *yamlWriter, level int)
}

type (
	// yamlText is a plain scalar. With line breaks in it, it becomes a block
	// scalar without the trailing ones.
	yamlText string
	// yamlExpression is a scalar in double quotes. With line breaks in it, it
	// becomes a block scalar.
	yamlExpression string
	// yamlMap is a mapping in the order of its pairs.
	yamlMap []yamlPair
	// yamlList is a sequence, in brackets if all its items are scalars of one line.
	yamlList []yaml
	// yamlLines is a sequence with a line for each item.
	yamlLines []yaml
	// yamlNothing is no value at all: nothing stands behind the key.
	yamlNothing struct{}
)

type yamlPair struct {
	key   string
	value yaml
}

// yamlWriter writes lines with an indentation of two blanks for each level.
type yamlWriter struct{ strings.Builder }

func (w *yamlWriter) line(level int, texts ...string) {
	for range level {
		w.WriteString("  ")
	}
	for _, s := range texts {
		w.WriteString(s)
	}
	w.WriteByte('\n')
}

// block writes a block scalar below its introduction. Empty lines are indented
// as well.
func (w *yamlWriter) block(level int, introduction, body string) {
	w.line(level, introduction)
	for line := range strings.SplitSeq(body, "\n") {
		w.line(level+1, line)
	}
}

// inline gives the node as it stands behind a key or a dash, if it can.
func inline(node yaml) (string, bool) {
	switch n := node.(type) {
	case yamlText:
		return string(n), !strings.Contains(string(n), "\n")
	case yamlExpression:
		s := unifyLineBreaks(string(n))
		return `"` + doubleQuoteEscapes.Replace(s) + `"`, !strings.Contains(s, "\n")
	case yamlMap:
		return "{}", len(n) == 0
	case yamlLines:
		return "[]", len(n) == 0
	case yamlList:
		items := make([]string, len(n))
		for i, item := range n {
			s, ok := inline(item)
			if _, isText := item.(yamlText); !ok || !isText {
				return "", false
			}
			items[i] = s
		}
		return "[" + strings.Join(items, ", ") + "]", true
	}
	return "", false
}

// introduce writes a node behind a key or a dash: on the same line, as a block
// scalar, or below it.
func (w *yamlWriter) introduce(level int, introduction string, node yaml) {
	if s, ok := inline(node); ok {
		w.line(level, introduction, " ", s)
		return
	}
	switch n := node.(type) {
	case yamlText:
		w.block(level, introduction+" |-", strings.TrimRight(unifyLineBreaks(string(n)), "\n"))
	case yamlExpression:
		w.block(level, introduction+" |", strings.TrimSuffix(unifyLineBreaks(string(n)), "\n"))
	default:
		w.line(level, introduction)
		node.put(w, level+1)
	}
}

func (t yamlText) put(w *yamlWriter, level int)       { w.line(level, string(t)) }
func (e yamlExpression) put(w *yamlWriter, level int) { w.line(level, string(e)) }

func (m yamlMap) put(w *yamlWriter, level int) {
	for _, pair := range m {
		w.introduce(level, pair.key+":", pair.value)
	}
}

func (l yamlList) put(w *yamlWriter, level int) {
	for _, item := range l {
		w.introduce(level, "-", item)
	}
}

func (yamlNothing) put(*yamlWriter, int) {}

func (l yamlLines) put(w *yamlWriter, level int) { yamlList(l).put(w, level) }

func unifyLineBreaks(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

var doubleQuoteEscapes = strings.NewReplacer(
	`\`, `\\`, `"`, `\"`, "\x00", `\0`, "\a", `\a`, "\b", `\b`, "\t", `\t`, "\v", `\v`, "\f", `\f`, "\x1b", `\e`,
	"\u0085", `\N`, "\u00a0", `\_`, "\u2028", `\L`, "\u2029", `\P`,
)
