package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
)

// Submission is one ARC as it came in.
type Submission struct {
	ID          ID
	RDI         string
	Identifier  string
	Name        string
	Description string
	Hash        Hash
	Size        int64 // bytes of the document
	// Content gives the document as a zstd frame. It is called only when the
	// content is not the stored one, by the goroutine that submits.
	Content func() []byte
	Harvest uuid.UUID // uuid.Nil for a standalone submission
	Actor   Actor
	// Traceparent is the W3C trace context that the push continues.
	Traceparent string
	// WithLog asks for the log of the ARC in the result: it comes along with the
	// answer, where asking for it afterwards would cost as much as the submission.
	WithLog bool

	frame []byte
}

// Outcome says what a submission did.
type Outcome string

// Outcomes of a submission. A restored ARC was missing or deleted and came
// back with the content it had.
const (
	Created   Outcome = "created"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged"
	Restored  Outcome = "restored"
)

// Changed says whether there is new content to push.
func (o Outcome) Changed() bool { return o == Created || o == Updated }

// Result is what became of a submission.
type Result struct {
	Outcome   Outcome
	Version   int64
	Lifecycle Lifecycle
	FirstSeen time.Time
	LastSeen  time.Time
	// Log is the log of the ARC as the commit left it, as [Store.Events] gives it but
	// for the ids and harvests; nil unless the submission asked for it.
	Log []Event

	known      bool // by touch: content is the stored one, or refused
	eventCount int
}

// Submit stores an ARC and the fact that it has to be pushed, and returns
// after the commit that holds both. Concurrent submissions share a commit, but
// each has its own result. The same content again only refreshes last_seen,
// and as a rule does not travel to PostgreSQL. Within a harvest, other content for an
// ARC that the harvest has brought already is refused as HarvestConflict,
// anything for a harvest that has ended as HarvestClosed.
func (s *Store) Submit(ctx context.Context, sub *Submission) (*Result, error) {
	q := *sub
	if s.forecast.unchanged() {
		r, err := s.inGroup(ctx, s.touches, &q)
		if err != nil {
			return nil, err
		}
		if r.known {
			s.forecast.learn(true)
			return r, nil
		}
	}
	q.frame = q.Content()
	r, err := s.inGroup(ctx, s.puts, &q)
	if err != nil {
		return nil, err
	}
	s.forecast.learn(!r.Outcome.Changed())
	if r.Outcome.Changed() {
		s.bell.ring()
	}
	return r, nil
}

// touch recognises submissions of what is stored already.
func (s *Store) touch(subs []*Submission) []answer[*Result] {
	return s.together(subs, sqlTouch, s.touchArguments)
}

// put stores contents.
func (s *Store) put(subs []*Submission) []answer[*Result] {
	answers := s.together(subs, sqlPut, s.putArguments)
	s.trim(subs, answers)
	return answers
}

// together does a statement for a group. If it fails because of one member,
// each member is tried alone, so that only the culprit fails.
func (s *Store) together(subs []*Submission, sql string, arguments func([]*Submission) []any) []answer[*Result] {
	// PostgreSQL's own limit strikes before. Without it nobody waits any more.
	ctx, cancel := context.WithTimeout(context.Background(), s.patience+connectTimeout)
	defer cancel()
	// What is stored already is found unchanged by the second attempt.
	answers, err := again(ctx, s, func() ([]answer[*Result], error) { return s.statement(ctx, subs, sql, arguments(subs), lockPatience) })
	if err == nil {
		return answers
	}
	if isPoison(err) {
		return s.alone(ctx, subs, sql, arguments)
	}
	if isHeld(err) {
		return s.around(ctx, subs, err, sql, arguments)
	}
	answers = make([]answer[*Result], len(subs))
	for i := range answers {
		answers[i].err = wrap("store ARC", err)
	}
	return answers
}

// attemptsAlone is how often a submission is tried by itself: twice, because
// the first failure of a group may have been a race that is over.
const attemptsAlone = 2

func (s *Store) alone(ctx context.Context, subs []*Submission, sql string, arguments func([]*Submission) []any) []answer[*Result] {
	answers := make([]answer[*Result], len(subs))
	for i := range subs {
		one := subs[i : i+1]
		var a []answer[*Result]
		var err error
		for range attemptsAlone {
			if a, err = s.statement(ctx, one, sql, arguments(one), lonePatience); err == nil || !isPoison(err) {
				break
			}
		}
		if err != nil {
			answers[i].err = wrap("store ARC "+one[0].ID.String(), err)
			continue
		}
		answers[i] = a[0]
	}
	return answers
}

// statement does the statement in one round trip and one transaction, behind those
// that have to come before it, and waits only so long for each lock. Harvests are locked by a statement of its own, so
// that the next one sees whether they have ended.
func (s *Store) statement(ctx context.Context, subs []*Submission, sql string, arguments []any, patience time.Duration) ([]answer[*Result], error) {
	if err := failpoint.Hit(failpoint.CommitBegin); err != nil {
		return nil, err
	}
	batch := &pgx.Batch{}
	batch.Queue(sqlPlanOnce, milliseconds(patience))
	if locks := harvestLocks(subs); len(locks) > 0 {
		batch.Queue(sqlShareLocks, locks)
	}
	before := batch.Len()
	batch.Queue(sql, arguments...)
	results := s.pool.SendBatch(ctx, batch)
	answers, err := s.readResults(results, before, subs)
	if lost := failpoint.Hit(failpoint.CommitUnknown); err == nil {
		err = lost
	}
	// The transaction commits at the end of the batch: only Close tells.
	if closed := results.Close(); err == nil {
		err = closed
	}
	if lost := failpoint.Hit(failpoint.Committed); err == nil {
		err = lost
	}
	return answers, err
}

func (s *Store) readResults(results pgx.BatchResults, before int, subs []*Submission) ([]answer[*Result], error) {
	for range before {
		if _, err := results.Exec(); err != nil {
			return nil, err
		}
	}
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	answers := make([]answer[*Result], len(subs))
	for i := range answers {
		answers[i].result = &Result{}
	}
	for rows.Next() {
		var n int
		var refusal string
		var r Result
		var before lines
		if err := rows.Scan(&n, &refusal, &r.known, &r.Outcome, &r.Version, &r.Lifecycle, &r.FirstSeen, &r.LastSeen, &r.eventCount,
			&before.at, &before.kinds, &before.messages); err != nil {
			return nil, err
		}
		if refusal != "" {
			answers[n-1] = answer[*Result]{err: refused(fault.Code(refusal), subs[n-1])}
			continue
		}
		if subs[n-1].WithLog && r.known {
			r.Log = before.log(subs[n-1].ID, &r, s.eventLimit)
		}
		*answers[n-1].result = r
	}
	return answers, rows.Err()
}

// refused words the refusals of the statements for the ARC at hand.
func refused(code fault.Code, sub *Submission) error {
	f := fault.New(code, nil)
	if code == fault.HarvestConflict {
		return f.WithText("ARC '" + sub.Identifier + "' was already submitted in harvest 'harvest-" + sub.Harvest.String() +
			"' with different content.")
	}
	return f
}

// harvestLock is the key of the advisory lock that stands for a harvest:
// shared by what happens in the harvest, exclusive for its end, which may take
// minutes. Two harvests with the same key would only wait for each other.
func harvestLock(id uuid.UUID) int64 { return int64(binary.BigEndian.Uint64(id[:8])) }

// eventLock is the key of the one that stands for the events of a harvest: shared by
// those who write some, exclusive for an instant by who reads them. It comes after
// all of the other kind: who waits for the end of a harvest keeps no reader waiting.
func eventLock(id uuid.UUID) int64 { return int64(binary.BigEndian.Uint64(id[8:])) }

// harvestLocks gives the keys for a group in the order of locking.
func harvestLocks(subs []*Submission) []int64 {
	var harvests, events []int64
	for _, q := range subs {
		if q.Harvest != uuid.Nil {
			harvests, events = append(harvests, harvestLock(q.Harvest)), append(events, eventLock(q.Harvest))
		}
	}
	slices.Sort(harvests)
	slices.Sort(events)
	return append(slices.Compact(harvests), slices.Compact(events)...)
}

func nullUUID(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: id != uuid.Nil} }

// column gives one value of each submission, as an array for PostgreSQL.
func column[T any](subs []*Submission, f func(*Submission) T) []T {
	out := make([]T, len(subs))
	for i, q := range subs {
		out[i] = f(q)
	}
	return out
}

// lines are events as the submission statements give them, newest first.
type lines struct {
	at              []time.Time
	kinds, messages []string
}

// log puts them in order, adds the event of the submission itself, which no
// statement sees that writes it, and gives the newest.
func (l *lines) log(arc ID, r *Result, limit int) []Event {
	list := make([]Event, 0, len(l.at)+1)
	for i := range slices.Backward(l.at) {
		list = append(list, Event{ARC: arc, At: l.at[i], Type: l.kinds[i], Message: l.messages[i]})
	}
	if e, ok := submissionEvents[r.Outcome]; ok {
		list = append(list, Event{ARC: arc, At: r.LastSeen, Type: e.kind, Message: e.message})
	}
	return list[max(0, len(list)-limit):]
}

// submissionEvents are the events that the submission statements write.
var submissionEvents = map[Outcome]struct{ kind, message string }{
	Created:  {EventCreated, "ARC first seen"},
	Updated:  {EventUpdated, "ARC content updated"},
	Restored: {EventRestored, "ARC reappeared after being missing/deleted"},
}

// admissionArguments are those of partAdmitted.
func admissionArguments(subs []*Submission) []any {
	return []any{
		column(subs, func(q *Submission) []byte { return q.ID[:] }),
		column(subs, func(q *Submission) string { return q.RDI }),
		column(subs, func(q *Submission) []byte { return q.Hash[:] }),
		column(subs, func(q *Submission) pgtype.UUID { return nullUUID(q.Harvest) }),
	}
}

func (s *Store) touchArguments(subs []*Submission) []any {
	return append(admissionArguments(subs),
		column(subs, func(q *Submission) bool { return q.WithLog }),
		s.eventLimit,
	)
}

func (s *Store) putArguments(subs []*Submission) []any {
	return append(s.touchArguments(subs),
		column(subs, func(q *Submission) string { return q.Identifier }),
		column(subs, func(q *Submission) string { return storable(q.Name) }),
		column(subs, func(q *Submission) string { return storable(q.Description) }),
		column(subs, func(q *Submission) int64 { return q.Size }),
		column(subs, func(q *Submission) []byte { return q.frame }),
		column(subs, func(q *Submission) string { return q.Traceparent }),
		column(subs, func(q *Submission) string { return q.Actor.name() }),
		column(subs, func(q *Submission) string { return q.Actor.Fingerprint }),
		column(subs, func(q *Submission) string { return q.Actor.RequestID }),
	)
}

// trim removes events beyond the limit. It runs after the commit and its
// failure harms nobody: readers take the newest ones only, and the next
// submission trims again.
func (s *Store) trim(subs []*Submission, answers []answer[*Result]) {
	var ids [][]byte
	for i, a := range answers {
		if a.err == nil && a.result.eventCount > s.eventLimit+s.eventLimit/10 {
			ids = append(ids, bytes.Clone(subs[i].ID[:]))
		}
	}
	s.trimEvents(ids)
}
