//go:build race

package telemetry_test

// lineAllocations is the limit for one access line: under the race detector
// sync.Pool forgets some of what it is given, on purpose.
const lineAllocations = 4
