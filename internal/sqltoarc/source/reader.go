package source

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ReadOptions restrict and size a pass over the database. Zero values stand
// for the defaults.
type ReadOptions struct {
	BatchSize    int      // investigations per batch at most; default 500
	BatchBytes   int      // memory that the rows of a batch should take; default 8 MiB
	DatasetBytes int      // datasets that take more are not read; default 64 MiB
	Sessions     int      // batches that may be read at the same time; default 1
	Only         []string // identifiers; empty means all
	Limit        int      // investigations at most; 0 means all
	// Known, if set, gives what a dataset was earlier. Datasets that are still the
	// same come without their rows. It is called by several goroutines.
	Known func(key string) (earlier Earlier, ok bool, err error)
	// Thorough looks at the rows of every dataset, whatever its marker says.
	Thorough bool
}

// Earlier is what a dataset was when it was read before.
type Earlier struct {
	Fingerprint            [32]byte
	Marker                 [16]byte
	StudyCount, AssayCount int
}

// Reader passes over the datasets of one snapshot.
type Reader struct {
	database *Database
	options  ReadOptions
	total    int64
	note     *Finding
	sessions chan session // those that read parts, whoever is free
	all      []session
	mu       sync.Mutex // guards what follows
	cursor   cursor
	waiting  []*Dataset // did not fit into the batches that they were in
	average  int        // bytes per dataset lately
	dead     error      // what the cursor has ended with
	blind    int        // batches that are to be read without a look
	strays   map[stray]bool
	repeated map[string]bool // identifiers of several investigations; true once the first was read
	versions []byte          // sum of the versions of all rows, nil if there is none
}

// stray is a reference that the database takes for the identifier of an
// investigation although it is spelled otherwise.
type stray struct {
	view int
	ref  string
}

// Read begins a pass. [Database.Resolve] must have found the views usable. The
// finding, if any, tells how the snapshot is less than it should be.
func (d *Database) Read(ctx context.Context, o ReadOptions) (*Reader, *Finding, error) {
	o.BatchSize = min(cmp.Or(o.BatchSize, 500), maxKeys)
	o.BatchBytes = cmp.Or(o.BatchBytes, 8<<20)
	o.DatasetBytes = cmp.Or(o.DatasetBytes, 64<<20)
	o.Sessions = max(o.Sessions, 1)
	if len(o.Only) > maxKeys {
		return nil, nil, errors.New("at most " + strconv.Itoa(maxKeys) + " datasets can be named")
	}
	r := &Reader{database: d, options: o}
	if err := r.begin(ctx); err != nil {
		r.Close()
		return nil, nil, d.failure("read the investigations", err)
	}
	return r, r.note, nil
}

// begin opens the snapshot, the sessions that share it, and the cursor.
func (r *Reader) begin(ctx context.Context) error {
	d, main := r.database, r.database.session
	note, err := d.begin(ctx, main)
	if err != nil {
		return err
	}
	r.note = note
	r.all = d.share(ctx, main, r.options.Sessions)
	if d.Dialect() == PostgreSQL && len(r.all) == 0 {
		// A failed export leaves a failed transaction.
		if err := main.exec(ctx, "ROLLBACK"); err != nil {
			return err
		}
		if _, err := d.begin(ctx, main); err != nil {
			return err
		}
	}
	if err := r.findRepeated(ctx, main); err != nil {
		return err
	}
	if err := r.sumVersions(ctx, main); err != nil {
		return err
	}
	if len(r.all) == 0 {
		return r.spool(ctx, main)
	}
	if err := r.count(ctx, main); err != nil {
		return err
	}
	r.give(r.all)
	relation, where := d.relations[0], ""
	var keys []string
	if len(r.options.Only) > 0 {
		keys = d.Dialect().possibleKeys(relation, r.options.Only)
		where = d.Dialect().whereKeys(relation, len(keys))
	}
	statement := d.Dialect().selectRows(relation, r.options.Limit, where)
	if keys != nil {
		statement = inlineKeys(statement, keys)
	}
	c, err := openPGCursor(ctx, main, statement)
	r.cursor = c
	return err
}

// withKeys reads the rows of a relation that name one of the investigations.
func (r *Reader) withKeys(ctx context.Context, s session, relation *relation, limit int, keys []string, visit func(row [][]byte) error) error {
	d := r.database.Dialect()
	read := func() error {
		return s.query(ctx, d.selectRows(relation, limit, d.whereKeys(relation, len(keys))), keys, visit)
	}
	if keys = d.possibleKeys(relation, keys); len(keys) == 0 {
		return nil
	}
	err := read()
	if classify(err) == otherCharacters && !relation.widened {
		// There is a key that the characters of the column cannot spell.
		relation.widened = true
		err = read()
	}
	return err
}

// spool reads the investigations at once and leaves the session to the parts.
func (r *Reader) spool(ctx context.Context, s session) error {
	relation := r.database.relations[0]
	p, err := fillSpool(len(relation.view.Columns), func(visit func(row [][]byte) error) error {
		if len(r.options.Only) > 0 {
			return r.withKeys(ctx, s, relation, r.options.Limit, r.options.Only, visit)
		}
		return s.query(ctx, r.database.Dialect().selectRows(relation, r.options.Limit, ""), nil, visit)
	})
	if err != nil {
		return err
	}
	r.cursor, r.total = p, p.left
	r.give([]session{s})
	return nil
}

func (r *Reader) give(sessions []session) {
	r.sessions = make(chan session, len(sessions))
	for _, s := range sessions {
		r.sessions <- s
	}
}

// maxRepeated bounds the memory for identifiers that are not unique. Of more of
// them, those count as unique that are not read in one batch.
const maxRepeated = 100_000

// findRepeated asks which identifiers several investigations have, so that it is
// the first of them that counts, however the work is divided.
func (r *Reader) findRepeated(ctx context.Context, s session) error {
	r.repeated = map[string]bool{}
	return s.query(ctx, r.database.Dialect().selectDuplicates(r.database.relations[0], maxRepeated), nil, func(row [][]byte) error {
		r.repeated[string(row[0])] = false
		return nil
	})
}

// sumVersions asks for the versions of all rows, where they may spare a look at the rows themselves.
func (r *Reader) sumVersions(ctx context.Context, s session) error {
	o := r.options
	if o.Known == nil || len(o.Only) > 0 || o.Limit > 0 || r.database.Dialect() != PostgreSQL {
		return nil
	}
	if some, err := r.database.unmarked(ctx, s); err != nil || !some {
		return err
	}
	sum, why, err := r.database.versions(ctx, s)
	if err == nil && why == "" {
		r.versions = sum[:]
	}
	if err != nil && classify(err) != unreachable && ctx.Err() == nil {
		// Some right is missing, or the server is only like PostgreSQL.
		return nil
	}
	return err
}

// count asks how many investigations there are in the snapshot.
func (r *Reader) count(ctx context.Context, s session) error {
	d, relation := r.database.Dialect(), r.database.relations[0]
	statement, keys := "SELECT COUNT(*) FROM "+relation.from, []string(nil)
	if len(r.options.Only) > 0 {
		keys = d.possibleKeys(relation, r.options.Only)
		statement += " WHERE " + d.whereKeys(relation, len(keys))
	}
	err := s.query(ctx, statement, keys, func(row [][]byte) error {
		n, err := strconv.ParseInt(string(row[0]), 10, 64)
		r.total = n
		return err
	})
	if limit := int64(r.options.Limit); limit > 0 {
		r.total = min(r.total, limit)
	}
	return err
}

// Total gives the number of investigations that the pass will bring.
func (r *Reader) Total() int64 { return r.total }

// Sessions gives the number of batches that can be read at the same time.
func (r *Reader) Sessions() int { return cap(r.sessions) }

// Close ends the snapshot.
func (r *Reader) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	for _, s := range r.all {
		s.close(ctx)
	}
	r.database.session.rollback(ctx)
	if r.cursor != nil {
		r.cursor.close()
	}
}

// Next gives the next batch, [io.EOF] after the last one. Batches come in no
// particular order. Who has had a batch must ask again until the end: what did
// not fit into it is still to come.
func (r *Reader) Next(ctx context.Context) ([]*Dataset, error) {
	batch, err := r.advance(ctx)
	if err != nil {
		return nil, r.database.failure("read the investigations", err)
	}
	if len(batch) == 0 {
		return nil, io.EOF
	}
	var s session
	select {
	case s = <-r.sessions:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { r.sessions <- s }()
	return r.read(ctx, s, batch)
}

// Fetch brings the rows of datasets that came without them: of the first, and of
// as many after it as fit. The others stay Unchanged.
func (r *Reader) Fetch(ctx context.Context, batch []*Dataset) error {
	var s session
	select {
	case s = <-r.sessions:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { r.sessions <- s }()
	// The look at them has told their sizes.
	n, size := 1, batch[0].size
	for n < len(batch) && size+batch[n].size <= r.limit(n+1) {
		size += batch[n].size
		n++
	}
	left, err := r.fill(ctx, s, batch[:n])
	for _, d := range left {
		d.Unchanged = true
	}
	return err
}

// read brings a batch: first a look at those that are known already, then the
// rows of those that are new or have changed. Where most turn out to have changed
// the look costs more than it saves, and is left out for a while. What does not
// fit waits for the next batch.
func (r *Reader) read(ctx context.Context, s session, batch []*Dataset) ([]*Dataset, error) {
	wanted := batch
	if r.options.Known != nil {
		var err error
		if wanted, err = r.look(ctx, s, batch); err != nil {
			return nil, err
		}
	}
	left, err := r.fill(ctx, s, wanted)
	if err != nil {
		return nil, err
	}
	here := make([]*Dataset, 0, len(batch))
	for _, d := range batch {
		if !slices.Contains(left, d) {
			here = append(here, d)
		}
	}
	r.learn(here, left)
	return here, nil
}

// look finds the datasets that are still the same, and gives those of which the
// rows are needed.
func (r *Reader) look(ctx context.Context, s session, batch []*Dataset) ([]*Dataset, error) {
	var known, wanted []*Dataset
	before := make(map[*Dataset][32]byte, len(batch))
	seen := make(map[string]bool, len(batch))
	for _, d := range batch {
		key := d.Investigation[InvestigationIdentifier]
		earlier, ok, err := Earlier{}, false, error(nil)
		if d.Duplicate = d.Duplicate || key.Valid && seen[key.Text]; key.Valid && !d.Duplicate {
			seen[key.Text] = true
			earlier, ok, err = r.options.Known(key.Text)
		}
		if err != nil {
			return nil, err
		}
		d.mark(r.versions)
		switch {
		case !ok:
			wanted = append(wanted, d)
		case d.Marker != [16]byte{} && d.Marker == earlier.Marker && !r.options.Thorough:
			d.Unchanged, d.Fingerprint = true, earlier.Fingerprint
			d.StudyCount, d.AssayCount = earlier.StudyCount, earlier.AssayCount
		default:
			before[d], known = earlier.Fingerprint, append(known, d)
		}
	}
	if len(known) == 0 {
		return wanted, nil
	}
	changed, err := r.compare(ctx, s, known, before)
	return append(wanted, changed...), err
}

// compare reads the rows of datasets that are known already, keeping nothing but
// their fingerprints, and gives those with another fingerprint than before.
func (r *Reader) compare(ctx context.Context, s session, known []*Dataset, before map[*Dataset][32]byte) (changed []*Dataset, err error) {
	r.mu.Lock()
	blind := r.blind > 0
	r.blind = max(r.blind-1, 0)
	r.mu.Unlock()
	if blind {
		return known, nil
	}
	if err := r.scan(ctx, s, known, nil); err != nil {
		return nil, err
	}
	same := 0
	for _, d := range known {
		if d.Unchanged = d.Fingerprint == before[d]; d.Unchanged {
			same++
		} else {
			changed = append(changed, d)
		}
	}
	if len(known) >= 25 && same < len(known)/2 {
		r.mu.Lock()
		r.blind = 10
		r.mu.Unlock()
	}
	return changed, nil
}

// advance gives as many investigations as should fit: those that are waiting, or
// else the next ones of the cursor.
func (r *Reader) advance(ctx context.Context) ([]*Dataset, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead != nil {
		return nil, r.dead
	}
	n := min(r.options.BatchSize, 50)
	if r.average > 0 {
		n = min(max(r.options.BatchBytes/r.average, 1), r.options.BatchSize)
	}
	if waiting := min(n, len(r.waiting)); waiting > 0 {
		batch := slices.Clone(r.waiting[:waiting])
		// What is behind the slice must not keep them once they are read.
		r.waiting = slices.Delete(r.waiting, 0, waiting)
		return batch, nil
	}
	rows, err := r.cursor.next(ctx, n)
	r.dead = err
	batch := make([]*Dataset, len(rows))
	for i, row := range rows {
		key := strings.Trim(row[InvestigationIdentifier].Text, " ")
		seen, repeated := r.repeated[key]
		batch[i] = &Dataset{Investigation: row, Duplicate: seen}
		if repeated {
			r.repeated[key] = true
		}
	}
	return batch, err
}

// learn remembers how large datasets are, following growth at once and
// shrinkage slowly, and lets those wait that did not fit.
func (r *Reader) learn(batch, left []*Dataset) {
	sum := 0
	for _, d := range batch {
		sum += d.size
	}
	now := sum/len(batch) + 1
	r.mu.Lock()
	defer r.mu.Unlock()
	if now < r.average {
		now = (3*r.average + now) / 4
	}
	r.average = now
	r.waiting = append(r.waiting, left...)
}

// errTooMuch ends the reading of a batch that does not fit.
var errTooMuch = errors.New("more rows than fit")

// limit gives the bytes of rows that a session may bring at a time: of one dataset
// as many as it may have, of several only somewhat more than a batch should take.
func (r *Reader) limit(datasets int) int {
	if datasets == 1 {
		return max(4*r.options.BatchBytes, r.options.DatasetBytes)
	}
	return 4 * r.options.BatchBytes
}

// fill reads everything that belongs to the datasets. If that does not fit it
// starts again with the first half of them, and gives those that are left. One
// that does not fit alone is too large.
func (r *Reader) fill(ctx context.Context, s session, all []*Dataset) (left []*Dataset, err error) {
	for _, d := range all {
		d.forget()
	}
	for batch := all; ; batch = batch[:len(batch)/2] {
		limit := r.limit(len(batch))
		if err := r.scan(ctx, s, batch, &limit); !errors.Is(err, errTooMuch) {
			return all[len(batch):], err
		}
		for _, d := range batch {
			d.forget()
		}
		if len(batch) == 1 {
			batch[0].TooLarge = true
			return all[1:], nil
		}
	}
}

// scan passes over the rows of the datasets, with one query per view. With a
// limit they are kept, without one only fingerprints are made of them.
func (r *Reader) scan(ctx context.Context, s session, batch []*Dataset, limit *int) error {
	index := make(map[string]*Dataset, len(batch))
	keys := make([]string, 0, len(batch))
	var head []byte
	for _, d := range batch {
		key := d.Investigation[InvestigationIdentifier]
		if !key.Valid || d.Duplicate {
			continue
		}
		if index[key.Text] != nil {
			d.Duplicate = true
			continue
		}
		index[key.Text] = d
		keys = append(keys, key.Text)
		if r.options.Known != nil {
			d.print = newFingerprint()
			// The marker is no part of the ARC.
			head = encode(head[:0], d.Investigation[:InvestigationMarker].raw())
			d.print.add(0, head)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	for i := 1; i < len(r.database.relations); i++ {
		if err := r.part(ctx, s, i, keys, index, limit); errors.Is(err, errTooMuch) {
			return err
		} else if err != nil {
			return r.database.failure("read "+r.database.views[i].Name, err)
		}
	}
	for _, d := range index {
		if d.print != nil {
			d.Fingerprint, d.print = d.print.sum(), nil
		}
	}
	return nil
}

// part reads the rows of one view that belong to the datasets. Which dataset
// that is decides the exact text: databases that compare without regard to
// case return more.
func (r *Reader) part(ctx context.Context, s session, view int, keys []string, index map[string]*Dataset, limit *int) error {
	relation := r.database.relations[view]
	if relation == nil {
		return nil
	}
	ref := relation.view.Ref
	var a arena
	return r.withKeys(ctx, s, relation, 0, keys, func(raw [][]byte) error {
		dataset := index[string(raw[ref])]
		if dataset == nil {
			r.astray(stray{view, string(raw[ref])})
			return nil
		}
		dataset.count(view)
		if dataset.print != nil {
			a.encoded = encode(a.encoded[:0], raw)
			dataset.print.add(view, a.encoded)
		}
		size := sizeOf(raw)
		dataset.size += size
		if limit == nil {
			return nil
		}
		if *limit -= size; *limit < 0 {
			return errTooMuch
		}
		row := a.row(raw)
		rows := dataset.part(view)
		*rows = append(*rows, row)
		return nil
	})
}

// inlineKeys puts the array of keys into a statement that takes no parameter,
// because a cursor cannot be declared with one over the simple protocol.
func inlineKeys(statement string, keys []string) string {
	return replaceOnce(statement, "$1", quoteLiteral(string(arrayLiteral(keys))))
}

// astray remembers a reference to be looked at in the end, up to as many as one
// query may ask for.
func (r *Reader) astray(s stray) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.strays == nil {
		r.strays = map[stray]bool{}
	}
	if len(r.strays) < maxKeys {
		r.strays[s] = true
	}
}

// Strays tells, after the last batch, of rows that belong to no dataset because
// their reference is spelled otherwise than the identifier that the database,
// which does not look at case or at blanks in the end, takes it for.
func (r *Reader) Strays(ctx context.Context) ([]Finding, error) {
	if len(r.strays) == 0 {
		return nil, nil
	}
	refs := map[string]bool{}
	for s := range r.strays {
		refs[s.ref] = true
	}
	s := <-r.sessions
	defer func() { r.sessions <- s }()
	err := r.withKeys(ctx, s, r.database.relations[0], 0, slices.Sorted(maps.Keys(refs)), func(row [][]byte) error {
		// It belongs to a dataset of its own, of another batch.
		delete(refs, string(row[InvestigationIdentifier]))
		return nil
	})
	if err != nil {
		return nil, r.database.failure("read the investigations", err)
	}
	var findings []Finding
	for s := range r.strays {
		if !refs[s.ref] {
			continue
		}
		view := r.database.views[s.view]
		findings = append(findings, Finding{Severity: Warning, View: view.Name, Key: s.ref, Column: view.Columns[view.Ref].Name,
			Text: "no investigation has exactly this identifier, only one that differs in case or blanks; the rows are left out", Remedy: "spell the reference as the identifier is spelled"})
	}
	slices.SortFunc(findings, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.View, b.View), cmp.Compare(a.Key, b.Key)) })
	return findings, nil
}
