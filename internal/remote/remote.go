// Package remote says what the synchroniser wants of a place where ARCs go:
// take one version of one ARC, make it the newest one there, and tell the truth
// about it. It holds what all such places share: the order for a push, what is
// remembered between two pushes of an ARC, and the table of everything that can
// go wrong. It must never touch the database and never reports a push that the
// other side has not confirmed.
//
// Implementations are safe for concurrent use with different ARCs. Two pushes
// of the same ARC at the same time are harmless: the other side takes the
// second one only if it builds on the first.
package remote

import (
	"context"
	"io"
	"time"
)

// Remote is a place where ARCs are kept as git repositories.
type Remote interface {
	// Push makes the given version the newest one at the remote. Errors are
	// always a *Failure.
	Push(ctx context.Context, p *Push) (Result, error)
	// Head reads the newest commit of an ARC at the remote, "" if there is no
	// repository or no branch yet. Ref is what the last push gave as Result.Ref.
	Head(ctx context.Context, arcID, ref string) (string, error)
	// Check tells whether the remote takes our credentials at all.
	Check(ctx context.Context) error
	// Close ends idle connections.
	Close()
}

// Push is one version of one ARC on its way to its repository.
type Push struct {
	ARC string // 64 hexadecimal digits, the name of the repository
	RDI string

	Identifier  string // of the investigation, for the project's title
	Title       string
	Description string

	// Files lists everything the repository shall hold. Nothing else stays.
	Files []File
	// When is the moment at which this version was stored. It becomes the date of
	// the commit, so that repeating a push makes the same commit again and a crash
	// between push and record is recognised by the head at the remote.
	When time.Time
	// Recorded is what Result.State said after the last push; nil if none.
	Recorded []byte
	// Forced says that somebody asked for this push: what is recorded may be wrong,
	// so the remote is looked at.
	Forced bool
	// Adopt says that the system before this one claims to have pushed this very
	// version. A head that it made at When or later is taken over as it is, even if
	// its files are written in another way; otherwise this is a push like any other.
	Adopt bool
	// Guard is asked before a head that was not recorded is built upon: it answers
	// with an error unless the caller still holds the ARC. Nil asks nobody.
	Guard func(ctx context.Context) error
}

// File is one file of an ARC. Content may be written more than once and gives
// the same bytes each time.
type File struct {
	Path    string // relative, slash separated
	Content io.WriterTo
}

// Result is what the remote has confirmed.
type Result struct {
	Commit  string // head of the branch, 40 hexadecimal digits
	Changed bool   // false if the remote held exactly this already
	// Recovered says that the commit had arrived in an earlier push of which no
	// record was made.
	Recovered bool
	// Adopted says that the head is the system's before this one, see Push.Adopt.
	Adopted bool
	// Foreign is the head made by somebody else on which the commit was put; "" if none.
	Foreign string
	// Ref is the remote's name for the repository.
	Ref string
	// State is to be handed to the next push of this ARC.
	State []byte
	// Sent counts the bytes that went out, Objects the git objects.
	Sent    int64
	Objects int
}

// Token is what the other side tells of our access token.
type Token struct {
	Name    string
	Scopes  []string
	Expires time.Time // zero if it never does
}
