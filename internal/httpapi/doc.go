// Package httpapi is what clients see: the routes of the generations v1, v2 and
// v3, with the statuses, bodies, header rules and order of checks on which the
// clients in the field rely, and our additions to v3.
//
// It knows HTTP and JSON and nothing of SQL or git: what a request wants is done
// by package ingest, and what went wrong arrives as a fault, which one table
// turns into a status. A 2xx that claims something is stored is written only
// after ingest said it is committed. The package opens no listener and starts no
// process-wide machinery; package worker serves its handler and gives up on
// clients that do not take their answers.
//
// An API is safe for concurrent use. Every goroutine it starts belongs to one
// request and ends before that request's answer.
package httpapi
