package couchimport

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds one document: far above what the service accepts, and enough
// to notice that a file is not made of lines.
const maxLine = 512 << 20

// errLongLine says that the file is no export.
var errLongLine = fmt.Errorf("a line is longer than %d MiB: this is no export with a document per line", maxLine>>20)

// What an export looks like that does not hold what it should: curl leaves such
// files behind.
var (
	errEmpty  = errors.New("the export is empty")
	errCutOff = errors.New("the list of documents has no end: the export was cut off")
)

// lines gives the documents of an export with their line numbers.
type lines struct {
	in     *bufio.Reader
	number int
	open   bool // a list has begun and not ended
	some   bool // there was something
}

// newLines looks whether the export is compressed.
func newLines(r io.Reader) (*lines, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		zip, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("read the compressed export: %w", err)
		}
		in = bufio.NewReaderSize(zip, 1<<20)
	}
	return &lines{in: in}, nil
}

// next gives the next line that holds a document, io.EOF at the end. Head and
// tail of a list, its commas and empty lines are left out.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.line()
		if len(line) == 0 && err != nil {
			return nil, l.end(err)
		}
		l.number++
		line = bytes.TrimSpace(line)
		if l.number == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		line = bytes.TrimRight(bytes.TrimSuffix(line, []byte(",")), " ")
		if len(line) == 0 || l.frame(line) {
			if err != nil {
				return nil, l.end(err)
			}
			continue
		}
		l.some = true
		return line, nil // an error comes again
	}
}

// end says whether the export may end here.
func (l *lines) end(err error) error {
	switch {
	case !errors.Is(err, io.EOF):
		return err
	case l.open:
		return errCutOff
	case !l.some:
		return errEmpty
	}
	return err
}

// frame tells the lines that CouchDB puts around a list: {"total_rows":3,
// "offset":0,"rows":[ and ]}, or, around changes, {"results":[ and ], and
// "last_seq":"3-x","pending":0}.
func (l *lines) frame(line []byte) bool {
	switch {
	case line[len(line)-1] == '[':
		l.open, l.some = true, true
	case line[0] == ']':
		l.open = false
	default:
		return line[0] == '"' && !l.open
	}
	return true
}

func (l *lines) line() ([]byte, error) {
	var whole []byte
	for {
		part, err := l.in.ReadSlice('\n')
		if err == nil && whole == nil {
			return bytes.Clone(part), nil
		}
		whole = append(whole, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return whole, err
		}
		if len(whole) > maxLine {
			return nil, errLongLine
		}
	}
}
