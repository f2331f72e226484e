package git

import (
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// message is what every commit of an ARC says.
func message(arcID string) string { return "Update ARC " + arcID }

// buildCommit makes the commit for a tree. Everything in it is given, so the same
// version on the same parent is the same commit, whoever builds it and when.
func (r *Remote) buildCommit(arcID string, tree, parent plumbing.Hash, when time.Time) (plumbing.EncodedObject, error) {
	who := object.Signature{Name: r.opt.UserName, Email: r.opt.UserEmail, When: when.UTC().Truncate(time.Second)}
	c := &object.Commit{Author: who, Committer: who, Message: message(arcID) + "\n", TreeHash: tree}
	if !parent.IsZero() {
		c.ParentHashes = []plumbing.Hash{parent}
	}
	o := &plumbing.MemoryObject{}
	return o, c.Encode(o)
}

// part is how the service before this one ended the message of a commit that
// holds a part of an ARC only.
var part = regexp.MustCompile(`\(part (\d+)/(\d+)\)\s*$`)

// Whole tells whether the message is that of a commit with which an ARC was
// complete.
func Whole(message string) bool {
	m := part.FindStringSubmatch(message)
	return m == nil || m[1] == m[2]
}

// ours tells whether this service, or the one before it, made the commit.
func (r *Remote) ours(c *object.Commit, arcID string) bool {
	text := strings.TrimSpace(c.Message)
	if strings.HasPrefix(text, "Add/update ARC "+arcID) {
		return true
	}
	return text == message(arcID) && c.Committer.Name == r.opt.UserName && c.Committer.Email == r.opt.UserEmail
}
