package nft

import (
	"errors"
	"net"
	"os/exec"
	"slices"
	"testing"
	"time"

	"nftknock/knock"
)

func TestInspect(t *testing.T) {
	inNetNS(t)
	if _, err := Inspect("nftknock"); !errors.Is(err, ErrNoTable) {
		t.Errorf("without a table: %v", err)
	}
	rules := rich()
	rules.Interfaces = []string{"lo"} // where the test can try a port
	table := open(t, rules)
	grant(t, table, "ssh", "2001:db8::7", time.Hour, "admin")
	grant(t, table, "vpn", "203.0.113.7", knock.Forever, "knock")
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if c, err := net.DialTimeout("tcp", "127.0.0.1:443", 10*time.Second); err == nil {
		c.Close()
		t.Fatal("nobody listens on the port, and it is open")
	}

	s, err := Inspect("nftknock")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"ssh", "vpn", "web"}; !slices.Equal(s.Doors, want) || s.Owned {
		t.Errorf("doors %v, want %v; owned %v", s.Doors, want, s.Owned)
	}
	if len(s.Grants) != 2 {
		t.Fatalf("grants: %+v", s.Grants)
	}
	ssh, vpn := s.Grants[0], s.Grants[1]
	if since := time.Since(ssh.Since); ssh.By != "admin" || ssh.Left > time.Hour || ssh.Left < 30*time.Minute || since < 0 || since > time.Minute {
		t.Errorf("%+v, in for %v", ssh, since)
	}
	if vpn.Source.String() != "203.0.113.0/24" || vpn.Left != knock.Forever || !vpn.Since.IsZero() {
		t.Errorf("%+v", vpn)
	}
	var ports []knock.Port
	for _, g := range s.Guards {
		ports = append(ports, g.Port)
		if want := uint64(0); g.Port == tcp(443) && g.Shut == want || g.Port != tcp(443) && g.Shut != want {
			t.Errorf("port %v: %d packets shut out", g.Port, g.Shut)
		}
	}
	if want := []knock.Port{tcp(22), tcp(443), tcp(2222), udp(443), udp(51820)}; !slices.Equal(ports, want) {
		t.Errorf("ports %v, want %v", ports, want)
	}
	if g := s.Guards[0]; !slices.Equal(g.Doors, []string{"ssh", "vpn"}) {
		t.Errorf("port 22 is guarded by %v", g.Doors)
	}
}

// Whatever somebody else has under the table's name is no reason to panic, and is
// not taken for ours.
func TestInspectOthersTables(t *testing.T) {
	for name, script := range map[string]string{
		"another's": "table inet nftknock { chain mine { tcp dport 80 accept; }; }",
		"changed by hand": `table inet nftknock {
			set always_allow4 { type ipv4_addr; flags interval; }
			set odd_open4 { type inet_service; flags timeout; elements = { 22 timeout 1h }; }
			set odd_open6 { type ipv6_addr . inet_service; flags timeout; elements = { ::1 . 22 timeout 1h }; }
			set plain_open4 { type ipv4_addr; elements = { 192.0.2.1 }; }
			counter tcp_22_shut { }
			quota odd_granted { 5 bytes }
			chain gate { }
			chain door_x { accept comment "door x: let in"; }
			chain tcp_x { accept; }
			chain tcp_22 { jump door_x; ct state new counter log prefix "x" comment ": shut"; accept; }
		}`,
	} {
		t.Run(name, func(t *testing.T) {
			inNetNS(t)
			nftCommand(t, script, "-f", "-")
			s, err := Inspect("nftknock")
			if _, notOurs := errors.AsType[*NotOursError](err); notOurs != (name == "another's") {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}
