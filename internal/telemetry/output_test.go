package telemetry_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairagro/middleware-api/internal/telemetry"
)

// readers are what lines go to that somebody has to read: a pipe, and a stream
// as the journal hands it to a service.
func readers(tb testing.TB) map[string]func() (r, w *os.File) {
	tb.Helper()
	open := func(r, w *os.File) (*os.File, *os.File) {
		tb.Cleanup(func() { _, _ = r.Close(), w.Close() })
		return r, w
	}
	return map[string]func() (r, w *os.File){
		"pipe": func() (*os.File, *os.File) {
			r, w, err := os.Pipe()
			if err != nil {
				tb.Fatal(err)
			}
			return open(r, w)
		},
		"stream": func() (*os.File, *os.File) {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				tb.Fatal(err)
			}
			return open(os.NewFile(uintptr(pair[0]), "reader"), os.NewFile(uintptr(pair[1]), "writer"))
		},
	}
}

// soon fails a test in which something does not end.
func soon(tb testing.TB, what string, do func()) {
	tb.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		tb.Fatalf("%s does not end", what)
	}
}

// say logs numbered access lines.
func say(l *telemetry.Logging, from, to int) {
	for i := from; i < to; i++ {
		l.Access.Log(&telemetry.Access{
			Time: time.Now(), Remote: "192.0.2.1", Method: http.MethodGet, URI: "/" + strconv.Itoa(i), Proto: "HTTP/1.1", Status: 200,
		})
	}
}

// numbers gives the numbers of access lines, which must ascend, and the other lines.
func numbers(tb testing.TB, r io.Reader) (n []int, others string) {
	tb.Helper()
	for s := bufio.NewScanner(r); s.Scan(); {
		_, rest, ok := strings.Cut(s.Text(), `"GET /`)
		if !ok {
			others += s.Text() + "\n"
			continue
		}
		number, _, _ := strings.Cut(rest, " ")
		i, err := strconv.Atoi(number)
		if err != nil || len(n) > 0 && i <= n[len(n)-1] {
			tb.Fatalf("line %q after number %v: %v", s.Text(), n[max(0, len(n)-1):], err)
		}
		n = append(n, i)
	}
	return n, others
}

// settle waits until all is taken, each time for as long as the end of a process does.
func settle(l *telemetry.Logging) {
	for range 20 {
		l.Close()
	}
}

// A reader that hangs holds up nobody. When it goes on it gets the lines that were
// first, room for what is not an access line was left, and the number of those that
// are lost is told.
func TestAReaderThatHangsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for name, open := range readers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const many, afterwards = 30_000, 10 // lines; several times what is kept
			r, w := open()
			l := telemetry.New(telemetry.Options{Format: telemetry.FormatText, Output: w})
			soon(t, "logging", func() {
				say(l, 0, many)
				l.Logger.Warn("trouble meanwhile")
			})
			soon(t, "the end", l.Close)

			var got []int
			var others string
			read := make(chan struct{})
			go func() { defer close(read); got, others = numbers(t, r) }()
			soon(t, "catching up", func() {
				settle(l)
				say(l, many, many+afterwards)
				settle(l)
			})
			_ = w.Close()
			<-read
			lost := 0
			for line := range strings.Lines(others) {
				if _, n, ok := strings.Cut(line, "lines="); ok {
					k, err := strconv.Atoi(strings.TrimSpace(n))
					if err != nil {
						t.Fatal(err)
					}
					lost += k
				}
			}
			if !strings.Contains(others, "trouble meanwhile") {
				t.Errorf("a warning was lost; beside access lines there are:\n%s", others)
			}
			if lost == 0 || len(got)+lost != many+afterwards {
				t.Errorf("%d lines read, %d told to be lost, of %d", len(got), lost, many+afterwards)
			}
			if last := got[len(got)-1]; got[1000] != 1000 || last != many+afterwards-1 {
				t.Errorf("the thousandth line is %d, the last one is %d; want the first lines and those after the pause", got[1000], last)
			}
		})
	}
}

// A reader that is only slower than those who log loses nothing.
func TestASlowReaderLosesNothing(t *testing.T) {
	t.Parallel()
	for name, open := range readers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const many = 60_000
			r, w := open()
			l := telemetry.New(telemetry.Options{Format: telemetry.FormatText, Output: w})
			go func() {
				say(l, 0, many)
				settle(l)
				_ = w.Close()
			}()
			slow := &slowly{r: r, last: time.Now()}
			got, others := numbers(t, bufio.NewReaderSize(slow, 1<<10))
			// On a busy machine this reader may itself have to wait for so long that it seems to hang.
			if (len(got) != many || others != "") && slow.longest < 100*time.Millisecond {
				t.Errorf("%d lines of %d, and:\n%s", len(got), many, others)
			}
		})
	}
}

// slowly reads little at a time, and notes the longest time between two reads.
type slowly struct {
	r       io.Reader
	last    time.Time
	longest time.Duration
}

func (s *slowly) Read(p []byte) (int, error) {
	s.longest = max(s.longest, time.Since(s.last))
	n, err := s.r.Read(p[:min(len(p), 512)])
	s.last = time.Now()
	return n, err
}

// A journal that hangs holds up nobody either: records that it does not take go
// where lines go.
func TestAJournalThatHangsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const many = 2_000 // records, more than a socket holds
	j := newJournald(t)
	out, logged := output(t)
	l := telemetry.New(telemetry.Options{Format: telemetry.FormatJournal, Output: out, Socket: j.socket})
	log := func(i int) { l.Logger.Info("pushed", "arc_id", fmt.Sprint("arc-", i)) }
	soon(t, "logging", func() {
		for i := range many {
			log(i)
		}
	})
	lines := strings.Count(logged(), "\n")
	for i := range many - lines {
		if fields, _ := j.receive(); fields["ARC_ID"] != fmt.Sprint("arc-", i) {
			t.Fatalf("record %d is about %q", i, fields["ARC_ID"])
		}
	}
	if lines == 0 || lines == many {
		t.Errorf("%d of %d records became lines", lines, many)
	}
	log(many)
	if fields, _ := j.receive(); fields["ARC_ID"] != fmt.Sprint("arc-", many) {
		t.Errorf("the record after the pause is about %q", fields["ARC_ID"])
	}
}

// Who cannot log because nobody will ever read is not ended by that either, as long
// as it is a stream that was closed at its other end.
func TestAStreamThatWasClosed(t *testing.T) {
	t.Parallel()
	r, w := readers(t)["stream"]()
	l := telemetry.New(telemetry.Options{Format: telemetry.FormatText, Output: w})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	soon(t, "logging", func() {
		say(l, 0, 1000)
		l.Logger.Log(t.Context(), slog.LevelError, "trouble")
		l.Close()
	})
}
