// Package e2e proves the package in a booted systemd: an overlay of this
// machine's own root, booted as a container without a network, in which apt
// installs what packaging/build-deb.sh has built. It has no code but tests and
// needs root; everything it starts and mounts lives in namespaces of its own
// and dies with the test process.
//
// With E2E_LONG set the scenarios run until each has seen 100,000 requests; the
// soak lasts for SOAK_TIME.
package e2e
