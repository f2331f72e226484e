// Package state remembers, from one run to the next, what each dataset looked
// like in the database and which ARC it became. So a run need not build again
// what has not changed, and an interrupted run can be resumed.
//
// It is a table on disk with one record of fixed size per dataset, found by
// hashing; memory does not grow with the number of datasets. Losing the file
// costs time, never data: the service is asked in any case. A record that was
// cut off by a crash does not pass its checksum and counts as absent. The table
// must never be used by two runs at once, which a lock on the file sees to.
//
// Get and Put may be called concurrently for different datasets.
package state

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
)

// ErrBusy is the error of Open when another run holds the table.
var ErrBusy = errors.New("another run is using the state file")

// Record is what is remembered of a dataset.
type Record struct {
	Fingerprint [32]byte // of the rows in the database
	Marker      [16]byte // that the database gave with them; zero: none
	Hash        [32]byte // content hash of the ARC they became
	Run         uint32   // in which its ARC was last acknowledged; 0: never
	Studies     uint32   // how many rows of them there were
	Assays      uint32
	Warnings    uint32 // that building the ARC gave
}

// Layout of the file: a header of one page, then the slots.
const (
	headerSize = 4096
	slotSize   = 128 // key, fingerprint, marker, hash, then five numbers, the rest unused
	magic      = "sql-to-arc state 2\n"
	minSlots   = 1 << 12
)

// File is an open table.
type File struct {
	file   *os.File
	path   string
	grow   sync.RWMutex // held for writing while the table is rebuilt
	slots  uint64
	used   atomic.Uint64
	locks  [64]sync.Mutex // by key, so that a slot is written by one at a time
	insert sync.Mutex     // one new record at a time: two could choose one slot
	header header
}

// header is what is known about the table as a whole.
type header struct {
	builder [32]byte // which program made the ARCs; another one may make others
	run     uint32
	open    bool   // the run's harvest has not ended
	harvest string // of the run
	key     string // with which the next harvest is being begun
}

// Open opens or creates the table. Builder identifies the program: records of
// another one are forgotten, because their ARCs may look different now.
func Open(path string, builder [32]byte) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("folder of the state file: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open state file: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, fmt.Errorf("lock state file: %w", err)
	}
	f := &File{file: file, path: path}
	if err := f.load(builder); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("state file %s: %w", path, err)
	}
	return f, nil
}

// Close closes the table.
func (f *File) Close() error { return f.file.Close() }

// load reads the header; a file that is no table of this program's is emptied,
// but the unfinished harvest, if any, is not forgotten, begun or about to be.
func (f *File) load(builder [32]byte) error {
	page := make([]byte, headerSize)
	_, _ = f.file.ReadAt(page, 0)
	h, ok := parseHeader(page)
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	slots := uint64(max(info.Size()-headerSize, 0)) / slotSize
	if ok && h.builder == builder && slots >= minSlots && slots&(slots-1) == 0 {
		f.header, f.slots = h, slots
		return f.count()
	}
	h.builder = builder
	f.header = h
	if err := f.file.Truncate(0); err != nil {
		return err
	}
	f.slots = minSlots
	if err := f.file.Truncate(headerSize + int64(f.slots)*slotSize); err != nil {
		return err
	}
	return f.saveHeader()
}

// count finds out how full the table is.
func (f *File) count() error {
	return f.each(f.file, f.slots, func(slot []byte) error {
		f.used.Add(1)
		return nil
	})
}

// each visits every record that is whole.
func (f *File) each(file *os.File, slots uint64, visit func(slot []byte) error) error {
	const chunk = 1024
	buf := make([]byte, chunk*slotSize)
	for at := uint64(0); at < slots; at += chunk {
		n, err := file.ReadAt(buf[:min(chunk, slots-at)*slotSize], headerSize+int64(at)*slotSize)
		if err != nil {
			return err
		}
		for i := 0; i+slotSize <= n; i += slotSize {
			if slot := buf[i : i+slotSize]; whole(slot) {
				if err := visit(slot); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func parseHeader(page []byte) (header, bool) {
	body := page[:headerSize-4]
	if string(body[:len(magic)]) != magic || binary.LittleEndian.Uint32(page[headerSize-4:]) != crc32.ChecksumIEEE(body) {
		return header{}, false
	}
	rest := body[len(magic):]
	h := header{builder: [32]byte(rest), run: binary.LittleEndian.Uint32(rest[32:]), open: rest[36] == 1}
	h.harvest, rest = shortText(rest[37:])
	h.key, _ = shortText(rest)
	return h, true
}

// shortText reads a text behind its length, and gives what follows it.
func shortText(page []byte) (text string, rest []byte) {
	end := 1 + int(page[0])
	return string(page[1:end]), page[end:]
}

func (f *File) saveHeader() error {
	page := make([]byte, headerSize)
	at := copy(page, magic)
	at += copy(page[at:], f.header.builder[:])
	binary.LittleEndian.PutUint32(page[at:], f.header.run)
	if f.header.open {
		page[at+4] = 1
	}
	at += 5
	for _, text := range []string{f.header.harvest, f.header.key} {
		text = text[:min(len(text), 255)]
		page[at] = byte(len(text))
		at += 1 + copy(page[at+1:], text)
	}
	binary.LittleEndian.PutUint32(page[headerSize-4:], crc32.ChecksumIEEE(page[:headerSize-4]))
	if _, err := f.file.WriteAt(page, 0); err != nil {
		return err
	}
	return f.file.Sync()
}

// Unfinished gives the harvest that the last run has left open, "" if there is
// none.
func (f *File) Unfinished() string {
	if f.header.open {
		return f.header.harvest
	}
	return ""
}

// Intend notes the key (at most 255 bytes) with which a harvest is about to be begun. If an earlier run
// was cut off before it knew which harvest its key has begun, it gives that key, to be used again.
func (f *File) Intend(key string) (string, error) {
	if f.header.key == "" {
		f.header.key = key
		if err := f.saveHeader(); err != nil {
			return "", err
		}
	}
	return f.header.key, nil
}

// Begin begins a run with a harvest of its own. Resume goes on with the last.
func (f *File) Begin(harvest string) error {
	f.header.run++
	f.header.harvest, f.header.open, f.header.key = harvest, true, ""
	return f.saveHeader()
}

// Finish notes that the harvest of the run has ended.
func (f *File) Finish() error {
	f.header.open = false
	return f.saveHeader()
}

// Run gives the number of the run that Begin has begun.
func (f *File) Run() uint32 { return f.header.run }

// Where the parts of a slot begin.
const (
	atFingerprint = 16
	atMarker      = atFingerprint + 32
	atHash        = atMarker + 16
	atRun         = atHash + 32
	atStudies     = atRun + 4
	atAssays      = atStudies + 4
	atWarnings    = atAssays + 4
	atChecksum    = atWarnings + 4
)

type key [16]byte

func keyOf(identifier string) key {
	sum := sha256.Sum256([]byte(identifier))
	return key(sum[:16])
}

func (k key) home(slots uint64) uint64 { return binary.LittleEndian.Uint64(k[:]) & (slots - 1) }

func whole(slot []byte) bool {
	sum := binary.LittleEndian.Uint32(slot[atChecksum:])
	return sum != 0 && sum == checksum(slot)
}

// checksum is never 0, so that an empty slot is not whole.
func checksum(slot []byte) uint32 { return crc32.ChecksumIEEE(slot[:atChecksum]) | 1 }

// Get gives the record of a dataset.
func (f *File) Get(identifier string) (Record, bool, error) {
	f.grow.RLock()
	defer f.grow.RUnlock()
	k := keyOf(identifier)
	lock := &f.locks[k[15]%64]
	lock.Lock()
	defer lock.Unlock()
	slot, _, err := f.find(k)
	if err != nil || slot == nil {
		return Record{}, false, err
	}
	return Record{
		Fingerprint: [32]byte(slot[atFingerprint:]), Marker: [16]byte(slot[atMarker:]), Hash: [32]byte(slot[atHash:]),
		Run: binary.LittleEndian.Uint32(slot[atRun:]), Studies: binary.LittleEndian.Uint32(slot[atStudies:]),
		Assays: binary.LittleEndian.Uint32(slot[atAssays:]), Warnings: binary.LittleEndian.Uint32(slot[atWarnings:]),
	}, true, nil
}

// find probes from the key's home until the key or a gap. Records are never
// removed, so a gap is the end.
func (f *File) find(k key) (slot []byte, at uint64, err error) {
	const chunk = 8
	buf := make([]byte, chunk*slotSize)
	at = k.home(f.slots)
	for {
		n := min(chunk, f.slots-at)
		if _, err := f.file.ReadAt(buf[:n*slotSize], headerSize+int64(at)*slotSize); err != nil {
			return nil, 0, fmt.Errorf("read state file: %w", err)
		}
		for i := range n {
			slot := buf[i*slotSize : (i+1)*slotSize]
			if !whole(slot) {
				return nil, at + i, nil
			}
			if key(slot[:16]) == k {
				return slot, at + i, nil
			}
		}
		at = (at + n) & (f.slots - 1)
	}
}

// Put stores the record of a dataset.
func (f *File) Put(identifier string, r Record) error {
	f.grow.RLock()
	full := f.used.Load()*4 > f.slots*3
	f.grow.RUnlock()
	if full {
		if err := f.enlarge(); err != nil {
			return fmt.Errorf("enlarge state file: %w", err)
		}
	}
	f.grow.RLock()
	defer f.grow.RUnlock()
	k := keyOf(identifier)
	slot := make([]byte, slotSize)
	copy(slot, k[:])
	copy(slot[atFingerprint:], r.Fingerprint[:])
	copy(slot[atMarker:], r.Marker[:])
	copy(slot[atHash:], r.Hash[:])
	binary.LittleEndian.PutUint32(slot[atRun:], r.Run)
	binary.LittleEndian.PutUint32(slot[atStudies:], r.Studies)
	binary.LittleEndian.PutUint32(slot[atAssays:], r.Assays)
	binary.LittleEndian.PutUint32(slot[atWarnings:], r.Warnings)
	binary.LittleEndian.PutUint32(slot[atChecksum:], checksum(slot))
	lock := &f.locks[k[15]%64]
	lock.Lock()
	defer lock.Unlock()
	f.insert.Lock()
	defer f.insert.Unlock()
	known, at, err := f.find(k)
	if err != nil {
		return err
	}
	if _, err := f.file.WriteAt(slot, headerSize+int64(at)*slotSize); err != nil {
		return fmt.Errorf("write state file: %w", err)
	}
	if known == nil {
		f.used.Add(1)
	}
	return nil
}

// enlarge doubles the table: into a new file, which then takes the place of the
// old one, so that a crash leaves one of the two.
func (f *File) enlarge() error {
	f.grow.Lock()
	defer f.grow.Unlock()
	if f.used.Load()*4 <= f.slots*3 {
		return nil // somebody else has done it
	}
	file, err := os.OpenFile(f.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	larger := &File{file: file, path: f.path, slots: f.slots * 2, header: f.header}
	err = larger.fillFrom(f)
	if err == nil {
		err = os.Rename(f.path+".new", f.path)
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	_ = f.file.Close()
	f.file, f.slots = file, larger.slots
	return nil
}

func (f *File) fillFrom(old *File) error {
	if err := syscall.Flock(int(f.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return err
	}
	if err := f.file.Truncate(headerSize + int64(f.slots)*slotSize); err != nil {
		return err
	}
	err := old.each(old.file, old.slots, func(slot []byte) error {
		_, at, err := f.find(key(slot[:16]))
		if err == nil {
			_, err = f.file.WriteAt(slot, headerSize+int64(at)*slotSize)
		}
		return err
	})
	if err != nil {
		return err
	}
	return f.saveHeader()
}
