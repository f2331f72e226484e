package source

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Value is one value of a row as text; not Valid means NULL. Timestamps are
// spelled as the database spells them.
type Value struct {
	Text  string
	Valid bool
}

// Row holds the values of one row in the order of the view's columns.
type Row []Value

// Text gives the text of a column, "" for NULL.
func (r Row) Text(column int) string { return r[column].Text }

// Dataset is one investigation with everything that belongs to it, each in the
// order in which the database gave it.
type Dataset struct {
	Investigation Row
	Studies       []Row
	Assays        []Row
	Publications  []Row
	Contacts      []Row
	Cells         []Row
	// TooLarge tells that the rows were not read, because there are more of
	// them than fit.
	TooLarge bool
	// Duplicate tells that an investigation before this one has the same
	// identifier; its rows were given to that one.
	Duplicate bool
	// Fingerprint is over all values of all rows; zero unless they were asked
	// for, and for duplicates and what is too large.
	Fingerprint [32]byte
	// Unchanged tells that the fingerprint is the one that was known already.
	// The rows have been left in the database; [Reader.Fetch] brings them.
	Unchanged bool
	// Marker is over the investigation's own row with its change_marker or, if that
	// is NULL, with the versions of all rows of the database; zero if neither is known.
	// Datasets with the marker that was known already are Unchanged without a look at
	// their rows.
	Marker [16]byte
	// StudyCount and AssayCount are the numbers of rows, whether they are here
	// or not.
	StudyCount, AssayCount int

	size  int
	print *fingerprint // while it is being made
}

// Key gives the identifier of the investigation.
func (d *Dataset) Key() string { return d.Investigation[InvestigationIdentifier].Text }

// part gives the place of the rows of a view, by the index of the view.
func (d *Dataset) part(view int) *[]Row {
	return [...]*[]Row{nil, &d.Studies, &d.Assays, &d.Publications, &d.Contacts, &d.Cells}[view]
}

// count notes a row of a view.
func (d *Dataset) count(view int) {
	switch view {
	case 1:
		d.StudyCount++
	case 2:
		d.AssayCount++
	}
}

// forget lets go of everything but the investigation's own row.
func (d *Dataset) forget() {
	*d = Dataset{Investigation: d.Investigation, Duplicate: d.Duplicate, Marker: d.Marker}
}

// mark makes the marker; versions is nil where they are not known.
func (d *Dataset) mark(versions []byte) {
	row := d.Investigation.raw()
	if !d.Investigation[InvestigationMarker].Valid {
		if versions == nil {
			return
		}
		row = append(row, versions)
	}
	sum := sha256.Sum256(encode(nil, row))
	d.Marker = [16]byte(sum[:])
}

// raw gives the values as a driver does.
func (r Row) raw() [][]byte {
	raw := make([][]byte, len(r))
	for i, v := range r {
		if v.Valid {
			raw[i] = append([]byte{}, v.Text...)
		}
	}
	return raw
}

// fingerprint is a SHA-256 over all values of all rows of a dataset, view by view
// in the order in which the database gives them. Equal fingerprints mean that
// nothing in the database has changed.
type fingerprint struct {
	h    hash.Hash
	rows [6]int // by view
}

func newFingerprint() *fingerprint { return &fingerprint{h: sha256.New()} }

// add takes the next row of a view; encoded is what [encode] makes of it.
func (f *fingerprint) add(view int, encoded []byte) {
	f.rows[view]++
	f.h.Write(encoded)
}

// sum ends the fingerprint.
func (f *fingerprint) sum() (sum [32]byte) {
	var counts []byte
	for _, n := range f.rows {
		counts = binary.AppendUvarint(counts, uint64(n))
	}
	f.h.Write(counts)
	f.h.Sum(sum[:0])
	return sum
}

// encode appends a row such that no two rows look alike: first the lengths of the
// values, then the values; NULL and "" differ.
func encode(to []byte, raw [][]byte) []byte {
	for _, v := range raw {
		if v == nil {
			to = append(to, 0)
			continue
		}
		to = binary.AppendUvarint(to, uint64(len(v))+1)
	}
	for _, v := range raw {
		to = append(to, v...)
	}
	return to
}

// arena makes rows out of the raw values of a driver: one text per row, so that
// a row costs two allocations at most, whatever the number of its columns.
type arena struct {
	values  []Value
	bytes   []byte
	encoded []byte // for fingerprints
}

func (a *arena) row(raw [][]byte) Row {
	a.bytes = a.bytes[:0]
	for _, v := range raw {
		a.bytes = append(a.bytes, v...)
	}
	text := string(a.bytes)
	if cap(a.values)-len(a.values) < len(raw) {
		a.values = make([]Value, 0, 256*len(raw))
	}
	start := len(a.values)
	at := 0
	for _, v := range raw {
		a.values = append(a.values, Value{Text: text[at : at+len(v)], Valid: v != nil})
		at += len(v)
	}
	return a.values[start:len(a.values):len(a.values)]
}

// valueSize is what a value costs in memory besides its text.
const valueSize = 24

// sizeOf is what a row takes in memory.
func sizeOf(raw [][]byte) int {
	size := len(raw) * valueSize
	for _, v := range raw {
		size += len(v)
	}
	return size
}
