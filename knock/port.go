package knock

import (
	"fmt"
	"strconv"
	"strings"
)

// Proto is a transport protocol, by its IP protocol number.
type Proto uint8

// The protocols a knock can use.
const (
	TCP Proto = 6
	UDP Proto = 17
)

func (p Proto) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// Port is a port of one protocol: what a knock hits and what a door guards.
type Port struct {
	Number uint16 // 1 to 65535
	Proto  Proto
}

// String returns the notation of knock(1): "7000" for TCP, "7000:udp" for UDP.
func (p Port) String() string {
	if p.Proto == TCP {
		return strconv.Itoa(int(p.Number))
	}
	return fmt.Sprintf("%d:%s", p.Number, p.Proto)
}

// ParsePort reads the notation of knock(1), "port[:proto]", where proto is tcp
// (the default) or udp, in either case.
func ParsePort(s string) (Port, error) {
	number, proto, named := strings.Cut(s, ":")
	port := Port{Proto: TCP}
	if named {
		switch strings.ToLower(proto) {
		case "tcp":
		case "udp":
			port.Proto = UDP
		default:
			return Port{}, fmt.Errorf("%q: unknown protocol %q: tcp and udp are possible", s, proto)
		}
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return Port{}, fmt.Errorf("%q is not a port: write a number from 1 to 65535, followed by :udp for UDP", s)
	}
	port.Number = uint16(n)
	return port, nil
}

// PortNames returns ports as people write them.
func PortNames(ports []Port) []string {
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = p.String()
	}
	return names
}

// PortList returns ports as people write them, one after the other.
func PortList(ports []Port) string { return strings.Join(PortNames(ports), ", ") }
