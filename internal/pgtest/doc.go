// Package pgtest gives tests a real PostgreSQL: Debian's own server, started
// privately by the test process and gone with it, however the process ends.
//
// [DSN] is what most tests want: an own, migrated database in a cluster that
// all tests of the process share (durability switched off, for speed). [Start]
// is for fault tests: a cluster of the test's own that can be stopped, killed
// with SIGKILL and started again, by default with durability as in production.
//
// If the environment variable PGTEST_DSN is set, [DSN] and [Empty] use that
// cluster instead of starting one, so that the test processes of several
// packages can share it.
//
// It must never listen on a network port, run a server as root, or leave a
// process or a file behind. All functions are safe for parallel tests.
package pgtest
