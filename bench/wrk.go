package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// wrk asks for a path with many clients, by the program of that name, which
// costs a few microseconds a request.
func wrk(ctx context.Context, url string, clients int, d time.Duration) (outcome, error) {
	seconds := max(1, int(d.Round(time.Second)/time.Second))
	//nolint:gosec // G204: the address is our own
	out, err := exec.CommandContext(ctx, "wrk", "-t", "1", "-c", strconv.Itoa(clients), "-d", strconv.Itoa(seconds)+"s",
		"--timeout", "30s", "--latency", url).CombinedOutput()
	if err != nil {
		return outcome{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return parseWrk(string(out))
}

var (
	wrkTotal   = regexp.MustCompile(`(\d+) requests in ([\d.]+\w+),`)
	wrkQuartil = regexp.MustCompile(`(?m)^\s+(50|75|90|99)%\s+([\d.]+\w+)`)
)

// parseWrk reads the report. Of the latencies only four quantiles are known;
// they stand for the hundred parts.
func parseWrk(out string) (o outcome, err error) {
	if strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
		return o, fmt.Errorf("requests failed:\n%s", out)
	}
	m := wrkTotal.FindStringSubmatch(out)
	if m == nil {
		return o, fmt.Errorf("wrk says something unknown:\n%s", out)
	}
	if o.done, err = strconv.Atoi(m[1]); err != nil {
		return o, err
	}
	if o.elapsed, err = time.ParseDuration(m[2]); err != nil {
		return o, err
	}
	for _, q := range wrkQuartil.FindAllStringSubmatch(out, -1) {
		percent, _ := strconv.Atoi(q[1])
		d, err := time.ParseDuration(q[2])
		if err != nil {
			return o, err
		}
		for len(o.latencies) <= percent {
			o.latencies = append(o.latencies, d)
		}
	}
	return o, nil
}
