// Package couchimport reads what the service before this one kept in CouchDB and
// stores it: ARCs with their times and log, and harvests with their counts. It
// reads an export line by line: one document per line, or the rows of
// _all_docs?include_docs=true, plain or compressed with gzip.
//
// It must never replace anything that is there already, so that an import can
// be run again after it was cut off, and never calls an ARC imported whose
// stored content it has not read back and hashed. A line that cannot be used is
// reported with its number and passed over.
//
// An import belongs to one goroutine; it uses several itself.
package couchimport
