// Package torture tries to break the promises of the service: it runs the real
// programs against a real PostgreSQL and real bare repositories, uploads
// ARCs, kills, freezes and starves whatever runs, and afterwards compares what
// was acknowledged with what is stored and with what is in git.
//
// The package holds tests only. Their short form is part of `make test`; the
// long one is `make torture` (TORTURE_ACKS acknowledged uploads, TORTURE_SEED to
// repeat a run).
package torture
