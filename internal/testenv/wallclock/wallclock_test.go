package wallclock_test

import (
	"bufio"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/testenv/supervise"
	"github.com/fairagro/middleware-api/internal/testenv/wallclock"
)

func TestMain(m *testing.M) {
	supervise.Main()
	if os.Getenv("WALLCLOCK_CHILD") != "" {
		// Whenever asked: the time of day, and the time that has passed.
		began := time.Now()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Println(time.Now().UnixNano(), time.Since(began).Nanoseconds())
		}
		return
	}
	os.Exit(m.Run())
}

// The time of day of the process is what the test says, at once and in both
// directions, and its monotonic clock knows nothing of it.
func TestTimeOfDayIsSet(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, clock := wallclock.Command(t, self)
	cmd.Env = append(cmd.Env, "WALLCLOCK_CHILD=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out := bufio.NewScanner(stdout)
	for _, ahead := range []time.Duration{0, 48 * time.Hour, -365 * 24 * time.Hour, time.Hour} {
		clock.Set(ahead)
		fmt.Fprintln(stdin)
		if !out.Scan() {
			t.Fatal("the process ended")
		}
		var wall, passed int64
		if _, err := fmt.Sscan(out.Text(), &wall, &passed); err != nil {
			t.Fatalf("%q: %v", out.Text(), err)
		}
		if off := time.Until(time.Unix(0, wall)) - ahead; off.Abs() > 10*time.Second {
			t.Errorf("%s ahead: the time of day is off by %s", ahead, off)
		}
		if time.Duration(passed) > time.Since(began)+time.Second || passed < 0 {
			t.Errorf("%s ahead: %s have passed", ahead, time.Duration(passed))
		}
	}
	_ = stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
