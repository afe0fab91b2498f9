package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"nftknock/knock"
)

// A Host is what has to be known of the machine to judge ports and interfaces.
type Host struct {
	// The ports from which the host takes one for each connection of its own; both
	// 0 if that is not known.
	EphemeralFirst, EphemeralLast uint16

	// Reserved are ports that it takes only for who asks for them
	// (ip_local_reserved_ports).
	Reserved map[uint16]bool

	Listening map[knock.Port]bool // ports that a socket waits on

	Links []Link // nil: not known
}

// ReadHost describes the host that the program runs on, in its network namespace.
// What the host does not show, as in a sandbox without /proc/sys, stays unknown
// and is no error; with an error the Host has what else could be read.
func ReadHost() (Host, error) {
	h, err := readHost(os.DirFS("/proc"))
	var linkErr error
	h.Links, linkErr = ReadLinks()
	return h, errors.Join(err, linkErr)
}

func readHost(proc fs.FS) (Host, error) {
	h := Host{Listening: make(map[knock.Port]bool)}
	// Not /proc/net, which a sandbox with ProcSubset=pid (systemd.exec(5)) does without.
	const listen, unconnected = "0A", "07" // the states of sockets that take what comes from anybody
	err := errors.Join(
		h.readEphemeral(proc),
		h.readReserved(proc),
		h.readSockets(proc, "self/net/tcp", knock.TCP, listen),
		h.readSockets(proc, "self/net/tcp6", knock.TCP, listen),
		h.readSockets(proc, "self/net/udp", knock.UDP, unconnected),
		h.readSockets(proc, "self/net/udp6", knock.UDP, unconnected),
	)
	return h, err
}

func (h *Host) readEphemeral(proc fs.FS) error {
	const name = "sys/net/ipv4/ip_local_port_range" // for IPv6 too
	data, err := readIfThere(proc, name)
	if err != nil || data == nil {
		return err
	}
	var first, last uint16
	if _, err := fmt.Sscan(string(data), &first, &last); err != nil {
		return fmt.Errorf("/proc/%s: %w", name, err)
	}
	h.EphemeralFirst, h.EphemeralLast = first, last
	return nil
}

// ephemeral reports whether the host may take a port for a connection of its own.
func (h *Host) ephemeral(port uint16) bool {
	return h.EphemeralFirst <= port && port <= h.EphemeralLast && h.EphemeralLast != 0 && !h.Reserved[port]
}

// readReserved reads what the kernel shows as "8080,9148-9200", or an empty line.
func (h *Host) readReserved(proc fs.FS) error {
	const name = "sys/net/ipv4/ip_local_reserved_ports" // for IPv6 too
	data, err := readIfThere(proc, name)
	if err != nil {
		return err
	}
	for word := range strings.FieldsFuncSeq(string(data), func(r rune) bool { return r == ',' || r == '\n' }) {
		first, last, ranged := strings.Cut(word, "-")
		if !ranged {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("/proc/%s: %w", name, err)
		}
		if h.Reserved == nil {
			h.Reserved = make(map[uint16]bool)
		}
		for n := from; n <= to; n++ {
			h.Reserved[uint16(n)] = true
		}
	}
	return nil
}

// readSockets reads a table of the kernel's (proc_pid_net(5)): a heading, then a line
// a socket, "0: 00000000:0016 00000000:0000 0A …": number, local and remote address
// and port in hexadecimal, state.
func (h *Host) readSockets(proc fs.FS, name string, proto knock.Proto, state string) error {
	data, err := readIfThere(proc, name)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != state {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		number, err := strconv.ParseUint(hex, 16, 16)
		if err != nil {
			return fmt.Errorf("/proc/%s: %w", name, err)
		}
		h.Listening[knock.Port{Number: uint16(number), Proto: proto}] = true
	}
	return nil
}

// readIfThere returns nil for a file that is not there.
func readIfThere(proc fs.FS, name string) ([]byte, error) {
	data, err := fs.ReadFile(proc, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}
