// Package auth answers who sends a request and for which RDIs the sender may
// speak. The answer comes from a client certificate: from the headers of a
// reverse proxy that ended TLS, or from the connection when TLS ends here.
//
// Headers are believed only from peers that are listed as trusted; from anyone
// else they are ignored, so that whoever can open the port cannot choose a name.
// The package never asks the database and never writes an answer: a refusal is
// a fault whose code the HTTP layer maps to a status.
//
// An Authenticator and a TLS are safe for concurrent use.
package auth
