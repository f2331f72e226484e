// Package store keeps ARCs, harvests and everything that is due in PostgreSQL.
// It is the only package that speaks SQL to the service's database.
//
// The queue is the table: an ARC row carries the hash of its content, the hash
// of what was pushed and the time at which it is due, so there is no job beside
// the data that could be forgotten. An exported method is one unit of work and
// returns success only after its commit. It never holds a transaction or a row
// lock across anything but a conversation with PostgreSQL, never interprets
// the content of an ARC, and never talks to git.
//
// A Store is safe for concurrent use. Any number of processes on any number of
// hosts may use one database; whatever is claimed is claimed there. Errors are
// faults of package fault, ready to be shown, with the cause inside.
package store
