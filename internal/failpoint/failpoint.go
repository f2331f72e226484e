// Package failpoint marks the steps of ingest, push and a process' life at
// which trials crash, delay, freeze or fail the service. The calls do nothing,
// and leave nothing in the program, unless it is built with the tag failpoint.
//
// It must never be used for anything but trials, and a point must never stand
// where the service's behaviour would depend on it. Every point is listed in
// All, and the trials fail for one without a trial. It is safe for concurrent use.
package failpoint

// Point names a step.
type Point string

// Steps of a submission.
const (
	SubmitBegin   Point = "submit-begin"   // read and understood, not stored
	CommitBegin   Point = "commit-begin"   // before the statement is sent
	CommitUnknown Point = "commit-unknown" // sent, the end of the transaction not seen
	Committed     Point = "committed"      // durable, nobody knows
	Acknowledge   Point = "acknowledge"    // before the answer is written
	Acknowledged  Point = "acknowledged"   // after it was written
	BulkAnswer    Point = "bulk-answer"    // before the answer to a line
	TaskBegin     Point = "task-begin"     // before a task is kept
	TaskKept      Point = "task-kept"      // after, before the answer
	RefusalBegin  Point = "refusal-begin"  // before a refusal is counted in its harvest
)

// Steps of a harvest and of the upkeep.
const (
	HarvestBegin  Point = "harvest-begin"  // in the transaction, before its commit
	HarvestBegun  Point = "harvest-begun"  // after its commit
	HarvestMarked Point = "harvest-marked" // missing ARCs are marked, not committed
	HarvestEnding Point = "harvest-ending" // counts are frozen, not committed
	HarvestEnded  Point = "harvest-ended"  // after its commit
	ExpireBegin   Point = "expire-begin"   // before an abandoned harvest is ended
	PruneBegin    Point = "prune-begin"    // before old tasks are forgotten
)

// Steps of a push.
const (
	ClaimBegin       Point = "claim-begin"       // before the claim is sent
	Claimed          Point = "claimed"           // leases are taken
	Renewing         Point = "renewing"          // before leases are renewed
	Loaded           Point = "loaded"            // content is read
	Built            Point = "built"             // files of the folder are made
	ReportKept       Point = "report-kept"       // findings are kept
	RepositoryMade   Point = "repository-made"   // beside its place
	RepositoryPlaced Point = "repository-placed" // in its place, empty
	HeadSeen         Point = "head-seen"         // references of the remote are read
	Packed           Point = "packed"            // commit is made, nothing sent
	PushSent         Point = "push-sent"         // all sent, no answer read
	PushAnswered     Point = "push-answered"     // confirmed, not recorded
	RecordBegin      Point = "record-begin"      // before the record is sent
	RecordUnknown    Point = "record-unknown"    // sent, the end of the transaction seen by nobody
	FailureBegin     Point = "failure-begin"     // before a failure is recorded
	PauseBegin       Point = "pause-begin"       // before the remote is paused
	ReleaseBegin     Point = "release-begin"     // before a lease is handed back
	Released         Point = "released"          // after
	ProjectBegin     Point = "project-begin"     // before a GitLab project is created
	ProjectMade      Point = "project-made"      // created, its number known to nobody
)

// Steps of a process.
const (
	MigrateBegin Point = "migrate-begin"
	Migrated     Point = "migrated"
	WorkerReady  Point = "worker-ready" // listening, the service manager does not know
	WorkerDrain  Point = "worker-drain" // told to end, still accepting
)

// All lists the points.
func All() []Point {
	return []Point{
		SubmitBegin, CommitBegin, CommitUnknown, Committed, Acknowledge, Acknowledged, BulkAnswer, TaskBegin, TaskKept, RefusalBegin,
		HarvestBegin, HarvestBegun, HarvestMarked, HarvestEnding, HarvestEnded, ExpireBegin, PruneBegin,
		ClaimBegin, Claimed, Renewing, Loaded, Built, ReportKept, RepositoryMade, RepositoryPlaced, HeadSeen, Packed,
		PushSent, PushAnswered, RecordBegin, RecordUnknown, FailureBegin, PauseBegin, ReleaseBegin, Released, ProjectBegin, ProjectMade,
		MigrateBegin, Migrated, WorkerReady, WorkerDrain,
	}
}
