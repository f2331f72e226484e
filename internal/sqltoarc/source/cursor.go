package source

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/fairagro/middleware-api/internal/fault"
)

// cursor passes once over the investigations.
type cursor interface {
	// next gives at most n rows, none at the end.
	next(ctx context.Context, n int) ([]Row, error)
	close()
}

// pgCursor is a cursor of the server, on a session of its own.
type pgCursor struct {
	session session
	arena   arena
	done    bool
}

func openPGCursor(ctx context.Context, s session, statement string) (*pgCursor, error) {
	return &pgCursor{session: s}, s.exec(ctx, "DECLARE investigations NO SCROLL CURSOR FOR "+statement)
}

func (c *pgCursor) next(ctx context.Context, n int) ([]Row, error) {
	if c.done {
		return nil, nil
	}
	rows := make([]Row, 0, n)
	err := c.session.query(ctx, fmt.Sprintf("FETCH FORWARD %d FROM investigations", n), nil, func(raw [][]byte) error {
		rows = append(rows, c.arena.row(raw))
		return nil
	})
	c.done = len(rows) < n
	return rows, err
}

func (c *pgCursor) close() {}

// spool is the investigations in a file without a name: for the databases where
// a connection that is in the middle of a result can answer nothing else, and
// where no second connection could see the same snapshot.
type spool struct {
	file   *os.File
	in     *bufio.Reader
	width  int
	left   int64
	arena  arena
	values [][]byte
}

// fillSpool reads the rows and writes them to the file.
func fillSpool(width int, read func(visit func(row [][]byte) error) error) (*spool, error) {
	file, err := os.CreateTemp("", "sql-to-arc-")
	if err != nil {
		return nil, spoolFault(err)
	}
	// Without a name it is gone with the process, however that ends.
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return nil, spoolFault(err)
	}
	p := &spool{file: file, width: width, values: make([][]byte, width)}
	out := bufio.NewWriterSize(file, 1<<16)
	var number [binary.MaxVarintLen64]byte
	err = read(func(raw [][]byte) error {
		p.left++
		for _, v := range raw {
			size := uint64(0)
			if v != nil {
				size = uint64(len(v)) + 1
			}
			_, _ = out.Write(number[:binary.PutUvarint(number[:], size)])
			if _, err := out.Write(v); err != nil {
				return spoolFault(err)
			}
		}
		return nil
	})
	if err == nil {
		if err = out.Flush(); err == nil {
			_, err = file.Seek(0, io.SeekStart)
		}
		err = spoolFault(err)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	p.in = bufio.NewReaderSize(file, 1<<16)
	return p, nil
}

// spoolFault tells that the trouble is with the file and not with the database.
func spoolFault(err error) error {
	if err == nil {
		return nil
	}
	return &fault.Error{Code: CodeSpool, Owner: fault.OwnerRDI, Cause: err, Text: "cannot keep the investigations in a temporary file: " + err.Error(),
		Remedy: "make room in " + os.TempDir() + ", or name another folder in TMPDIR"}
}

func (p *spool) next(_ context.Context, n int) ([]Row, error) {
	rows := make([]Row, 0, n)
	for len(rows) < n && p.left > 0 {
		for i := range p.width {
			size, err := binary.ReadUvarint(p.in)
			if err != nil {
				return nil, spoolFault(err)
			}
			if size == 0 {
				p.values[i] = nil
				continue
			}
			p.values[i] = make([]byte, size-1)
			if _, err := io.ReadFull(p.in, p.values[i]); err != nil {
				return nil, spoolFault(err)
			}
		}
		p.left--
		rows = append(rows, p.arena.row(p.values))
	}
	return rows, nil
}

func (p *spool) close() { _ = p.file.Close() }
