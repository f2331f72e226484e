// Package rocrate is the border between RO-Crate JSON-LD and the ARC model. It
// knows the payload rules of an upload (which documents are accepted, which ARC
// they are, whether they changed), reads a crate into the ARC model the way the
// reference library of the ARC format does, and writes an ARC as a crate.
//
// Everything it reads comes from outside: it must never panic, and its time, memory and stack
// are bounded by the length of the document, whatever that says. It neither opens files nor
// asks the network; contexts it knows are built in. All functions may be called
// concurrently.
package rocrate
