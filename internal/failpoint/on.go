//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Variables of the environment. The plan has the form POINT=DO,DO,… with DO one
// of crash, stop, delay and fail: what happens at the first time that any process gets
// to the point, at the second time, and so on; afterwards nothing does. The
// folder is how the processes count together: it holds a file POINT.N for each
// time, with the number of the process in it.
const (
	PlanVariable   = "FAILPOINT_PLAN"
	FolderVariable = "FAILPOINT_DIR"
)

// delay is longer than the shortest lease.
const delay = 1500 * time.Millisecond

type plan struct {
	point  Point
	do     []string
	folder string
}

var read = sync.OnceValue(func() plan {
	point, do, ok := strings.Cut(os.Getenv(PlanVariable), "=")
	if !ok {
		return plan{}
	}
	return plan{Point(point), strings.Split(do, ","), os.Getenv(FolderVariable)}
})

// Hit passes a point. If the plan says so it does not return, returns late, or
// gives the error of a connection that broke.
func Hit(p Point) error {
	now := read()
	if p != now.point {
		return nil
	}
	for n, do := range now.do {
		f, err := os.OpenFile(filepath.Join(now.folder, string(p)+"."+strconv.Itoa(n)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			continue // has happened
		}
		_, _ = fmt.Fprintf(f, "%s %d\n", do, os.Getpid())
		_ = f.Close()
		switch do {
		case "crash":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		case "stop":
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		case "delay":
			<-time.After(delay)
		case "fail":
			return fmt.Errorf("failpoint %s: %w", p, syscall.ECONNRESET)
		}
		return nil
	}
	return nil
}
