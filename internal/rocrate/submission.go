package rocrate

import (
	"errors"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
)

// Submission is the body that uploads one ARC: {"rdi": …, "arc": {…}}.
type Submission struct {
	RDI string // as sent, not trimmed
	ARC Payload
}

// ScanSubmission checks a parsed body; other members are ignored. The zero Value stands for
// an empty body. With rdi false the member rdi is not looked at, as where a harvest gives the RDI.
// Errors are wire.Errors.
func ScanSubmission(body jsondoc.Value, rdi bool) (Submission, error) {
	var (
		check wire.Checker
		s     Submission
		loc   = wire.Loc{"body"}
	)
	if !check.Body(body) {
		return s, check.Err()
	}
	if rdi {
		s.RDI = check.String(body, loc, "rdi")
	}
	if crate, ok := check.Required(body, loc, "arc"); ok {
		var err error
		if s.ARC, err = ScanValue(crate, loc.With("arc")); err != nil {
			if errs, ok := errors.AsType[wire.Errors](err); ok {
				check.AddAll(errs)
			}
		}
	}
	return s, check.Err()
}
