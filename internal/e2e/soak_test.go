package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/testenv/trend"
)

// soakWorkers is the size of the fleet; soakClients is how many upload.
const soakWorkers, soakClients = 3, 8

// soakPatience is how much longer it may last until enough was seen.
const soakPatience = 10 * time.Minute

// soakTime is how long the soak lasts.
func soakTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("SOAK_TIME")); err == nil {
		return d
	}
	return 20 * time.Second
}

// At half of what it can take in, with workers that recycle themselves, neither
// memory nor descriptors nor goroutines of any process grow, and no upload fails.
func TestSoak(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	lasts := soakTime()
	b.fleet(soakWorkers)
	b.configure(fmt.Sprintf("worker: {max_age: %s}", max(lasts/20, 5*time.Second)))
	b.untilWorkers(soakWorkers)

	full := b.load(loadKind{uploader, soakClients, 0})
	began := full.seen()
	start := time.Now()
	for time.Since(start) < lasts/10 {
		full.seen()
	}
	capacity := float64(full.total-began) / time.Since(start).Seconds()
	full.flawless("full load")
	t.Logf("capacity %.0f uploads per second, half of it for %s", capacity, lasts)

	r := b.load(loadKind{uploader, soakClients, time.Duration(soakClients / (capacity / 2) * float64(time.Second))})
	samples := map[string][]trend.Sample{}
	first := map[string]string{}
	recycled := 0
	tick := time.NewTicker(lasts / 60)
	defer tick.Stop()
	enough := func() bool { // on a slow machine a look takes longer than a tick
		for _, seen := range samples {
			if len(seen) < trend.Least {
				return false
			}
		}
		return len(samples) == soakWorkers+1
	}
	for start = time.Now(); time.Since(start) < lasts || !enough() && time.Since(start) < lasts+soakPatience; <-tick.C {
		for unit, text := range b.usage() {
			pid, s, err := parseUsage(text)
			if err != nil {
				continue // it is being replaced
			}
			s.At = time.Since(start)
			samples[unit] = append(samples[unit], s)
			if before, seen := first[unit]; seen && before != pid {
				recycled++
			}
			first[unit] = pid
		}
	}
	r.flawless("half load")
	if recycled == 0 {
		t.Error("no worker was recycled")
	}
	t.Logf("%d workers were recycled", recycled)
	for unit := range first {
		trend.Flat(t, unit, samples[unit], map[string]float64{"memory MB": 24, "descriptors": 12, "goroutines": 30})
	}
	if len(first) != soakWorkers+1 {
		t.Errorf("%d processes were watched, want workers and synchroniser", len(first))
	}
}

// usage asks what the processes of the service use: process, resident memory in
// kB, descriptors and goroutines by unit.
func (b *box) usage() map[string]string {
	b.tb.Helper()
	out := b.sh(`for u in $(systemctl list-units --plain --no-legend --state=active 'middleware-api@*.service' middleware-api-sync.service | awk '{print $1}'); do
		case $u in *@*) n=${u#*@}; s=/run/middleware-api/admin-${n%.service}.sock ;; *) s=/run/middleware-api-sync/admin-sync.sock ;; esac
		p=$(systemctl show -p MainPID --value "$u")
		echo "$u $p $(awk '/^VmRSS/ { print $2 }' /proc/$p/status) $(ls /proc/$p/fd | wc -l) $(curl -sS --max-time 5 --unix-socket "$s" http://admin/metrics | awk '/^go_goroutines/ { print $NF }')"
	done 2>/dev/null || true`)
	units := map[string]string{}
	for line := range strings.Lines(out) {
		unit, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		units[strings.TrimSuffix(unit, ".service")] = text
	}
	return units
}

func parseUsage(text string) (pid string, s trend.Sample, err error) {
	fields := strings.Fields(text)
	if len(fields) != 4 {
		return "", s, fmt.Errorf("%q is not what a process uses", text)
	}
	var n [3]float64
	for i, field := range fields[1:] {
		if n[i], err = strconv.ParseFloat(field, 64); err != nil {
			return "", s, err
		}
	}
	s.Value = map[string]float64{"memory MB": n[0] / 1024, "descriptors": n[1], "goroutines": n[2]}
	return fields[0], s, nil
}
