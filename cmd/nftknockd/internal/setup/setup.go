// Package setup makes what a gate begins with: a configuration with a random sequence, the
// secrets of one-time codes, and the client's side of a door.
package setup

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"nftknock/config"
	"nftknock/knock"
)

// AddDoor draws the door's sequence, and returns the configuration with the door, about
// whose sequence nothing is to be warned. One that is empty so far gets a heading.
func AddDoor(name string, before []byte, door *knock.Door, host config.Host) ([]byte, error) {
	if len(before) == 0 {
		before = []byte(newConfigHeading)
	}
	candidates := knockable(door, host)
	// Of a hundred draws eight are in an order, whatever the ports: this ends.
	for range 100 {
		sequence, err := draw(candidates)
		if err != nil {
			return nil, err
		}
		door.Sequence = sequence
		text, err := config.AddDoor(name, before, config.WrittenDoor{Door: *door})
		if err != nil {
			return nil, err
		}
		cfg, err := config.Parse(name, text)
		if err != nil {
			return nil, err
		}
		unwise := func(p config.Problem) bool { return p.Door == door.Name && p.Key == "sequence" }
		if !slices.ContainsFunc(cfg.Warnings(host), unwise) {
			return text, nil
		}
	}
	return nil, errFewPorts
}

const newConfigHeading = `# What nftknockd guards, and the knocks that let in: nftknockd.toml(5) explains every key.
#
# This file holds secrets: let only root and the daemon read it.
`

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

// daemonGroup is whom a package's daemon runs as (sysusers.d), and who therefore has
// to be able to read the configuration.
const daemonGroup = "nftknock"

// WriteConfig writes a file that is not there yet, and returns its mode: 0600, or
// where root writes it and the daemon has a group of its own, 0640 of root and that
// group, as tmpfiles.d has it: the unit's daemon is not root and could not read
// the file otherwise.
func WriteConfig(path, text string) (fs.FileMode, error) {
	group := -1
	if g, err := user.LookupGroup(daemonGroup); err == nil && os.Geteuid() == 0 {
		group, _ = strconv.Atoi(g.Gid)
	}
	if err := makeParent(path, group); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	mode, err := fill(f, text, group)
	if err != nil {
		os.Remove(path) // half of it would be in the way of the next try
	}
	return mode, err
}

func fill(f *os.File, text string, group int) (fs.FileMode, error) {
	mode := fs.FileMode(0o600)
	if group >= 0 {
		mode = 0o640
		if err := f.Chown(0, group); err != nil {
			return 0, err
		}
	}
	// Whatever the umask says.
	if err := f.Chmod(mode); err != nil {
		return 0, err
	}
	if _, err := f.WriteString(text); err != nil {
		return 0, err
	}
	return mode, f.Sync()
}

// makeParent makes the folder of a file, if it is not there: /etc/nftknock where no
// package has.
func makeParent(path string, group int) error {
	dir := filepath.Dir(path)
	err := os.Mkdir(dir, 0o750)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err == nil && group >= 0:
		return os.Chown(dir, 0, group)
	}
	return err
}
