package arc

import "strings"

// OntologyTerm is a term of an ontology, or just a name when nothing else is
// known. The zero value is no term.
type OntologyTerm struct {
	Name string
	TSR  string // term source reference: the name of the ontology, e.g. MS
	TAN  string // term accession number: the short form (MS:1000031) if it has one, else as it was given
}

// NewTerm makes a term of its name and an accession in any spelling: a short
// form, a URL of one of the terminology services, or anything else, which is
// then kept as it is.
func NewTerm(name, accession string) OntologyTerm {
	if accession == "" || accession == ":" { // a short form of nothing is no accession
		return OntologyTerm{Name: name}
	}
	if idspace, local, ok := ParseAccession(accession); ok {
		tan := accession
		if len(tan) != len(idspace)+1+len(local) || tan[len(idspace)] != ':' {
			tan = idspace + ":" + local
		}
		return OntologyTerm{Name: name, TSR: idspace, TAN: tan}
	}
	return OntologyTerm{Name: name, TAN: accession}
}

// IsZero tells whether the term has neither name nor source nor accession.
func (t OntologyTerm) IsZero() bool { return t == OntologyTerm{} }

// Short gives the accession in short form, IDSPACE:LOCAL, or "" when it has
// none.
func (t OntologyTerm) Short() string {
	idspace, local, ok := t.split()
	switch {
	case !ok:
		return ""
	case len(t.TAN) == len(idspace)+1+len(local) && t.TAN[len(idspace)] == ':':
		return t.TAN
	}
	return idspace + ":" + local
}

// split gives idspace and local id. An accession without a short form is the
// local id of the source, if that is known.
func (t OntologyTerm) split() (idspace, local string, ok bool) {
	if t.TAN == "" {
		return "", "", false
	}
	if idspace, local, ok = ParseAccession(t.TAN); ok {
		return idspace, local, true
	}
	return t.TSR, t.TAN, t.TSR != ""
}

// URL gives the address of the term at a terminology service, or "" when the
// accession has no short form.
func (t OntologyTerm) URL() string {
	idspace, local, ok := t.split()
	if !ok {
		return ""
	}
	return termURL(idspace, local)
}

// URLOrTAN gives the address of the term when the accession is a short form, or
// else the accession as it is. Metadata sheets want it so.
func (t OntologyTerm) URLOrTAN() string {
	if _, _, ok := parseShortForm(t.TAN); ok {
		return t.URL()
	}
	return t.TAN
}

// termURL knows where the ontologies live. The idspace is case-sensitive.
func termURL(idspace, local string) string {
	switch idspace {
	case "DPBO":
		return "http://purl.org/nfdi4plants/ontology/dpbo/DPBO_" + local
	case "MS", "PO", "RO":
		return "https://www.ebi.ac.uk/ols4/ontologies/" + strings.ToLower(idspace) +
			"/classes/http%253A%252F%252Fpurl.obolibrary.org%252Fobo%252F" + idspace + "_" + local
	case "ENVO", "CHEBI", "GO", "OBI", "PATO", "PECO", "TO", "UO", "EFO", "NCIT", "OMP":
		return "https://bioregistry.io/" + idspace + ":" + local
	}
	return "http://purl.obolibrary.org/obo/" + idspace + "_" + local
}

// ParseAccession finds the idspace and the local id in an accession. White space
// around it does not count. The first of these patterns that is found anywhere
// in it decides (\w is ASCII):
//
//	(\w+?):(\w+)
//	http://purl.obolibrary.org/obo/(\w+?)_(\w+)
//	.*\/(\w+?)[:_](\w+)
//	.*252F(\w+?)_(\w+)
func ParseAccession(accession string) (idspace, local string, ok bool) {
	s := TrimSpace(accession)
	if idspace, local, ok = parseShortForm(s); ok {
		return idspace, local, true
	}
	if strings.IndexByte(s, '_') < 0 { // without a colon that the first pattern takes, the others need an underscore
		return "", "", false
	}
	if idspace, local, ok = parsePurl(s); ok {
		return idspace, local, true
	}
	if idspace, local, ok = parseAfterLast(s, "/"); ok {
		return idspace, local, true
	}
	return parseAfterLast(s, "252F")
}

// parseShortForm finds the first colon between two word characters; the words
// on both sides of it are the result.
func parseShortForm(s string) (idspace, local string, ok bool) {
	for i := 1; i < len(s)-1; i++ {
		if s[i] != ':' || !isWord(s[i-1]) || !isWord(s[i+1]) {
			continue
		}
		start := i
		for start > 0 && isWord(s[start-1]) {
			start--
		}
		return s[start:i], leadingWord(s[i+1:]), true
	}
	return "", "", false
}

// parsePurl finds the first PURL of the OBO foundry. The dots of the pattern
// stand for any character.
func parsePurl(s string) (idspace, local string, ok bool) {
	for rest := s; ; {
		i := strings.Index(rest, "http://purl")
		if i < 0 {
			return "", "", false
		}
		rest = rest[i+1:]
		after, isPurl := cutPurl(s[len(s)-len(rest)-1:])
		if !isPurl {
			continue
		}
		if idspace, local, ok = splitAtUnderscore(after); ok {
			return idspace, local, true
		}
	}
}

// cutPurl cuts the address of the OBO foundry off the beginning of s.
func cutPurl(s string) (string, bool) {
	for _, part := range []string{"http://purl", "obolibrary", "org/obo/"} {
		rest, ok := strings.CutPrefix(s, part)
		if !ok {
			return "", false
		}
		if part == "org/obo/" {
			return rest, true
		}
		size := anyCharacter(rest)
		if size == 0 {
			return "", false
		}
		s = rest[size:]
	}
	return "", false
}

// anyCharacter is the length of the character (of UTF-16, as far as it matters)
// at the beginning of s that the dot of a pattern matches: no line terminator.
func anyCharacter(s string) int {
	for i, r := range s {
		if i > 0 {
			return i
		}
		if isLineTerminator(r) || r > 0xffff {
			return 0
		}
	}
	return len(s)
}

func isLineTerminator(r rune) bool {
	return r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029'
}

// parseAfterLast finds what follows the last mark on the first line that has
// one with an idspace and a local id after it.
func parseAfterLast(s, mark string) (idspace, local string, ok bool) {
	for s != "" {
		line, rest := s, ""
		if i := strings.IndexFunc(s, isLineTerminator); i >= 0 {
			line, rest = s[:i], strings.TrimLeftFunc(s[i:], isLineTerminator)
		}
		for i := strings.LastIndex(line, mark); i >= 0; i = strings.LastIndex(line[:i+len(mark)-1], mark) {
			if idspace, local, ok = splitAtUnderscore(line[i+len(mark):]); ok {
				return idspace, local, true
			}
		}
		s = rest
	}
	return "", "", false
}

// splitAtUnderscore splits the word at the beginning of s at its first
// underscore that has something before and after it.
func splitAtUnderscore(s string) (idspace, local string, ok bool) {
	word := leadingWord(s)
	if len(word) < 3 {
		return "", "", false
	}
	i := strings.IndexByte(word[1:len(word)-1], '_')
	if i < 0 {
		return "", "", false
	}
	return word[:i+1], word[i+2:], true
}

func leadingWord(s string) string {
	n := 0
	for n < len(s) && isWord(s[n]) {
		n++
	}
	return s[:n]
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// Class is what terms have in common that count as the same term, whatever
// their spelling: the source and the idspace without regard to case.
func (t OntologyTerm) Class() OntologyTerm {
	c := OntologyTerm{Name: t.Name, TSR: strings.ToLower(t.TSR)}
	if idspace, local, ok := t.split(); ok {
		c.TAN = strings.ToLower(idspace) + ":" + local
	} else {
		c.TAN = strings.ToLower(t.TAN)
	}
	return c
}
