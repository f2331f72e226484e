// Package couchimport reads what the service before this one kept in CouchDB and
// stores it: ARCs with their times and log, harvests with their counts, and the tasks
// that clients may still ask for. It reads an export line by line: one document per line, or the rows of
// _all_docs?include_docs=true or another list of CouchDB, plain or compressed with gzip.
//
// It must never replace what was uploaded since, so that an import can be run
// again after it was cut off, or with a later export, of which it takes what the old
// service has had news of. It never calls an ARC imported whose stored content it
// has not read back and hashed. A line that cannot be used is
// reported with its number and passed over.
//
// An import belongs to one goroutine; it uses several itself.
package couchimport
