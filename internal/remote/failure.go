package remote

import (
	"errors"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Failure is a push that did not happen. It is immutable.
type Failure struct {
	Class fault.Class
	Fault *fault.Error
	// Detail is what the other side said, for the journal only.
	Detail string
}

// Fail makes the failure of the given code from the table of codes. A code that
// is not in the table is an internal error.
func Fail(code fault.Code, cause error) *Failure {
	d, ok := fault.Known(code)
	if !ok {
		d, _ = fault.Known(fault.InternalError)
	}
	return &Failure{Class: d.Class, Fault: fault.New(d.Code, cause)}
}

// With gives the failure with what the other side said.
func (f *Failure) With(detail string) *Failure {
	c := *f
	c.Detail = detail
	return &c
}

// After gives the failure with the earliest time of the next attempt.
func (f *Failure) After(d time.Duration) *Failure {
	c, e := *f, *f.Fault
	e.RetryAfter = d
	c.Fault = &e
	return &c
}

// Error gives code, text, cause and what the other side said: for the log.
func (f *Failure) Error() string {
	if f.Detail == "" {
		return f.Fault.Error()
	}
	return f.Fault.Error() + ": " + f.Detail
}

// Unwrap gives the fault.
func (f *Failure) Unwrap() error { return f.Fault }

// FailureOf finds the failure in the chain of err. Any other error becomes an
// internal error.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return Fail(fault.InternalError, err)
}
