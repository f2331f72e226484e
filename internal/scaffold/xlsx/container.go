package xlsx

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
)

// container writes a ZIP file (APPNOTE.TXT of PKWARE, 4.3), as much of it as a workbook needs: deflated
// files of less than 4 GiB with names in ASCII, all of the same time. The standard library's writer may
// write other bytes with another release of Go.
type container struct {
	out     io.Writer
	offset  int64
	err     error // the first one
	entries []entry
	buffer  []byte
	current summer
}

// entry is what the central directory says about a file.
type entry struct {
	name       string
	streamed   bool // sizes stand behind the content instead of before it
	crc        uint32
	compressed uint32
	size       uint32
	offset     uint32
}

// Constants of the format.
const (
	localHeader      = 0x04034b50
	dataDescriptor   = 0x08074b50
	directoryHeader  = 0x02014b50
	endOfDirectory   = 0x06054b50
	versionDeflate   = 20
	methodDeflate    = 8
	flagDescriptor   = 1 << 3
	dosTime, dosDate = 0, 1<<5 | 1 // 1980-01-01, the first day that the format knows
)

// errTooLarge says that a file or the whole is beyond what the format holds without extensions.
var errTooLarge = errors.New("the workbook has more than 4 GiB")

// Write takes what is written to the file by the compressor.
func (c *container) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.out.Write(b)
	c.offset += int64(n)
	c.err = err
	return n, err
}

// begin begins a file whose content is not known yet. It is written to what begin gives, until end.
func (c *container) begin(name string) io.Writer {
	c.header(entry{name: name, streamed: true})
	c.current = summer{out: newCompressor(c), begin: c.offset}
	return &c.current
}

// end ends the file that was begun.
func (c *container) end() {
	if err := c.current.out.Close(); c.err == nil {
		c.err = err
	}
	e := &c.entries[len(c.entries)-1]
	e.crc, e.compressed, e.size = c.current.crc, c.limit(c.offset-c.current.begin), c.limit(c.current.size)
	b := binary.LittleEndian.AppendUint32(c.buffer[:0], dataDescriptor)
	_, _ = c.Write(e.appendSizes(b))
}

// addReady adds a file that was compressed before.
func (c *container) addReady(name string, r ready) {
	c.header(entry{name: name, crc: r.crc, compressed: c.limit(int64(len(r.compressed))), size: c.limit(r.size)})
	_, _ = c.Write(r.compressed)
}

// header begins a file.
func (c *container) header(e entry) {
	e.offset = c.limit(c.offset)
	c.entries = append(c.entries, e)
	b := binary.LittleEndian.AppendUint32(c.buffer[:0], localHeader)
	b = e.appendCommon(b)
	b = binary.LittleEndian.AppendUint16(b, 0) // no extra field
	b = append(b, e.name...)
	c.buffer = b
	_, _ = c.Write(b)
}

// close writes the directory.
func (c *container) close() {
	begin := c.offset
	for i := range c.entries {
		e := &c.entries[i]
		b := binary.LittleEndian.AppendUint32(c.buffer[:0], directoryHeader)
		b = binary.LittleEndian.AppendUint16(b, versionDeflate)
		b = e.appendCommon(b)
		b = append(b, make([]byte, 2+2+2+2+4)...) // no extra field, comment, disk, attributes
		b = binary.LittleEndian.AppendUint32(b, e.offset)
		b = append(b, e.name...)
		c.buffer = b
		_, _ = c.Write(b)
	}
	size, files := c.limit(c.offset-begin), uint16(min(len(c.entries), math.MaxUint16))
	if len(c.entries) >= math.MaxUint16 {
		c.err = errTooLarge
	}
	b := binary.LittleEndian.AppendUint32(c.buffer[:0], endOfDirectory)
	b = binary.LittleEndian.AppendUint32(b, 0) // disks
	b = binary.LittleEndian.AppendUint16(b, files)
	b = binary.LittleEndian.AppendUint16(b, files)
	b = binary.LittleEndian.AppendUint32(b, size)
	b = binary.LittleEndian.AppendUint32(b, c.limit(begin))
	_, _ = c.Write(binary.LittleEndian.AppendUint16(b, 0)) // no comment
}

// limit gives a size as the format holds it.
func (c *container) limit(n int64) uint32 {
	if n >= math.MaxUint32 && c.err == nil {
		c.err = errTooLarge
	}
	return uint32(n)
}

// appendCommon appends what local header and directory have in common.
func (e *entry) appendCommon(b []byte) []byte {
	flags := uint16(0)
	if e.streamed {
		flags = flagDescriptor
	}
	for _, n := range [...]uint16{versionDeflate, flags, methodDeflate, dosTime, dosDate} {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	b = e.appendSizes(b)
	return binary.LittleEndian.AppendUint16(b, uint16(len(e.name)))
}

func (e *entry) appendSizes(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, e.crc)
	b = binary.LittleEndian.AppendUint32(b, e.compressed)
	return binary.LittleEndian.AppendUint32(b, e.size)
}

// summer counts and sums what goes into a compressor.
type summer struct {
	out   io.WriteCloser
	crc   uint32
	size  int64
	begin int64 // where the compressed content begins
}

func (s *summer) Write(b []byte) (int, error) {
	s.crc = crc32.Update(s.crc, crc32.IEEETable, b)
	s.size += int64(len(b))
	return s.out.Write(b)
}
