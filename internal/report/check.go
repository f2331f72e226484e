package report

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/remote"
	"github.com/fairagro/middleware-api/internal/store"
)

// CheckConfiguration tells what Load said: its error and its warnings.
func CheckConfiguration(path string, err error, warnings []string) Check {
	return Check{Name: "configuration", Run: func(context.Context) []Finding {
		if path == "" {
			path = "the built-in defaults"
		}
		var list []Finding
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				list = append(list, failed("middleware-api check", "%s", line))
			}
		}
		for _, w := range warnings {
			list = append(list, warning("", "%s", w))
		}
		if list == nil {
			list = append(list, ok("%s can be used", path))
		}
		return list
	}}
}

// examiner is what knows the database; a *store.Store does.
type examiner interface {
	Examine(ctx context.Context) (store.Examination, error)
}

const (
	oldestServer = 150000 // what the SQL of the store is written for
	clockLimit   = 5 * time.Second
)

// CheckDatabase looks at server, schema, rights, connections and clock.
func CheckDatabase(db examiner) Check {
	return Check{Name: "database", Run: func(ctx context.Context) []Finding {
		e, err := db.Examine(ctx)
		if err != nil {
			return []Finding{ofError(err)}
		}
		return database(&e)
	}}
}

func database(e *store.Examination) []Finding {
	list := []Finding{ok("PostgreSQL %s answers; the database has %s", e.Server, amount(uint64(max(0, e.Bytes))))}
	if e.ServerNumber < oldestServer {
		list = append(list, failed("Upgrade PostgreSQL to 15 or newer", "PostgreSQL %s is too old", e.Server))
	}
	switch {
	case e.Standby:
		list = append(list, failed("Let database.url point to the primary", "the server is a read-only standby"))
	case e.ReadOnly:
		list = append(list, failed("Find out who set default_transaction_read_only (a full disk may have been the reason), and reset it", "the database refuses writes"))
	case e.Unconfirmed:
		list = append(list, failed("Bring the standby back (middleware-api errors store_standby)", "commits wait for a synchronous standby that does not confirm them"))
	}
	switch {
	case e.Schema < e.WantedSchema:
		list = append(list, failed("middleware-api migrate", "the schema has version %d, this program needs %d", e.Schema, e.WantedSchema))
	case e.Schema > e.WantedSchema:
		list = append(list, ok("the schema has version %d, newer than the %d of this program", e.Schema, e.WantedSchema))
	default:
		list = append(list, ok("the schema has version %d", e.Schema))
	}
	if len(e.MissingRights) > 0 && e.Schema > 0 {
		list = append(list, failed("Let the owner of the database run middleware-api migrate, or GRANT the rights", "the service may not use the tables %s", strings.Join(e.MissingRights, ", ")))
	}
	if e.AuditUnguarded && e.Schema > 0 {
		list = append(list, failed("Find out who did it, then, as owner of the table: ALTER TABLE audit ENABLE TRIGGER audit_append_only",
			"the trigger audit_append_only is missing or switched off: lines of the audit trail may have been changed or removed"))
	}
	for _, setting := range e.Lossy {
		list = append(list, failed("Set "+setting+" = on in postgresql.conf", "%s is off: a crash of the server would lose acknowledged ARCs", setting))
	}
	if e.Encoding != store.WantedEncoding {
		list = append(list, failed("Dump it, make it anew with createdb -T template0 -E "+store.WantedEncoding+", and restore it there",
			"the database has the encoding %s, in which not every name can be stored", e.Encoding))
	}
	if used := 100 * e.Connections / max(1, e.MaxConnections); used >= 90 {
		list = append(list, warning("Raise max_connections, or lower database.max_connections or the number of workers", "%d of %d connections are taken", e.Connections, e.MaxConnections))
	}
	if e.ClockAhead.Abs() > clockLimit {
		list = append(list, warning("Set both clocks by NTP: timedatectl", "the clocks of the database and of this machine differ by %s", Span(e.ClockAhead.Abs())))
	}
	return list
}

// ofError words an error; the cause is for this person, who runs the service.
func ofError(err error) Finding {
	f, is := fault.Of(err)
	if !is {
		return failed("", "%s", err.Error())
	}
	text := f.Text
	if f.Cause != nil {
		text += " (" + f.Cause.Error() + ")"
	}
	return failed(f.Remedy, "%s", text)
}

// CheckUnits looks at what systemd says.
func CheckUnits() Check {
	return Check{Name: "units", Run: func(ctx context.Context) []Finding {
		f, err := CollectFleet(ctx)
		if err != nil {
			return []Finding{failed("systemctl status", "%s", err)}
		}
		if f == nil {
			return []Finding{skipped("there is no systemd here")}
		}
		return append(units(f), outdated(f)...)
	}}
}

// outdated finds processes whose program was replaced since they began: an upgrade that
// was cut short. Only root can look.
func outdated(f *Fleet) []Finding {
	var list []Finding
	for _, u := range append(slices.Clone(f.Workers), f.Sync) {
		if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", u.PID)); err == nil && strings.HasSuffix(program, " (deleted)") {
			list = append(list, warning("systemctl reload middleware-api && systemctl restart middleware-api-sync", "%s runs the program of before an upgrade", u.Name))
		}
	}
	return list
}

func units(f *Fleet) []Finding {
	if f.Socket.Load == "not-found" {
		return []Finding{skipped("the units of the package are not installed")}
	}
	var list []Finding
	for _, r := range f.reasons() {
		verdict := Warning
		if r.Light == Red {
			verdict = Failed
		}
		list = append(list, Finding{Verdict: verdict, Text: r.Text, Remedy: r.Remedy})
	}
	switch workers := plural(int64(len(f.Workers)), "worker"); {
	case list != nil:
	case f.Sync.Load == "masked":
		list = append(list, ok("%s run; the synchroniser is masked", workers))
	default:
		list = append(list, ok("%s and the synchroniser run", workers))
	}
	return list
}

// exposureLimit is what the shipped units stay below.
const exposureLimit = 1.5

// CheckSandbox asks systemd how much the given units could do if they were
// taken over.
func CheckSandbox(names ...string) Check {
	return Check{Name: "sandbox", Run: func(ctx context.Context) []Finding {
		if !Booted() {
			return []Finding{skipped("there is no systemd here")}
		}
		var list []Finding
		for _, name := range names {
			if takenOut(ctx, name) {
				list = append(list, skipped("%s is masked", name))
				continue
			}
			out, err := exec.CommandContext(ctx, "systemd-analyze", "security", "--no-pager", name).Output()
			if err != nil {
				list = append(list, warning("", "systemd-analyze does not know %s: %s", name, err))
				continue
			}
			list = append(list, sandbox(name, string(out)))
		}
		return list
	}}
}

func sandbox(name, out string) Finding {
	exposure := regexp.MustCompile(`(?m)Overall exposure level for \S+: ([0-9.]+)`)
	m := exposure.FindStringSubmatch(out)
	if m == nil {
		return warning("systemd-analyze security "+name, "systemd-analyze said nothing about %s", name)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > exposureLimit {
		return warning("Remove what loosens it: systemctl cat "+name, "the exposure of %s is %s, more than %.1f", name, m[1], exposureLimit)
	}
	return ok("the exposure of %s is %s", name, m[1])
}

// takenOut tells whether somebody has taken a unit out of this machine.
func takenOut(ctx context.Context, name string) bool {
	out, err := systemctl(ctx, "show", "--property=LoadState", "--value", name)
	return err == nil && strings.TrimSpace(string(out)) == "masked"
}

// CheckListeners connects to every address, as a client would: to those of the
// socket's unit, or, where there is none, of the setting listen.
func CheckListeners(setting ...string) Check {
	return Check{Name: "listeners", Run: func(ctx context.Context) []Finding {
		dialer := net.Dialer{Timeout: 5 * time.Second} // the socket may wait for an address that is elsewhere now
		var list []Finding
		for _, address := range addresses(ctx, systemctl, setting) {
			network, target := "tcp", address
			if path, is := strings.CutPrefix(address, "unix:"); is {
				network, target = "unix", path
			}
			conn, err := dialer.DialContext(ctx, network, target)
			if err != nil {
				list = append(list, failed("systemctl restart "+unitSocket, "nobody listens on %s: %s", address, err))
				continue
			}
			_ = conn.Close()
			list = append(list, ok("%s accepts connections", address))
		}
		return list
	}}
}

// addresses gives where clients are expected. What /etc/default/middleware-api says
// of it is in the unit of the socket only.
func addresses(ctx context.Context, systemctl func(context.Context, ...string) ([]byte, error), setting []string) []string {
	out, err := systemctl(ctx, "show", "--property=Listen", "--value", unitSocket)
	if err != nil {
		return setting
	}
	var list []string
	for line := range strings.Lines(string(out)) { // such as "[::]:443 (Stream)"
		address, _, ok := strings.Cut(strings.TrimSpace(line), " (")
		switch {
		case !ok:
		case strings.HasPrefix(address, "/"):
			list = append(list, "unix:"+address)
		default:
			list = append(list, address)
		}
	}
	if list == nil { // not the package
		return setting
	}
	return list
}

// Days before the end of a certificate from which it is reported.
const (
	certificateWarning = 30
	certificateFailure = 7
)

// CheckCertificates looks at the days left of every certificate in PEM files.
func CheckCertificates(now time.Time, files ...string) Check {
	return Check{Name: "certificates", Run: func(context.Context) []Finding {
		if len(files) == 0 {
			return []Finding{skipped("a proxy ends TLS; look at its certificates there")}
		}
		var list []Finding
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				list = append(list, failed("Let the user of the service read it", "%s cannot be read: %s", file, errors.Unwrap(err)))
				continue
			}
			list = append(list, certificates(file, data, now)...)
		}
		return list
	}}
}

func certificates(file string, data []byte, now time.Time) []Finding {
	var list []Finding
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			list = append(list, failed("", "%s holds a certificate that cannot be read: %s", file, err))
			continue
		}
		list = append(list, certificate(file, c, now))
	}
	if list == nil {
		list = append(list, failed("", "%s holds no certificate", file))
	}
	return list
}

func certificate(file string, c *x509.Certificate, now time.Time) Finding {
	const remedy = "Replace the certificate; the service notices the new file by itself"
	days := int(c.NotAfter.Sub(now).Hours() / 24)
	name := fmt.Sprintf("%s (%s)", c.Subject, file)
	switch {
	case now.After(c.NotAfter):
		return failed(remedy, "%s has expired on %s", name, c.NotAfter.Format(time.DateOnly))
	case now.Before(c.NotBefore):
		return failed("Check the clock: timedatectl", "%s is not valid before %s", name, c.NotBefore.Format(time.DateTime))
	case days < certificateFailure:
		return failed(remedy, "%s ends in %s", name, plural(int64(days), "day"))
	case days < certificateWarning:
		return warning(remedy, "%s ends in %d days", name, days)
	}
	return ok("%s is valid for %d days", name, days)
}

// Free space below which a disk is reported, as a part of it and in bytes.
const (
	diskWarning = 10 // percent
	diskFailure = 2
)

// CheckDisk looks at the space and the inodes left where files are kept. Paths
// that do not exist are judged by the folder they would be made in.
func CheckDisk(paths ...string) Check {
	return Check{Name: "disk", Run: func(context.Context) []Finding {
		var list []Finding
		seen := map[uint64]bool{}
		for _, path := range paths {
			there := existing(path)
			var st unix.Stat_t
			if unix.Stat(there, &st) == nil {
				if seen[st.Dev] {
					continue // one disk is reported once
				}
				seen[st.Dev] = true
			}
			list = append(list, disk(path, there))
		}
		return list
	}}
}

// existing gives the path, or the folder that it would be made in.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

func disk(path, there string) Finding {
	var st unix.Statfs_t
	if err := unix.Statfs(there, &st); err != nil {
		return failed("", "%s cannot be looked at: %s", path, err)
	}
	return space(path, &st)
}

func space(path string, st *unix.Statfs_t) Finding {
	free := st.Bavail * uint64(st.Bsize)
	percent := part(st.Bavail, st.Blocks)
	what := "bytes"
	if st.Files > 0 && part(st.Ffree, st.Files) < percent {
		percent, what = part(st.Ffree, st.Files), "inodes"
	}
	text := fmt.Sprintf("%s has %s free, %d %% of its %s", path, amount(free), percent, what)
	const remedy = "Free or add disk space"
	switch {
	case percent < diskFailure:
		return failed(remedy, "%s", text)
	case percent < diskWarning:
		return warning(remedy, "%s", text)
	}
	return ok("%s", text)
}

func part(of, whole uint64) uint64 {
	if whole == 0 {
		return 100
	}
	return 100 * of / whole
}

// amount words a number of bytes.
func amount(n uint64) string {
	for _, u := range []struct {
		name  string
		shift uint
	}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if n>>u.shift >= 10 {
			return fmt.Sprintf("%d %s", n>>u.shift, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// CheckSecretFiles looks whether files with secrets can be read by others.
// Files that do not exist are fine: they are optional.
func CheckSecretFiles(paths ...string) Check {
	return Check{Name: "secrets", Run: func(context.Context) []Finding {
		var list []Finding
		for _, path := range paths {
			info, err := os.Stat(path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				list = append(list, skipped("%s cannot be looked at by this user", path))
			case info.Mode().Perm()&0o077 != 0:
				list = append(list, failed("chmod 0600 "+path, "%s can be read by others (mode %04o)", path, info.Mode().Perm()))
			default:
				list = append(list, ok("%s is private", path))
			}
		}
		if list == nil {
			list = append(list, skipped("there are no files with secrets"))
		}
		return list
	}}
}

// CheckRemote runs the git store's own check of server, token and group.
func CheckRemote(name string, check func(context.Context) error) Check {
	return Check{Name: "git store", Run: func(ctx context.Context) []Finding {
		if err := check(ctx); err != nil {
			return []Finding{ofError(err)}
		}
		return []Finding{ok("%s can be pushed to", name)}
	}}
}

// What a token needs for projects and for pushing, as the manual says.
var wantedScopes = []string{"api", "write_repository"}

// CheckToken looks at what the access token may do and for how long. Ask is nil
// where nobody can be asked.
func CheckToken(now time.Time, ask func(context.Context) (remote.Token, error)) Check {
	return Check{Name: "token", Run: func(ctx context.Context) []Finding {
		if ask == nil {
			return []Finding{skipped("there is no token, or this user may not read it (root may), or no GitLab that could be asked about it")}
		}
		t, err := ask(ctx)
		if err != nil {
			return []Finding{ofError(err)}
		}
		return token(t, now)
	}}
}

func token(t remote.Token, now time.Time) []Finding {
	var list []Finding
	for _, scope := range wantedScopes {
		// The scope api covers pushing over HTTPS as well; GitLab's words.
		covered := scope == "write_repository" && slices.Contains(t.Scopes, "api")
		if !covered && !slices.Contains(t.Scopes, scope) {
			list = append(list, failed(tokenRemedy(), "the token %q lacks the scope %s; it has: %s", clean(t.Name), scope, clean(strings.Join(t.Scopes, ", "))))
		}
	}
	if list == nil {
		list = append(list, ok("the token %q has the scopes %s", clean(t.Name), clean(strings.Join(t.Scopes, ", "))))
	}
	if t.Expires.IsZero() {
		return append(list, ok("the token has no end"))
	}
	j := judgeToken(store.Token{Name: t.Name, Ends: t.Expires}, now)
	verdict := map[Light]Verdict{Green: OK, Yellow: Warning, Red: Failed}[j.Light]
	return append(list, Finding{Verdict: verdict, Text: "t" + strings.TrimPrefix(j.Text, "T"), Remedy: j.Remedy})
}

// CheckTrial pushes to a branch of its own in a repository that exists and
// removes it again. Where gives the repository, "" if there is none yet.
func CheckTrial(where func(context.Context) (string, error), try func(ctx context.Context, repo string) error) Check {
	return Check{Name: "trial push", Run: func(ctx context.Context) []Finding {
		if try == nil {
			return []Finding{skipped("over GitLab's REST interface (gitlab_api) there is no trial; git_repo has one")}
		}
		repo, err := where(ctx)
		switch {
		case err != nil:
			return []Finding{ofError(err)}
		case repo == "":
			return []Finding{skipped("there is no repository yet; upload an ARC first")}
		}
		if err := try(ctx, repo); err != nil {
			return []Finding{ofError(err)}
		}
		return []Finding{ok("a branch was pushed to %s and removed again", clean(repo))}
	}}
}
