package xlsx

import (
	"bytes"
	"hash/crc32"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// compressionLevel is the fastest but one. Sheets are so repetitive that higher
// levels save little, and git compresses what we write once more.
const compressionLevel = 2

// compressors and workspaces are kept because a compressor needs several hundred kilobytes, more than
// most workbooks.
var (
	compressors = sync.Pool{New: func() any {
		w, err := flate.NewWriter(io.Discard, compressionLevel)
		if err != nil {
			panic(err) // the level is a constant
		}
		return w
	}}
	workspaces = sync.Pool{New: func() any { return new(workspace) }}
)

// workspace is what writing a workbook needs.
type workspace struct {
	text     []byte // of a part, as far as it was not passed on
	deflater deflater
}

type pooledCompressor struct{ *flate.Writer }

func newCompressor(out io.Writer) io.WriteCloser {
	w := compressors.Get().(*flate.Writer)
	w.Reset(out)
	return pooledCompressor{w}
}

func (c pooledCompressor) Close() error {
	err := c.Writer.Close()
	c.Reset(io.Discard)
	compressors.Put(c.Writer)
	return err
}

// parts writes the parts of the package one after the other. Short ones are compressed in one piece.
type parts struct {
	container
	*workspace
}

// part adds a part.
func (p *parts) part(name string, write func(*sink)) {
	if p.err != nil {
		return
	}
	w := sink{buffer: p.text[:0], open: func() io.Writer { return p.begin(name) }}
	write(&w)
	if w.out == nil && len(w.buffer) <= smallPart {
		p.addReady(name, p.ready(w.buffer))
	} else {
		w.flush()
		p.end()
	}
	p.keep(w.buffer)
}

// keep keeps memory for the next part, unless a long text made it large.
func (p *parts) keep(buffer []byte) {
	if cap(buffer) <= 2*spill {
		p.text = buffer
	}
}

// ready is a part that was compressed in one piece.
type ready struct {
	compressed []byte
	crc        uint32
	size       int64
}

func (p *parts) ready(text []byte) ready {
	return ready{p.deflater.deflate(text), crc32.ChecksumIEEE(text), int64(len(text))}
}

// readyParts are the parts that are the same in many workbooks, by name and kind of the workbook. There can
// only be so many of them, see maxKind.
var readyParts sync.Map

// maxKind is up to which length a kind is remembered: all kinds of workbooks with up to as many sheets.
const maxKind = 6

// fixed adds a part whose text depends on nothing but its name and a kind.
func (p *parts) fixed(name, kind string, write func(*sink)) {
	if len(kind) > maxKind {
		p.part(name, write)
		return
	}
	known, ok := readyParts.Load(name + " " + kind)
	if !ok {
		w := sink{buffer: p.text[:0]}
		write(&w)
		p.keep(w.buffer)
		r := p.ready(w.buffer)
		r.compressed = bytes.Clone(r.compressed)
		known, _ = readyParts.LoadOrStore(name+" "+kind, r)
	}
	p.addReady(name, known.(ready))
}

// sink collects the text of a part and passes it on in large pieces.
type sink struct {
	buffer []byte
	open   func() io.Writer // begins to pass on
	out    io.Writer        // nil before
}

// spill is how much a sink collects, in bytes.
const spill = 32 << 10

// put appends texts.
func (w *sink) put(texts ...string) {
	for _, s := range texts {
		w.buffer = append(w.buffer, s...)
	}
	w.spill()
}

// spill passes on what was collected, if it is much.
func (w *sink) spill() {
	if len(w.buffer) >= spill {
		w.flush()
	}
}

func (w *sink) flush() {
	if w.out == nil {
		w.out = w.open()
	}
	_, _ = w.out.Write(w.buffer) // the container keeps the first error
	w.buffer = w.buffer[:0]
}
