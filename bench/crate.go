package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// serialWidth is the width of the number that makes each upload another ARC.
const serialWidth = 12

// A template is the body of an upload with the places where the serial number goes.
type template struct {
	text []byte
	at   []int // of the serial, serialWidth digits each
}

var mark = bytes.Repeat([]byte{'#'}, serialWidth)

func newTemplate(text []byte) template {
	t := template{text: text}
	for from := 0; ; {
		i := bytes.Index(text[from:], mark)
		if i < 0 {
			return t
		}
		t.at = append(t.at, from+i)
		from += i + serialWidth
	}
}

// number writes the serial into a copy of the text.
func (t template) number(text []byte, serial int) {
	digits := fmt.Appendf(nil, "%0*d", serialWidth, serial)
	for _, at := range t.at {
		copy(text[at:], digits)
	}
}

// crate makes a crate of about the given size, which looks like those of real
// senders: the smallest have a root only, larger ones an assay whose table tells
// of samples, parameters and files. It shrinks to about a fifth, as real ones do.
func crate(size int) []byte {
	words := rand.New(rand.NewPCG(1, uint64(size))) //nolint:gosec // G404: the same crate at every run
	word := func() string { return strconv.FormatUint(words.Uint64N(1<<40), 36) }
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"@context":"https://w3id.org/ro/crate/1.2/context","@graph":[`+
		`{"@id":"ro-crate-metadata.json","@type":"CreativeWork","about":{"@id":"./"}},`+
		`{"@id":"./","@type":"Dataset","additionalType":"Investigation","identifier":"arc-%s","name":"Trial %s",`+
		`"description":"Yield and water use","hasPart":{"@id":"assays/a/"}}`, mark, mark)
	const tail = `]}`
	rows := 0
	for ; b.Len()+len(tail)+300+30*rows < size; rows++ {
		fmt.Fprintf(&b, `,{"@id":"#p%[1]d","@type":"LabProcess","name":"growth_%[1]d","object":{"@id":"#s%[1]d"},"result":{"@id":"#f%[1]d"},"parameterValue":[{"@id":"#v%[1]d"}]}`, rows)
		fmt.Fprintf(&b, `,{"@id":"#s%[1]d","@type":"Sample","additionalType":"Source","name":"plant %[2]s","description":"%[3]s %[4]s"}`, rows, word(), word(), word())
		fmt.Fprintf(&b, `,{"@id":"#f%[1]d","@type":"File","name":"assays/a/dataset/%[2]s.raw"}`, rows, word())
		fmt.Fprintf(&b, `,{"@id":"#v%[1]d","@type":"PropertyValue","additionalType":"ParameterValue","name":"time","value":"%[2]d","unitText":"day","unitCode":"https://bioregistry.io/UO:0000033","columnIndex":"1"}`,
			rows, words.IntN(365))
	}
	b.WriteString(`,{"@id":"assays/a/","@type":"Dataset","additionalType":"Assay","identifier":"a","about":[`)
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"@id":"#p%d"}`, i)
	}
	b.WriteString(`]}`)
	b.WriteString(tail)
	return b.Bytes()
}

// upload is the body of POST /v3/arcs.
func upload(size int) template {
	return newTemplate(fmt.Appendf(nil, `{"rdi":%q,"arc":%s}`, rdi, crate(size)))
}
