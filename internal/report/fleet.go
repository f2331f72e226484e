package report

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fleet is what systemd knows of the service.
type Fleet struct {
	Socket  Unit   `json:"socket"`
	Pool    Unit   `json:"pool"`
	Sync    Unit   `json:"sync"`
	Workers []Unit `json:"workers"`
	Wanted  int    `json:"wanted"` // workers that the pool shall have
}

// Unit is one unit of systemd.
type Unit struct {
	Name     string    `json:"name"`
	Load     string    `json:"load"`
	Active   string    `json:"active"`
	Sub      string    `json:"sub"`
	Result   string    `json:"result"`
	Status   string    `json:"status,omitempty"` // what the process says about itself
	PID      int       `json:"pid,omitempty"`
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since,omitzero"`
	Memory   uint64    `json:"memory,omitempty"` // bytes
	wanted   string
}

const (
	unitSocket = "middleware-api.socket"
	unitPool   = "middleware-api.service"
	unitSync   = "middleware-api-sync.service"
	unitWorker = "middleware-api@"
)

// errNoSystemd says that there is nothing to look at.
var errNoSystemd = errors.New("this system was not started by systemd")

// systemctlLimit is for a manager that is busy; one that hangs must not make
// a report hang.
const systemctlLimit = 10 * time.Second

// CollectFleet asks systemd for the units of the service. It gives nil without
// an error where there is no systemd.
func CollectFleet(ctx context.Context) (*Fleet, error) {
	f, err := collectFleet(ctx, systemctl)
	if errors.Is(err, errNoSystemd) {
		return nil, nil //nolint:nilnil // no fleet is an answer
	}
	return f, err
}

// Booted tells whether systemd runs this machine, as sd_booted(3) does.
func Booted() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

func systemctl(ctx context.Context, args ...string) ([]byte, error) {
	if !Booted() {
		return nil, errNoSystemd
	}
	ctx, cancel := context.WithTimeout(ctx, systemctlLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("systemctl %s: %w", args[0], err)
	}
	return out, nil
}

func collectFleet(ctx context.Context, systemctl func(context.Context, ...string) ([]byte, error)) (*Fleet, error) {
	out, err := systemctl(ctx, "show", "--timestamp=unix",
		"--property=Id,LoadState,ActiveState,SubState,Result,StatusText,MainPID,NRestarts,ActiveEnterTimestamp,MemoryCurrent,PropagatesStopTo",
		unitSocket, unitPool, unitSync, unitWorker+"*.service")
	if err != nil {
		return nil, err
	}
	f := &Fleet{Workers: []Unit{}}
	for _, u := range parseUnits(out) {
		switch {
		case u.Name == unitSocket:
			f.Socket = u
		case u.Name == unitPool:
			f.Pool = u
			f.Wanted = len(strings.Fields(u.wanted))
		case u.Name == unitSync:
			f.Sync = u
		case strings.HasPrefix(u.Name, unitWorker):
			f.Workers = append(f.Workers, u)
		}
	}
	slices.SortFunc(f.Workers, func(a, b Unit) int { return cmp.Or(len(a.Name)-len(b.Name), strings.Compare(a.Name, b.Name)) })
	return f, nil
}

// parseUnits reads what systemctl show prints: properties, one per line, with
// an empty line between units.
func parseUnits(out []byte) []Unit {
	var units []Unit
	var u Unit
	flush := func() {
		if u.Active == "inactive" { // the words of a process that has ended
			u.Status = ""
		}
		if u.Name != "" {
			units = append(units, u)
		}
		u = Unit{}
	}
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if scanner.Text() == "" {
			flush()
			continue
		}
		key, value, _ := strings.Cut(scanner.Text(), "=")
		u.set(key, value)
	}
	flush()
	return units
}

func (u *Unit) set(key, value string) {
	switch key {
	case "Id":
		u.Name = value
	case "LoadState":
		u.Load = value
	case "ActiveState":
		u.Active = value
	case "SubState":
		u.Sub = value
	case "Result":
		u.Result = value
	case "StatusText":
		u.Status = clean(value)
	case "PropagatesStopTo":
		u.wanted = value
	case "MainPID":
		u.PID, _ = strconv.Atoi(value)
	case "NRestarts":
		u.Restarts, _ = strconv.Atoi(value)
	case "ActiveEnterTimestamp":
		if seconds, err := strconv.ParseInt(strings.TrimPrefix(value, "@"), 10, 64); err == nil && seconds > 0 {
			u.Since = time.Unix(seconds, 0)
		}
	case "MemoryCurrent":
		if n, err := strconv.ParseUint(value, 10, 64); err == nil && n != ^uint64(0) { // [not set]
			u.Memory = n
		}
	}
}

// reasons finds what is wrong with the units.
func (f *Fleet) reasons() []Reason {
	var list []Reason
	if f.Socket.Active != "active" {
		list = append(list, Reason{Red, "The socket is not open; nobody can connect.", "systemctl reset-failed 'middleware-api*'; systemctl start " + unitSocket})
	}
	up := 0
	for _, u := range f.Workers {
		if u.Active == "active" {
			up++
		} else if u.Result != "" && u.Result != "success" {
			list = append(list, Reason{Yellow, fmt.Sprintf("%s does not run: %s.", u.Name, u.Result), "journalctl -u " + u.Name})
		}
	}
	switch {
	case f.Pool.Active == "active" && up == 0:
		list = append(list, Reason{Red, "No worker runs; requests wait.", "systemctl status 'middleware-api@*'; middleware-api check"})
	case f.Pool.Active == "active" && up < f.Wanted:
		list = append(list, Reason{Yellow, fmt.Sprintf("%d of %d workers run.", up, f.Wanted), "systemctl status 'middleware-api@*'"})
	}
	if f.Sync.Load == "loaded" && f.Sync.Active != "active" {
		list = append(list, Reason{Red, "The synchroniser does not run; nothing is pushed.", "systemctl start " + unitSync + "; journalctl -u " + unitSync})
	}
	return list
}

func (f *Fleet) write(w io.Writer, now time.Time) {
	fmt.Fprintln(w, "\nunit\tstate\tfor\tmemory\trestarts\tstatus")
	for _, u := range append([]Unit{f.Socket, f.Sync}, f.Workers...) {
		if u.Name == "" {
			continue
		}
		age, memory := "-", "-"
		if u.Active == "active" && !u.Since.IsZero() {
			age = Span(now.Sub(u.Since))
		}
		if u.Memory > 0 {
			memory = fmt.Sprintf("%d MiB", u.Memory>>20)
		}
		fmt.Fprintf(w, "%s\t%s (%s)\t%s\t%s\t%d\t%s\n", u.Name, u.Active, u.Sub, age, memory, u.Restarts, u.Status)
	}
}
