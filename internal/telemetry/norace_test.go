//go:build !race

package telemetry_test

// lineAllocations is the limit for one access line.
const lineAllocations = 1
