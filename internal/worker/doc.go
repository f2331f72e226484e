// Package worker is the life of one HTTP worker under a service manager: it
// takes over the listening sockets, says when it is ready, proves to the
// watchdog that requests are still answered, recycles itself when it is old or
// large, and leaves without failing a request.
//
// It knows net/http and the protocols of sd_listen_fds(3) and sd_notify(3),
// and nothing of ARCs, databases or a web framework. It must never close a
// connection that a client may be about to use, and never end while another
// worker of the host is ending on its own accord.
//
// Run is called once per process; everything else belongs to that call and is
// internally safe for concurrent use.
package worker
