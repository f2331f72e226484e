package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/fairagro/middleware-api/internal/config/setting"
)

// DefaultPath is where the package installs the configuration.
const DefaultPath = "/etc/middleware-api/config.yaml"

// PathVariable names the variable that says where the configuration is.
const PathVariable = "MIDDLEWARE_API_CONFIG"

// formerPath is where earlier generations looked, in containers.
const formerPath = "/run/secrets/middleware-api-config"

// Options says where Load finds what it needs. The zero value of each field
// but Role and Path is replaced by what the running process has.
type Options struct {
	Role        Role
	Path        string   // --config; "" searches the usual places
	Environ     []string // nil is the environment of the process
	Secrets     string   // folder of secret files; "" is /run/secrets
	Credentials string   // "" is $CREDENTIALS_DIRECTORY
	Places      []string // files to try without Path; nil for the usual places
}

// Loaded is a configuration with what is known about its origin.
type Loaded struct {
	Config
	// Path is the file that was read, "" when there is none.
	Path string
	// Warnings are for the log; the configuration is usable.
	Warnings []setting.Problem

	table  *setting.Table
	result *setting.Result
}

// Load reads the configuration: from Path, else from the file that
// MIDDLEWARE_API_CONFIG names, else from /etc/middleware-api/config.yaml, else
// the defaults. A file that was named must exist.
//
// The error is a *setting.Invalid with all problems at once. Unless the file
// cannot be read, the result is there even then, for showing.
func Load(o Options) (*Loaded, error) {
	o = o.complete()
	path, data, err := o.file()
	if err != nil {
		return nil, &setting.Invalid{Problems: []setting.Problem{{Source: path, Text: err.Error(), Remedy: readRemedy(err)}}}
	}
	l := &Loaded{Path: path}
	l.table = Table(&l.Config, o.Role)
	if defaultStore(l.table, data, path) {
		localStore(l.table)
	}
	in := setting.Input{Name: path, Data: data, Environ: o.Environ, Secrets: o.Secrets, Credentials: o.Credentials}
	l.result, err = l.table.Read(in)
	var problems []setting.Problem
	if invalid, ok := errors.AsType[*setting.Invalid](err); ok {
		problems = invalid.Problems
	}
	l.Warnings = l.result.Warnings
	problems = append(problems, l.complete(o)...)
	if len(problems) > 0 {
		return l, setting.NewInvalid(problems)
	}
	return l, nil
}

func (o Options) complete() Options {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.Secrets == "" {
		o.Secrets = "/run/secrets"
	}
	if o.Credentials == "" {
		o.Credentials = lookup(o.Environ, "CREDENTIALS_DIRECTORY")
	}
	if o.Places == nil {
		o.Places = []string{DefaultPath, formerPath}
	}
	return o
}

func lookup(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// maxFile bounds what is read as a configuration: a file, not a device.
const maxFile = 4 << 20

func (o Options) file() (path string, data []byte, err error) {
	path = o.Path
	if path == "" {
		path = lookup(o.Environ, PathVariable)
	}
	if path != "" {
		data, err = read(path)
		return path, data, err
	}
	for _, path := range o.Places {
		data, err := read(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return path, data, err
		}
	}
	return "", nil, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", errors.Unwrap(err))
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", errors.Unwrap(err))
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("the configuration is larger than %d bytes", maxFile)
	}
	return data, nil
}

func readRemedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "create it, or name another file with --config or " + PathVariable
	case errors.Is(err, fs.ErrPermission):
		return "let the user of the service read it: chgrp middleware-api FILE && chmod 0640 FILE"
	}
	return ""
}

// defaultStore reports whether the file leaves the git store to the default.
func defaultStore(t *setting.Table, data []byte, name string) bool {
	present := t.Sketch(name, data)
	return !present("git_repo") && !present("gitlab_api")
}

// localStore gives the git_repo section the defaults of a machine without a
// git server, and makes it a section like any other, which variables reach.
func localStore(t *setting.Table) {
	for i := range t.Sections {
		if t.Sections[i].Path == "git_repo" {
			t.Sections[i].Alternative = false
		}
	}
	for i := range t.Settings {
		switch s := &t.Settings[i]; s.Path {
		case "git_repo.url":
			s.Default = defaultRepositories
		case "git_repo.group":
			s.Default = "arcs"
		}
	}
}

// complete does what concerns several settings: it drops the sections that
// are not in use and checks what has to hold between the others.
func (l *Loaded) complete(o Options) []setting.Problem {
	problems := l.stores()
	if !l.result.Present("tls") {
		l.TLS = nil
	}
	l.MaxConcurrentRequests = max(0, l.MaxConcurrentRequests)
	l.uvicorn(o.Environ)
	for _, listen := range l.Listen {
		if text := addressProblem(listen); text != "" {
			problems = append(problems, l.result.At("listen", fmt.Sprintf("%q %s", listen, text), ""))
		}
	}
	if _, _, err := l.Proxies(); err != nil {
		problems = append(problems, l.result.At("trusted_proxies", err.Error(), "give an address, a network such as 10.0.0.0/8, or unix"))
	}
	if l.Sync.BackoffMin > l.Sync.BackoffMax {
		problems = append(problems, l.result.At("sync.backoff_max", "must not be less than sync.backoff_min", ""))
	}
	if l.Admin.OperatorOID == l.ClientAuthOID {
		problems = append(problems, l.result.At("admin.operator_oid", "must not be client_auth_oid: every client would be an operator", ""))
	}
	return problems
}

// stores leaves exactly one git store.
func (l *Loaded) stores() []setting.Problem {
	if l.result.Present("gitlab_api") {
		if l.result.Present("git_repo") {
			return []setting.Problem{l.result.At("git_repo.url", "there are two git stores, git_repo and gitlab_api", "remove one of the sections")}
		}
		l.GitRepo = nil
		return nil
	}
	l.GitLabAPI = nil
	return l.topics()
}

// topics checks and trims the GitLab topics.
func (l *Loaded) topics() []setting.Problem {
	const path = "git_repo.rdi_gitlab_topics"
	trimmed := make(map[string]string, len(l.GitRepo.RDIGitLabTopics))
	for rdi, topic := range l.GitRepo.RDIGitLabTopics {
		rdi, topic = strings.TrimSpace(rdi), strings.TrimSpace(topic)
		if rdi == "" || topic == "" {
			return []setting.Problem{l.result.At(path, "neither an RDI nor its topic may be blank", "")}
		}
		trimmed[rdi] = topic
	}
	l.GitRepo.RDIGitLabTopics = trimmed
	if len(trimmed) == 0 || len(l.KnownRDIs) == 0 {
		return nil
	}
	var problems []setting.Problem
	for _, rdi := range slices.Sorted(maps.Keys(trimmed)) {
		if !slices.Contains(l.KnownRDIs, rdi) {
			problems = append(problems, l.result.At(path, fmt.Sprintf("%q is not among known_rdis", rdi), ""))
		}
	}
	for _, rdi := range l.KnownRDIs {
		if _, ok := trimmed[rdi]; !ok {
			problems = append(problems, l.result.At(path, fmt.Sprintf("has no topic for %q, which is among known_rdis", rdi), ""))
		}
	}
	return problems
}

// uvicorn honours the variables that moved the socket of earlier generations,
// unless listen says where to listen.
func (l *Loaded) uvicorn(environ []string) {
	host, port := lookup(environ, "UVICORN_HOST"), lookup(environ, "UVICORN_PORT")
	if l.result.Given("listen") || host == "" && port == "" {
		return
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "8000"
	}
	l.Listen = []string{net.JoinHostPort(strings.Trim(host, "[]"), port)}
}

// Proxies gives the networks of trusted_proxies and whether peers on unix
// sockets are trusted as well.
func (c *Config) Proxies() (networks []netip.Prefix, unix bool, err error) {
	for _, text := range c.TrustedProxies {
		if text == "unix" {
			unix = true
			continue
		}
		if addr, err := netip.ParseAddr(text); err == nil {
			networks = append(networks, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, false, fmt.Errorf("%q is neither an address nor a network", text)
		}
		networks = append(networks, network)
	}
	return networks, unix, nil
}

// Show writes the values in force, each with its origin, secrets masked.
func (l *Loaded) Show(w io.Writer) { l.table.Show(w, l.result) }

// Values lists every setting in force, without secrets.
func (l *Loaded) Values() []setting.InForce { return l.table.Values(l.result) }
