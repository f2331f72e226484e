package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/report"
)

// outsideLimit is how long a program of the system may take to tell something.
const outsideLimit = 20 * time.Second

// archive is the file of a bundle, with what only root could read.
type archive struct {
	file    *os.File
	files   []report.BundleFile
	secrets []string
}

// openBundle makes the file and reads what the system knows, while this is
// still root; it gives nil, which writes nothing, without a path. The file is
// private, because it tells how the service is set up.
func openBundle(ctx context.Context, path string, c *config.Loaded) (*archive, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no bundle is wanted
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, cli.Exit(cli.ExitCannotCreate, err)
	}
	a := &archive{file: f, secrets: secrets(c)}
	if c != nil {
		var settings bytes.Buffer
		c.Show(&settings)
		a.add("config.txt", settings.Bytes())
	}
	a.add("version.txt", []byte(version+"\n"))
	for name, command := range map[string][]string{
		"journal.txt": {"journalctl", "--no-pager", "-t", "middleware-api", "-n", "2000"},
		"units.txt":   {"systemctl", "--no-pager", "--full", "status", "middleware-api*"},
		"disk.txt":    {"df", "-h"},
		"memory.txt":  {"free", "-m"},
		"os.txt":      {"cat", "/etc/os-release"},
	} {
		limited, cancel := context.WithTimeout(ctx, outsideLimit)
		out, err := exec.CommandContext(limited, command[0], command[1:]...).CombinedOutput()
		cancel()
		if err != nil {
			out = append(out, "\n"+err.Error()+"\n"...)
		}
		a.add(name, out)
	}
	return a, nil
}

func (a *archive) add(name string, data []byte) {
	a.files = append(a.files, report.BundleFile{Name: name, Data: data})
}

// write ends the bundle with what the doctor found.
func (a *archive) write(d *report.Doctor) (err error) {
	if a == nil {
		return nil
	}
	defer func() { err = errors.Join(err, a.file.Close()) }()
	var findings bytes.Buffer
	if err := d.Write(&findings); err != nil {
		return err
	}
	a.add("doctor.txt", findings.Bytes())
	return report.Bundle(a.file, time.Now(), a.files, a.secrets...)
}

// secrets are the texts that must not appear in a bundle.
func secrets(c *config.Loaded) []string {
	if c == nil {
		return nil
	}
	list := []string{c.Database.Password.Reveal()}
	if c.GitRepo != nil {
		list = append(list, c.GitRepo.Token.Reveal())
	}
	if c.GitLabAPI != nil {
		list = append(list, c.GitLabAPI.Token.Reveal())
	}
	return list
}
