// Package life follows a daemon through its life: it is killed, reloaded, and interfered
// with, while people come and go, and while somebody who is not let in tries the port all the
// time. It holds tests only.
//
// What changes how long they take:
//
//	go test -life.full     for minutes instead of seconds
//	go test -life.clock    set this machine's clock, for less than a second
package life
