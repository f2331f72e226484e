package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
)

// The two services of a git server.
const (
	receivePack = "git-receive-pack"
	uploadPack  = "git-upload-pack"
)

const (
	maxRefs   = 64 << 20 // bytes of an advertisement; a repository of ours has one line
	maxTalk   = 16 << 10 // bytes kept of what hooks and server say
	agentName = "git/middleware-api"
)

// codeIncomplete is internal: the server lacks objects that it should have.
const codeIncomplete fault.Code = "incomplete_at_server"

// session is a conversation with one service about one repository.
type session interface {
	refs() *packp.AdvRefs
	// post sends the order and gives the answer; size -1 is unknown.
	post(ctx context.Context, body io.Reader, size int64) (io.Reader, error)
	// finish waits for the end after the answer was read.
	finish() error
	close()
}

func readRefs(r io.Reader) (*packp.AdvRefs, error) {
	adv, begin := packp.NewAdvRefs(), &talk{}
	err := adv.Decode(io.TeeReader(io.LimitReader(r, maxRefs), begin))
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs):
		return packp.NewAdvRefs(), nil
	case err != nil:
		// Longer names of objects cannot be read; what they are stands behind the first.
		if _, format, ok := strings.Cut(begin.String(), " object-format="); ok && !strings.HasPrefix(format, "sha1") {
			return nil, remote.Fail(fault.ServerUnsupported, fmt.Errorf("repository names objects by %.6s, and not by sha1", format))
		}
		return nil, fmt.Errorf("read references: %w", err)
	}
	return adv, nil
}

// supported refuses servers that could not confirm a push.
func supported(adv *packp.AdvRefs) error {
	if !adv.Capabilities.Supports(capability.ReportStatus) {
		return remote.Fail(fault.ServerUnsupported, errors.New("server does not report the status of references"))
	}
	return nil
}

// encodeOrder writes the update of one reference and gives the capabilities that
// were asked for.
func encodeOrder(w io.Writer, adv *packp.AdvRefs, ref plumbing.ReferenceName, old, head plumbing.Hash) (*capability.List, error) {
	req := packp.NewReferenceUpdateRequest()
	req.Commands = []*packp.Command{{Name: ref, Old: old, New: head}}
	caps := req.Capabilities
	wanted := []capability.Capability{capability.ReportStatus, capability.Sideband64k, capability.Quiet}
	for _, c := range wanted {
		if adv.Capabilities.Supports(c) {
			if err := caps.Set(c); err != nil {
				return nil, err
			}
		}
	}
	if adv.Capabilities.Supports(capability.Agent) {
		if err := caps.Set(capability.Agent, agentName); err != nil {
			return nil, err
		}
	}
	return caps, req.Encode(w)
}

// encodePack writes the objects as a pack without deltas: our files are
// compressed workbooks, and searching for deltas costs more than it saves.
func encodePack(w io.Writer, objects []plumbing.EncodedObject) error {
	store := memory.NewStorage()
	hashes := make([]plumbing.Hash, 0, len(objects))
	for _, o := range objects {
		h, err := store.SetEncodedObject(o)
		if err != nil {
			return err
		}
		hashes = append(hashes, h)
	}
	_, err := packfile.NewEncoder(w, store, false).Encode(hashes, 0)
	return err
}

// talk keeps the first part of what is said, and the last, which is the reason most often.
type talk struct {
	first, last []byte
	cut         bool // between them
}

func (t *talk) Write(p []byte) (int, error) {
	n := min(maxTalk/2-len(t.first), len(p))
	t.first = append(t.first, p[:n]...)
	if t.last = append(t.last, p[n:]...); len(t.last) > maxTalk { // not each time
		t.trim()
	}
	return len(p), nil
}

func (t *talk) trim() {
	if over := len(t.last) - maxTalk/2; over > 0 {
		t.last, t.cut = append(t.last[:0], t.last[over:]...), true
	}
}

func (t *talk) String() string {
	t.trim()
	if t.cut {
		return string(t.first) + "\n[...]\n" + string(t.last)
	}
	return string(t.first) + string(t.last)
}

// readReport reads the answer to an update. Only "unpack ok" together with "ok"
// for our very reference is a success.
func readReport(answer io.Reader, caps *capability.List, ref plumbing.ReferenceName) error {
	said := &talk{}
	if caps.Supports(capability.Sideband64k) {
		d := sideband.NewDemuxer(sideband.Sideband64k, answer)
		d.Progress = said
		answer = d
	}
	report := packp.NewReportStatus()
	if err := report.Decode(answer); err != nil {
		if code := codeOf(said.String() + " " + err.Error()); code != "" {
			return remote.Fail(code, err).With(said.String())
		}
		return remote.Fail(NetCode(err), fmt.Errorf("read report of the push: %w", err)).With(said.String())
	}
	detail := strings.TrimSpace(said.String())
	if report.UnpackStatus != "ok" {
		return judge("unpack "+report.UnpackStatus, detail, fault.RemoteError)
	}
	for _, s := range report.CommandStatuses {
		if s.ReferenceName == ref {
			if s.Status == "ok" {
				return nil
			}
			return judge(s.Status, detail, fault.PushRefused)
		}
	}
	return remote.Fail(fault.ConnectionCut, errors.New("report of the push does not name our branch")).With(detail)
}

// judge finds the failure for a reason given by the server.
func judge(reason, said string, otherwise fault.Code) error {
	code := codeOf(reason + "\n" + said)
	switch code {
	case "":
		code = otherwise
	case codeIncomplete:
		f := remote.Fail(fault.RemoteError, errors.New(reason)).With(said)
		f.Fault.Code = codeIncomplete
		return f
	}
	return remote.Fail(code, errors.New(reason)).With(said)
}

// CodeOf gives the failure for what GitLab says of a push that it refuses; "" if it
// has no words that are known.
func CodeOf(said string) fault.Code {
	if code := codeOf(said); code != codeIncomplete {
		return code
	}
	return fault.RemoteError
}

// codeOf knows the words of git, GitLab and the operating system. The first that
// matches decides: what a hook says is more exact than that it declined.
func codeOf(text string) fault.Code {
	text = strings.ToLower(text)
	for _, rule := range []struct {
		code  fault.Code
		words []string
	}{
		{fault.RemoteStorageFull, []string{"no space left on device", "disk quota exceeded"}},
		{fault.BranchProtected, []string{"protected branch"}},
		{fault.ProjectArchived, []string{"archived project", "project is archived", "read-only because it is archived", "archived so it is read-only"}},
		{fault.RepositoryBusy, []string{"repository is temporarily read-only"}}, // GitLab moves it to another disk
		{fault.RemoteReadOnly, []string{"maintenance mode", "undergoing maintenance", "read-only gitlab instance", "read-only instance", "read-only file system"}},
		{fault.RemoteError, []string{"input/output error", "stale file handle", "transport endpoint is not connected", "structure needs cleaning", "temporary object directory", "unable to migrate objects", "bad pack", "transaction failed to start", "unknown failure"}},
		// A hook that could not ask the server behind it declines as well.
		{fault.RemoteError, []string{"internal api unreachable", "internal api error", "internal server error", "internal server connection error", "gitlab: 401 unauthorized", "push operation timed out"}},
		{fault.QuotaExceeded, []string{"size limit", "storage limit", "exceeds its limit", "over its storage", "storage quota", "exceeds maximum allowed size", "file size limit"}},
		{fault.PushForbidden, []string{"not allowed to push", "maintainer to create a default branch", "insufficient permission", "permission denied", "dubious ownership"}},
		{fault.HookDeclined, []string{"hook declined"}},
		{fault.PushRefused, []string{"exists; cannot create"}}, // a branch whose name begins with ours, or the other way round
		{fault.RepositoryBusy, []string{"failed to update ref", "cannot lock ref", "unable to create", ".lock", "failed to lock", "non-fast-forward", "fetch first", "stale info", "but expected", "incorrect old value", "reference already exists", "reference does not exist"}},
		{codeIncomplete, []string{"missing necessary objects", "unresolved deltas", "did not receive expected object", "object of unexpected type", "missing blob", "missing tree"}},
		{fault.ContentRejected, []string{"fsck error", "error in object", "error: object "}},
	} {
		for _, w := range rule.words {
			if strings.Contains(text, w) {
				return rule.code
			}
		}
	}
	return ""
}

// final turns what is internal to this package into a row of the table.
func final(err error) error {
	f := remote.FailureOf(err)
	if f.Fault.Code == codeIncomplete {
		return remote.Fail(fault.RemoteError, f.Fault.Cause).With(f.Detail)
	}
	return err
}
