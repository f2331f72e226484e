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

// lines gives the documents of an export with their line numbers.
type lines struct {
	in     *bufio.Reader
	number int
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
// tail of _all_docs, its commas and empty lines are left out.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.line()
		if len(line) == 0 && err != nil {
			return nil, err
		}
		l.number++
		line = bytes.TrimSpace(line)
		if l.number == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		line = bytes.TrimRight(bytes.TrimSuffix(line, []byte(",")), " ")
		if len(line) == 0 || frame(line) {
			if err != nil {
				return nil, err
			}
			continue
		}
		return line, nil // an error comes again
	}
}

// frame tells the lines that _all_docs puts around its rows: {"total_rows":3,
// "offset":0,"rows":[ and ]}.
func frame(line []byte) bool {
	return bytes.HasPrefix(line, []byte("]")) || line[0] == '{' && bytes.HasSuffix(line, []byte(`"rows":[`))
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
