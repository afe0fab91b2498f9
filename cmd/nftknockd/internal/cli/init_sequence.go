package cli

import (
	"crypto/rand"
	"errors"
	"math/big"
	"slices"

	"nftknock/config"
	"nftknock/knock"
)

// knocks is how long a drawn sequence is: with some thirty thousand ports to choose
// from, sixty bits.
const knocks = 4

var errFewPorts = errors.New("too few ports are left to knock on: " +
	"between 1025 and 65535 nearly all are in /proc/sys/net/ipv4/ip_local_port_range, or something listens there")

// knockable returns the TCP ports that a sequence can be made of, one that opens the
// door. TCP, because every program that can connect can knock it.
func knockable(door *knock.Door, host config.Host) []knock.Port {
	first, last := host.EphemeralFirst, host.EphemeralLast
	if last == 0 {
		first, last = 32768, 60999 // Linux's own, where the host does not show its
	}
	var ports []knock.Port
	for n := 1025; n <= 65535; n++ {
		p := knock.Port{Number: uint16(n), Proto: knock.TCP}
		if (p.Number < first || p.Number > last) && !host.Listening[p] && !slices.Contains(door.Ports, p) {
			ports = append(ports, p)
		}
	}
	return ports
}

// draw draws a sequence of different ports.
func draw(from []knock.Port) ([]knock.Port, error) {
	if len(from) < 1000 { // forty bits
		return nil, errFewPorts
	}
	var sequence []knock.Port
	for len(sequence) < knocks {
		i, err := rand.Int(rand.Reader, big.NewInt(int64(len(from))))
		if err != nil {
			return nil, err
		}
		if p := from[i.Int64()]; !slices.Contains(sequence, p) {
			sequence = append(sequence, p)
		}
	}
	return sequence, nil
}
