// Package control is the administrator's way into a running nftknockd: HTTP and
// JSON over a Unix socket, a server for the daemon and a client for the commands
// around it. CONTROL.md describes what goes over the socket.
//
//	status open close reload ──→ Client ──→ socket ──→ Server ──→ Daemon
//	watch                    ←── Client ←── socket ←── Server ←── Hub ←── events
//
// The server bounds what it takes in and whom it waits for. Events are handed to
// a [Hub], which never waits: the daemon does not stand still because somebody
// watches it.
package control
