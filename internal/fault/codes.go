package fault

import (
	"slices"
	"time"
)

// A Definition is what is known beforehand about a code.
type Definition struct {
	Code       Code
	Class      Class
	Text       string // what happened, when nothing more precise can be said
	Owner      Owner
	Remedy     string
	RetryAfter time.Duration
}

// Codes of the store.
const (
	StoreUnavailable Code = "store_unavailable"
	StoreTimeout     Code = "store_timeout"
	StoreFull        Code = "store_full"
	StoreStandby     Code = "store_standby"
	StoreSchema      Code = "store_schema"
	StoreAccess      Code = "store_access"
	StoreConfig      Code = "store_config"
	StorePooler      Code = "store_pooler"
	StoreInternal    Code = "store_internal"
	StoreRejected    Code = "store_rejected"
)

// Codes of ARCs, harvests and tasks.
const (
	ARCNotFound       Code = "arc_not_found"
	ARCInvalid        Code = "arc_invalid"
	ContentDamaged    Code = "content_damaged"
	HarvestNotFound   Code = "harvest_not_found"
	HarvestNotYours   Code = "harvest_not_yours"
	HarvestClosed     Code = "harvest_closed"
	HarvestConflict   Code = "harvest_conflict"
	HarvestTransition Code = "harvest_transition"
	HarvestOtherRDI   Code = "harvest_other_rdi"
	TaskNotFound      Code = "task_not_found"
	RemoteNotFound    Code = "remote_not_found"
	RemotePaused      Code = "remote_paused"
	ParkedByHand      Code = "parked_by_hand"
	ARCAmbiguous      Code = "arc_ambiguous"
)

// table lists, together with pushes, the codes of the program.
var table = []Definition{
	{StoreUnavailable, Transient, "The database cannot be reached at the moment.", OwnerOperator,
		"Operator: systemctl status postgresql; middleware-api doctor tells where it was looked for. Sender: send it again; if it was stored after all, that changes nothing", 5 * time.Second},
	{StoreTimeout, Transient, "The database took too long to answer.", OwnerOperator,
		"Operator: look for locks and load in pg_stat_activity. Sender: send it again; if it was stored after all, that changes nothing", 5 * time.Second},
	{StoreFull, Incident, "The database has no room left.", OwnerOperator,
		"Operator: free or add disk space on the database server. Sender: nothing was stored, send it again later", time.Minute},
	{StoreStandby, Incident, "The database waits for a standby that does not confirm what is committed.", OwnerOperator,
		"Operator: bring the standby back: middleware-api errors store_standby. Sender: send it again; if it was stored after all, that changes nothing", 30 * time.Second},
	{StoreSchema, Incident, "The database schema does not fit this version of the program.", OwnerOperator,
		"middleware-api migrate", 30 * time.Second},
	{StoreAccess, Incident, "The database refuses the service.", OwnerOperator,
		"Check user, password and rights of the database connection: middleware-api doctor", 30 * time.Second},
	{StoreConfig, Incident, "The connection string of the database cannot be used.", OwnerOperator,
		"Correct database.url in the configuration: middleware-api check", 0},
	{StorePooler, Incident, "A pooler lends connections of the database for single transactions.", OwnerOperator,
		"Let database.url lead to PostgreSQL itself, or to a pooler that lends connections for whole sessions (pool_mode = session)", 30 * time.Second},
	{StoreInternal, Transient, "The database reported an error nobody expected.", OwnerOperator,
		"Report it with the log lines of this request: journalctl -u 'middleware-api*'", 0},
	{StoreRejected, Invalid, "The database cannot hold this value.", OwnerRDI,
		"Remove NUL characters and texts that are not Unicode from identifier, name and description", 0},

	{ARCNotFound, Refused, "There is no such ARC.", OwnerRDI, "Check the ARC id and the RDI", 0},
	{ARCAmbiguous, Refused, "The text fits several ARCs.", OwnerOperator,
		"Name one as RDI/IDENTIFIER or by its id", 0},
	{ARCInvalid, Invalid, "The RO-Crate is not valid.", OwnerRDI, "Correct the crate and send it again", 0},
	{ContentDamaged, Invalid, "The stored content of the ARC cannot be read.", OwnerOperator,
		"Restore the database from a backup, or let the RDI send the ARC again", 0},
	{HarvestNotFound, Refused, "Harvest not found", OwnerRDI, "Check the harvest id; begin a new harvest", 0},
	{HarvestNotYours, Refused, "The harvest belongs to another client.", OwnerRDI,
		"Use the certificate the harvest was begun with", 0},
	{HarvestClosed, Refused, "The harvest has ended and takes no more ARCs.", OwnerRDI, "Begin a new harvest", 0},
	{HarvestConflict, Refused, "The ARC was already submitted in this harvest with different content.", OwnerRDI,
		"Make identifiers unique within the RDI, or send the new content in a new harvest", 0},
	{HarvestTransition, Refused, "The harvest has ended already.", OwnerRDI, "Begin a new harvest", 0},
	{HarvestOtherRDI, Refused, "The ARC belongs to another RDI than the harvest.", OwnerRDI,
		"Begin a harvest for that RDI", 0},
	{TaskNotFound, Refused, "There is no such task.", OwnerRDI, "Tasks are kept for 30 days", 0},
	{RemoteNotFound, Refused, "Nothing is known of a remote of that name.", OwnerOperator, "middleware-api status", 0},
	{RemotePaused, Incident, "An operator has paused the remote.", OwnerOperator, "middleware-api resume REMOTE", 0},
	{ParkedByHand, Refused, "An operator has parked the ARC.", OwnerOperator, "middleware-api unpark ARC", 0},
}

// Codes lists every code, in the order of the tables.
func Codes() []Definition { return slices.Concat(table, pushes) }

// Known finds the definition of a code.
func Known(code Code) (Definition, bool) {
	for _, list := range [][]Definition{table, pushes} {
		for i := range list {
			if list[i].Code == code {
				return list[i], true
			}
		}
	}
	return Definition{}, false
}

// New makes the fault of a listed code, with the words of the table and the
// cause for the log. A code that is not listed is a mistake of the program and
// has no words.
func New(code Code, cause error) *Error {
	d, ok := Known(code)
	if !ok {
		d = Definition{Code: code, Text: string(code), Owner: OwnerOperator}
	}
	return &Error{Code: code, Text: d.Text, Owner: d.Owner, Remedy: d.Remedy, RetryAfter: d.RetryAfter, Cause: cause}
}

// WithText gives a copy that says more precisely what happened.
func (e *Error) WithText(text string) *Error {
	c := *e
	c.Text = text
	return &c
}
