package report

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// shown is what systemctl show of systemd 252 prints for a pool of two, one of
// which was killed by the watchdog.
const shown = `MainPID=0
Result=success
NRestarts=0
Id=middleware-api.socket
LoadState=loaded
ActiveState=active
SubState=running
ActiveEnterTimestamp=@1700000000

MainPID=0
Result=success
Id=middleware-api.service
PropagatesStopTo=middleware-api@1.service middleware-api@2.service
LoadState=loaded
ActiveState=active
SubState=exited
MemoryCurrent=[not set]

MainPID=12
Result=success
Id=middleware-api-sync.service
LoadState=loaded
ActiveState=inactive
SubState=dead

MainPID=10
Result=success
NRestarts=3
Id=middleware-api@1.service
LoadState=loaded
ActiveState=active
SubState=running
StatusText=serving: 12 requests
MemoryCurrent=10485760
ActiveEnterTimestamp=@1700000000

MainPID=0
Result=watchdog
NRestarts=1
Id=middleware-api@2.service
LoadState=loaded
ActiveState=activating
SubState=auto-restart
MemoryCurrent=18446744073709551615
`

func fleetOf(tb testing.TB, out string) *Fleet {
	tb.Helper()
	f, err := collectFleet(tb.Context(), func(context.Context, ...string) ([]byte, error) { return []byte(out), nil })
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// Every unit that does not do what it should is a reason, with the remedy.
func TestFleetTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := fleetOf(t, shown)
	if f.Wanted != 2 || len(f.Workers) != 2 || f.Workers[0].Memory != 10<<20 || f.Workers[0].Restarts != 3 || f.Workers[1].Memory != 0 {
		t.Errorf("fleet %+v", f)
	}
	var got []string
	for _, r := range f.reasons() {
		got = append(got, string(r.Light)+" "+r.Text)
	}
	want := "yellow middleware-api@2.service does not run: watchdog.\nyellow 1 of 2 workers run.\nred The synchroniser does not run; nothing is pushed."
	if strings.Join(got, "\n") != want {
		t.Errorf("reasons\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	var out strings.Builder
	f.write(&out, time.Unix(1700000000, 0).Add(90*time.Minute))
	if !strings.Contains(out.String(), "middleware-api@1.service\tactive (running)\t1 h 30 min\t10 MiB\t3\tserving: 12 requests") {
		t.Errorf("written:\n%s", out.String())
	}
}

// A closed socket, or a pool without workers, is red.
func TestFleetThatServesNobodyIsRed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, replacement, want string }{
		{"LoadState=loaded\nActiveState=active\nSubState=running\nActiveEnterTimestamp", "LoadState=loaded\nActiveState=failed\nSubState=failed\nActiveEnterTimestamp", "The socket is not open; nobody can connect."},
		{"ActiveState=active\nSubState=running\nStatusText", "ActiveState=failed\nSubState=failed\nStatusText", "No worker runs; requests wait."},
	} {
		changed := strings.Replace(shown, c.old, c.replacement, 1)
		if changed == shown {
			t.Fatalf("nothing was changed by %q", c.old)
		}
		found := false
		for _, r := range fleetOf(t, changed).reasons() {
			found = found || r.Light == Red && r.Text == c.want
		}
		if !found {
			t.Errorf("no red reason %q", c.want)
		}
	}
}

// A synchroniser that was taken out of this machine is nothing to mend, and nobody says
// that it runs, neither we nor the last words of the one that was there.
func TestFleetWithoutItsSynchroniser(t *testing.T) {
	t.Parallel()
	masked := strings.NewReplacer("LoadState=loaded\nActiveState=inactive\nSubState=dead", "LoadState=masked\nActiveState=inactive\nSubState=dead\nStatusText=serving: up 8m",
		"Result=watchdog", "Result=success", "ActiveState=activating\nSubState=auto-restart", "ActiveState=active\nSubState=running").Replace(shown)
	f := fleetOf(t, masked)
	if got := units(f); len(got) != 1 || got[0].Verdict != OK || got[0].Text != "2 workers run; the synchroniser is masked" {
		t.Errorf("units: %+v", got)
	}
	if f.Sync.Status != "" {
		t.Errorf("status of a process that has ended: %q", f.Sync.Status)
	}
}

// Where there is no systemd there is no fleet, and no error either; another
// failure is one.
func TestFleetWithoutSystemd(t *testing.T) {
	t.Parallel()
	broken := errors.New("timeout")
	if _, err := collectFleet(t.Context(), func(context.Context, ...string) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 s", 400 * time.Millisecond: "0 s", 59 * time.Second: "59 s", time.Minute: "1 min", 61 * time.Second: "1 min 1 s",
		time.Hour + time.Second: "1 h", 26 * time.Hour: "1 d 2 h", 49*time.Hour + 5*time.Minute: "2 d 1 h",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// The exposure of a unit is read from what systemd-analyze prints.
func TestSandboxReadsTheExposure(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]Verdict{
		"→ Overall exposure level for x.service: 1.1 OK 🙂\n":     OK,
		"→ Overall exposure level for x.service: 9.6 UNSAFE 😨\n": Warning,
		"": Warning,
	} {
		if got := sandbox("x.service", out); got.Verdict != want {
			t.Errorf("%q: %+v, want %s", out, got, want)
		}
	}
}
