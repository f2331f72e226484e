// Package fault is the one way in which a problem leaves the program: a stable
// code, a sentence for people, who can mend it and how, and the cause, which
// stays in the log. It knows nothing of HTTP, SQL or git; those packages turn
// what happened to them into a fault, and each way out (the HTTP API, the
// command line, the console) turns a fault into its own words.
//
// Faults are immutable values and safe for concurrent use.
package fault

import (
	"errors"
	"strings"
	"time"
)

// Code names a kind of problem. Codes are part of the public interface: they
// appear in answers, events, logs and the manual, and never change their
// meaning.
type Code string

// Owner says who is able to mend a problem.
type Owner string

// The parties that can mend something.
const (
	OwnerRDI      Owner = "rdi"      // the sender of the ARC
	OwnerOperator Owner = "operator" // whoever runs this service
	OwnerDataHUB  Owner = "datahub"  // the administrators of the git server
	OwnerNobody   Owner = "nobody"   // mends itself; only time is needed
)

// Class says what a problem means for what was being done, and for everything else.
type Class string

// The classes. What is transient passes: it is tried again, by the service or
// by the client, with growing distance. What is refused or invalid waits for
// somebody: a right, a decision, or other content. An incident hits everything
// alike, so nothing is charged for it.
const (
	Transient Class = "transient"
	Refused   Class = "refused"
	Invalid   Class = "invalid"
	Incident  Class = "incident"
)

// Error is a problem as somebody outside of the process has to know it.
type Error struct {
	Code       Code
	Text       string        // one sentence, safe to show to any client
	Owner      Owner         // who can mend it; empty counts as operator
	Remedy     string        // what to do, if possible the command to type
	RetryAfter time.Duration // when trying again makes sense; 0 says nothing
	Cause      error         // for the log only
}

// Error gives code, text and cause: the form for logs, not for clients.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Text
	if e.Cause != nil {
		s = strings.TrimSuffix(s, ".") + ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Of finds the fault in the chain of err.
func Of(err error) (*Error, bool) {
	return errors.AsType[*Error](err)
}

// CodeOf gives the code of the fault in the chain of err, or "" if there is none.
func CodeOf(err error) Code {
	if f, ok := Of(err); ok {
		return f.Code
	}
	return ""
}
