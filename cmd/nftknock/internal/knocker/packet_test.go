package knocker

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nftknock/config/profile"
	"nftknock/knock"
	"nftknock/knock/spa"
)

// TestPacket sends packets to a socket, and reads them as the daemon does.
func TestPacket(t *testing.T) {
	key := spa.NewKey("alice")
	file := filepath.Join(t.TempDir(), "alice.spa")
	if err := os.WriteFile(file, []byte(key.File()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, to, address, want string }{
		{"auto", "127.0.0.1", "", "127.0.0.1"},
		{"auto, IPv6", "::1", "", "::1"},
		{"given", "127.0.0.1", "198.51.100.7", "198.51.100.7"},
		{"given, of another family", "127.0.0.1", "2001:db8::7", "2001:db8::7"},
		{"where it comes from", "127.0.0.1", "0.0.0.0", "0.0.0.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to := netip.MustParseAddr(tt.to)
			c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 0)))
			if err != nil {
				t.Skip(err) // a machine without IPv6
			}
			defer c.Close()
			p := profile.New("home")
			p.SPAKeyFile, p.SPAPort, p.Wait, p.Delay = file, c.LocalAddr().(*net.UDPAddr).AddrPort().Port(), 22, 0
			if tt.address != "" {
				p.SPAAddress = netip.MustParseAddr(tt.address)
			}
			k := &Knocker{Target: &Target{Profile: p}, Stderr: os.Stderr}
			digests := make(map[[32]byte]bool)
			for range 2 {
				if _, err := k.knockOnce([]netip.Addr{to}); err != nil {
					t.Fatal(err)
				}
				packet := make([]byte, 2000)
				c.SetReadDeadline(time.Now().Add(10 * time.Second))
				n, _, err := c.ReadFromUDP(packet)
				if err != nil {
					t.Fatal(err)
				}
				got, err := spa.NewKeys(key).Open(packet[:n], time.Now(), 10*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				if got.Source != netip.MustParseAddr(tt.want) || len(got.Ports) != 1 || got.Ports[0] != (knock.Port{Number: 22, Proto: knock.TCP}) || got.Timeout != 0 {
					t.Errorf("asks for %+v", got.Request)
				}
				digests[got.Digest] = true
			}
			if len(digests) != 2 {
				t.Error("a packet was sent twice")
			}
		})
	}
}
