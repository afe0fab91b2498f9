package functional

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// newPacketUser is somebody who has alice's key, in a profile named home.
func newPacketUser(t *testing.T, s *packetSite, profile string) *user {
	t.Helper()
	u := newUser(t, s.Client, fmt.Sprintf("[host.home]\nhost = %q\nspa_key_file = \"alice.spa\"\n", s.Addr)+profile)
	_, dir, _ := strings.Cut(u.env[1], "=")
	if err := os.WriteFile(filepath.Join(dir, "nftknock", "alice.spa"), []byte(s.alice.File()), 0o600); err != nil {
		t.Fatal(err)
	}
	return u
}

// TestPacketsOfNftknock opens doors with our client, by each version of IP: by the port of its
// profile, by --wait, and without waiting.
func TestPacketsOfNftknock(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := newPacketSite(t, f, packetDoors)
		for _, run := range []struct {
			profile string
			args    []string
		}{
			{"wait = 22\n", []string{"-v", "home"}},
			{"wait = 80\n", []string{"--wait", "22", "home"}}, // the packet asks for that
			{"wait = 22\n", []string{"--wait", "80", "home"}},
		} {
			u := newPacketUser(t, s, run.profile)
			s.ExpectShut(t, s.Source, "22", lab.Silent)
			u.run(t, lab.Nftknock, run.args...)
			lab.ExpectLine(t, s.Daemon, "msg=granted", s.Source.String(), "by=spa", "key=alice")
			door, port := "ssh", "22"
			if run.args[1] == "80" {
				door, port = "web", "80"
			}
			s.ExpectOpen(t, s.Source, port)
			s.ExpectShut(t, s.Neighbour, port, lab.Silent)
			s.Tell(t, "close", door, "--all")
		}
	})
}

// TestPacketAddress asks to let in somebody else, as behind a router whose address is known, and
// whoever sends the packet, where it is not.
func TestPacketAddress(t *testing.T) {
	t.Parallel()
	s := newPacketSite(t, lab.IPv4, strings.Replace(packetDoors, "[door.web]", "spa_any_source = true\n[door.web]", 1))
	u := newPacketUser(t, s, fmt.Sprintf("wait = 22\nspa_address = %q\n", s.Neighbour))
	s.Client.Start(t, u.env[0], u.with(lab.Nftknock, "home")...) // it waits for a port that does not open to it
	s.WaitIn(t, "ssh", s.Neighbour)
	s.ExpectOut(t, "ssh", s.Source)

	u = newPacketUser(t, s, "wait = 22\nspa_address = \"0.0.0.0\"\n")
	u.run(t, lab.Nftknock, "home")
	s.WaitIn(t, "ssh", s.Source)
	u = newPacketUser(t, s, "wait = 80\nspa_address = \"0.0.0.0\"\n")
	s.Client.Start(t, u.env[0], u.with(lab.Nftknock, "home")...)
	s.expectRefused(t, "key=alice", "takes the door's spa_any_source")
}

// TestPacketProxy goes through the shut door with ssh, whose ProxyCommand sends a packet.
func TestPacketProxy(t *testing.T) {
	for name, proxy := range map[string]string{
		"relay":  " ProxyCommand " + lab.Nftknock + " proxy home\n",
		"fdpass": " ProxyCommand " + lab.Nftknock + " proxy --fdpass home\n ProxyUseFdpass yes\n",
	} {
		t.Run(name, func(t *testing.T) {
			lab.EachFamily(t, func(t *testing.T, f lab.Family) {
				s := newPacketSite(t, f, strings.Replace(packetDoors, "[22]", "[2022]", 1))
				sshd := lab.StartSSHD(t, s.Server, 2022)
				u := newPacketUser(t, s, "wait = 2022\n")
				ssh := sshConfig(t, sshd, "Host home\n"+proxy)
				s.ExpectShut(t, s.Source, "2022", lab.Silent)
				for range 2 { // the door is open the second time, and no packet is sent
					if out := u.run(t, "ssh", "-F", ssh, "home", "echo", "through"); out != "through\n" {
						t.Errorf("ssh has brought %q", out)
					}
				}
				if n := strings.Count(s.Log(), "msg=granted"); n != 1 {
					t.Errorf("granted %d times:\n%s", n, s.Log())
				}
			})
		})
	}
}
