package config

import (
	"net"
	"testing"
)

// This machine's own kernel is understood.
func TestReadHostLive(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	host, err := ReadHost()
	if err != nil {
		t.Fatal(err)
	}
	if p := tcp(uint16(l.Addr().(*net.TCPAddr).Port)); !host.Listening[p] {
		t.Errorf("listening on %v, but not in %v", p, host.Listening)
	}
	if p := udp(uint16(c.LocalAddr().(*net.UDPAddr).Port)); !host.Listening[p] {
		t.Errorf("listening on %v, but not in %v", p, host.Listening)
	}
}
