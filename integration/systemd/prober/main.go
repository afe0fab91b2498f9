//go:build linux

// Command prober asks ports of a host, again and again, whether anybody answers.
//
//	prober [-every 2ms] SOURCE ADDRESS PORT...
//
// A port behind a door that is shut, and drops, answers nothing at all: no SYN-ACK and
// no RST either. So each answer is a packet that got in, whether or not a program
// listened there, and is a line on stdout: the port, and CLOCK_MONOTONIC in microseconds
// as systemd counts it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	timeout  = 200 * time.Millisecond // with no answer
	courtesy = 100                    // times as long to a server that is there: it has to serve others too
)

var every = flag.Duration("every", 2*time.Millisecond, "how often each port is asked: a slow machine takes less")

func main() {
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: prober [-every 2ms] SOURCE ADDRESS PORT...")
	}
	flag.Parse()
	if flag.NArg() < 3 {
		flag.Usage()
		os.Exit(2)
	}
	source, address, ports := flag.Arg(0), flag.Arg(1), flag.Args()[2:]
	dialer := &net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)},
		Timeout:   timeout,
	}
	for _, port := range ports[1:] {
		go probe(dialer, address, port)
	}
	probe(dialer, address, ports[0])
}

func probe(dialer *net.Dialer, address, port string) {
	welcome := make(chan struct{}, 1)
	for range time.Tick(*every) {
		select {
		case <-welcome:
			time.Sleep(courtesy * *every)
		default:
		}
		go func() {
			err := ask(dialer, net.JoinHostPort(address, port))
			if err != nil && !errors.Is(err, unix.ECONNREFUSED) {
				return
			}
			// One write each: lines of several probes don't mix.
			os.Stdout.WriteString(fmt.Sprintf("%s %d\n", port, monotonic()))
			if err == nil {
				select {
				case welcome <- struct{}{}:
				default:
				}
			}
		}()
	}
}

func ask(dialer *net.Dialer, address string) error {
	c, err := dialer.Dial("tcp", address)
	if err != nil {
		return err
	}
	c.(*net.TCPConn).SetLinger(0) // a reset: nothing is left waiting
	return c.Close()
}

func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return now.Nano() / 1e3
}
