package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// This file is for commands that a person types. On a server that person is
// root, and root is nobody to PostgreSQL, has no business in the git
// repositories, and is given no credentials by systemd.

// The users of the package; see middleware-api.sysusers.
const (
	userService = "middleware-api"
	userSync    = "middleware-api-sync"
)

// credentialsFolder is where the units get their credentials from.
const credentialsFolder = "/etc/middleware-api/credentials" //nolint:gosec // a folder, no credential

// loadByHand reads the configuration for a command that a person typed, with the
// secrets that the units are given, if that person may read them.
func loadByHand(path string, role config.Role) (*config.Loaded, error) {
	c, err := readByHand(path, role)
	if err != nil {
		return c, cli.Exit(cli.ExitConfig, err)
	}
	return c, nil
}

func readByHand(path string, role config.Role) (*config.Loaded, error) {
	o := config.Options{Role: role, Path: path}
	if os.Getenv("CREDENTIALS_DIRECTORY") == "" {
		if _, err := os.ReadDir(credentialsFolder); err == nil {
			o.Credentials = credentialsFolder
		}
	}
	return config.Load(o)
}

// actor is who typed a command, for the audit trail.
func actor() store.Actor {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if as := os.Getenv("SUDO_USER"); as != "" && name == "root" {
		name = as + " (root)"
	}
	return store.Actor{Subject: "local user " + name}
}

// become gives up root for the given user of the package, if this is root and the
// units of the package run here. From then on everything is as the service sees
// it: database, which takes his name where the configuration gives none,
// repositories, files.
func become(name string) error {
	if os.Geteuid() != 0 || !report.Booted() {
		return nil
	}
	u, err := user.Lookup(name)
	if errors.As(err, new(user.UnknownUserError)) {
		return nil // not the package
	}
	if err != nil {
		return fmt.Errorf("look up the user of the service: %w", err)
	}
	g, err := user.LookupGroup(userService)
	if err != nil {
		return fmt.Errorf("look up the group of the service: %w", err)
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(g.Gid)
	err = errors.Join(errUID, errGID)
	if err == nil {
		err = cmp.Or(syscall.Setgroups([]int{gid}), syscall.Setresgid(gid, gid, gid), syscall.Setresuid(uid, uid, uid))
	}
	if err != nil {
		return fmt.Errorf("become the user %s: %w", name, err)
	}
	// What looks at these would go on as root.
	return errors.Join(os.Setenv("HOME", u.HomeDir), os.Setenv("PGUSER", cmp.Or(os.Getenv("PGUSER"), name)))
}
