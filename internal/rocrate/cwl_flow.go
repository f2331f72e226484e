package rocrate

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairagro/middleware-api/internal/arc"
)

// parseLooseFlow reads flow-style YAML that is not quite YAML the way the reference library
// does: a plain scalar ends at a bracket and may contain a question mark, a comma before a
// bracket may be missing in a list, and brackets behind the outermost ones do not count. So
// [int[], null] is the list of int, an empty list and null.
func parseLooseFlow(text string) (*yaml.Node, error) {
	p := looseFlow{rest: arc.TrimSpace(text)}
	if p.next() != '[' && p.next() != '{' {
		return nil, errCWLForm
	}
	n, err := p.node()
	if rest := p.next(); err == nil && rest != 0 && rest != '[' {
		err = errCWLForm
	}
	return n, err
}

type looseFlow struct{ rest string }

// next gives the next character that is not white space, without taking it; 0 at the end.
func (p *looseFlow) next() byte {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	if p.rest == "" {
		return 0
	}
	return p.rest[0]
}

// take takes the next character if it is c.
func (p *looseFlow) take(c byte) bool {
	if p.next() != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *looseFlow) node() (*yaml.Node, error) {
	switch {
	case p.take('['):
		return p.list()
	case p.take('{'):
		return p.mapping()
	}
	return p.scalar(",[]{}")
}

func (p *looseFlow) list() (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for !p.take(']') {
		if p.take(',') {
			continue
		}
		item, err := p.node()
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, item)
	}
	return n, nil
}

func (p *looseFlow) mapping() (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for !p.take('}') {
		key, err := p.scalar(":,[]{}")
		if err != nil || !p.take(':') {
			return nil, errCWLForm
		}
		value, err := p.node()
		if err != nil || p.next() != '}' && !p.take(',') {
			return nil, errCWLForm
		}
		n.Content = append(n.Content, key, value)
	}
	return n, nil
}

// scalar reads a scalar: in quotes, or up to one of the characters that end it.
func (p *looseFlow) scalar(end string) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.ScalarNode}
	if quote := p.next(); quote == '"' || quote == '\'' {
		text, rest, closed := strings.Cut(p.rest[1:], string(quote))
		if !closed {
			return nil, errCWLForm
		}
		n.Value, p.rest, n.Style = text, rest, yaml.SingleQuotedStyle
		if quote == '"' {
			n.Style = yaml.DoubleQuotedStyle
		}
		return n, nil
	}
	i := strings.IndexAny(p.rest, end)
	if i <= 0 {
		return nil, errCWLForm
	}
	n.Value, p.rest = arc.TrimSpace(p.rest[:i]), p.rest[i:]
	return n, nil
}
