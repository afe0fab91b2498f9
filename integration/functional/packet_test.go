package functional

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nftknock/integration/lab"
	"nftknock/knock"
	"nftknock/knock/spa"
)

const packetDoors = `
[door.ssh]
ports        = [22]
spa_keys     = ["alice.spa", "bob.spa"]
open_timeout = "1m"

[door.web]
ports    = [80, 443]
spa_keys = ["alice.spa"]
`

// A packetSite is a server whose doors packets open.
type packetSite struct {
	*lab.Topology
	*lab.Daemon
	config, home string
	alice, bob   spa.Key
}

func newPacketSite(t *testing.T, f lab.Family, doors string) *packetSite {
	t.Helper()
	s := &packetSite{
		Topology: lab.NewTopology(t, f), config: lab.WriteConfig(t, doors), home: t.TempDir(),
		alice: spa.NewKey("alice"), bob: spa.NewKey("bob"),
	}
	s.writeKey(t, s.alice)
	s.writeKey(t, s.bob)
	for _, port := range []uint16{22, 80, 443} {
		s.Server.ListenTCP(t, port)
	}
	s.start(t)
	return s
}

func (s *packetSite) start(t *testing.T) {
	t.Helper()
	s.Daemon = lab.StartDaemonFile(t, s.Server, s.config)
}

func (s *packetSite) writeKey(t *testing.T, key spa.Key) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.config), key.Name+".spa"), []byte(key.File()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fwknop has the real client send a packet, and returns it.
func (s *packetSite) fwknop(t *testing.T, key spa.Key, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("fwknop"); err != nil {
		t.Skip("fwknop is not installed")
	}
	saved := filepath.Join(t.TempDir(), "packet")
	cipher, hmac := key.Base64()
	cmd := lab.Command(t.Context(), t, "fwknop", append([]string{"-D", s.Addr.String(), "--no-save-args", "--save-packet", saved,
		"--key-base64-rijndael", cipher, "--use-hmac", "--key-base64-hmac", hmac}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+s.home)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := s.Client.In(cmd.Run); err != nil {
		t.Fatalf("fwknop %q: %v\n%s", args, err, &out)
	}
	packet, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(packet)
}

// send sends datagrams to the port of packets.
func (s *packetSite) send(t *testing.T, from netip.Addr, payloads ...[]byte) {
	t.Helper()
	err := s.Client.In(func() error {
		c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.Addr, 62201)))
		if err != nil {
			return err
		}
		defer c.Close()
		for _, p := range payloads {
			for {
				_, err := c.Write(p)
				if err == nil {
					break
				}
				if !strings.Contains(err.Error(), "refused") { // by ICMP, which is of the one before
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// expectRefused waits for the line that says so, once more than before.
func (s *packetSite) expectRefused(t *testing.T, words ...string) {
	t.Helper()
	lab.ExpectLine(t, s.Daemon, append([]string{"msg=refused", "by=spa"}, words...)...)
}

// TestPacketOpensOnce opens a door with the real fwknop. Nobody does so with a copy of its
// packet: from anywhere, after the daemon was killed, or after a reload.
func TestPacketOpensOnce(t *testing.T) {
	t.Parallel()
	s := newPacketSite(t, lab.IPv4, packetDoors)
	s.ExpectShut(t, s.Source, "22", lab.Silent)
	packet := s.fwknop(t, s.alice, "-A", "tcp/22", "-a", s.Source.String())
	s.ExpectOpen(t, s.Source, "22")
	s.ExpectShut(t, s.Source, "80", lab.Silent)
	s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
	lab.ExpectLine(t, s.Daemon, "msg=granted", "door=ssh", s.Source.String(), "by=spa", "key=alice")
	state := s.Status(t)
	if len(state.Grants) != 1 || state.Grants[0].By != "spa" || state.Grants[0].Key != "alice" {
		t.Errorf("%+v", state.Grants)
	}

	for _, how := range []string{"running", "killed", "killed again", "restarted", "reloaded"} {
		switch how {
		case "killed", "killed again":
			s.Stop(os.Kill)
			s.start(t)
		case "restarted":
			s.Stop(syscall.SIGTERM)
			s.start(t)
		case "reloaded":
			s.Tell(t, "reload")
		}
		s.Tell(t, "close", "ssh", "--all")
		for _, from := range []netip.Addr{s.Source, s.Stranger} {
			s.send(t, from, packet)
			s.expectRefused(t, "door=ssh", from.String(), "key=alice", "was used before")
			s.ExpectOut(t, "ssh", s.Source)
		}
		s.ExpectShut(t, s.Source, "22", lab.Silent)
	}
	if text := string(packet); strings.Contains(s.Log(), text[:20]) {
		t.Error("the log shows a packet")
	}
}

// TestPacketTwins has a hundred copies arrive at once.
func TestPacketTwins(t *testing.T) {
	t.Parallel()
	s := newPacketSite(t, lab.IPv4, packetDoors)
	packet, err := s.alice.Seal(spa.Request{User: "alice", Source: s.Source, Ports: []knock.Port{{Number: 22, Proto: knock.TCP}}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	copies := make([][]byte, 100)
	for i := range copies {
		copies[i] = packet
	}
	s.send(t, s.Stranger, copies...)
	s.WaitIn(t, "ssh", s.Source)
	lab.Eventually(t, "the others are refused", func() bool { return s.Status(t).Daemon.SPARefused["replayed"] == 99 })
	if n := strings.Count(s.Log(), "msg=granted"); n != 1 {
		t.Errorf("granted %d times", n)
	}
}

// TestPacketContents sends what the real fwknop can ask for.
func TestPacketContents(t *testing.T) {
	t.Parallel()
	s := newPacketSite(t, lab.IPv4, packetDoors)
	person := s.Source.String()
	ask := func(more ...string) []string { return append([]string{"-A", "tcp/22", "-a", person}, more...) }
	for _, tt := range []struct {
		name string
		key  spa.Key
		args []string
		door string // "" is none
		why  string
	}{
		{"access", s.alice, ask(), "ssh", ""},
		{"other person", s.bob, ask(), "ssh", ""},
		{"two ports", s.alice, []string{"-A", "tcp/80,tcp/443", "-a", person}, "web", ""},
		{"shorter", s.alice, ask("-f", "30"), "ssh", ""},
		{"longer than the door", s.alice, ask("-f", "3600"), "ssh", ""},
		{"clock behind", s.alice, ask("--time-offset-minus", "110s"), "ssh", ""},
		{"clock ahead", s.alice, ask("--time-offset-plus", "110s"), "ssh", ""},
		{"SHA512 inside", s.alice, ask("-m", "sha512"), "ssh", ""},
		{"raw, from somebody else", s.alice, ask("-P", "udpraw", "-Q", s.Stranger.String()), "ssh", ""},

		{"clock too far behind", s.alice, ask("--time-offset-minus", "122s"), "", "too old by its clock"},
		{"clock too far ahead", s.alice, ask("--time-offset-plus", "130s"), "", "made in the future by its clock"},
		{"any source", s.alice, []string{"-A", "tcp/22", "-s"}, "", "takes the door's spa_any_source"},
		{"ports of two doors", s.alice, []string{"-A", "tcp/22,tcp/80", "-a", person}, "", "no door of the key guards"},
		{"door of another person", s.bob, []string{"-A", "tcp/80", "-a", person}, "", "no door of the key guards"},
		{"no host's address", s.alice, []string{"-A", "tcp/22", "-a", "127.0.0.1"}, "", "from which no packet can come"},
		{"command", s.alice, []string{"-C", "reboot", "-a", person}, "", "asks to run a command"},
		{"NAT", s.alice, ask("-N", "10.0.0.5,22"), "", "asks for NAT"},
		{"CTR", s.alice, ask("-M", "CTR"), "", "does not decrypt"},
	} {
		before := strings.Count(s.Log(), "msg=refused")
		s.fwknop(t, tt.key, tt.args...)
		if tt.door == "" {
			lab.Eventually(t, tt.name+": is refused", func() bool { return strings.Count(s.Log(), "msg=refused") == before+1 })
			last := s.Log()[strings.LastIndex(s.Log(), "msg=refused"):]
			if !strings.Contains(last, tt.why) || !strings.Contains(last, "key="+tt.key.Name) {
				t.Errorf("%s: %s", tt.name, last)
			}
			s.ExpectOut(t, "ssh", s.Source)
			s.ExpectOut(t, "web", s.Source)
			continue
		}
		e := s.WaitIn(t, tt.door, s.Source)
		if shorter := tt.name == "shorter"; shorter != e.IsFor(30*time.Second) || !shorter && !e.IsFor(time.Minute) {
			t.Errorf("%s: let in for %v", tt.name, e.Timeout)
		}
		s.Tell(t, "close", tt.door, "--all")
	}

	// What fwknop sends by TCP is no datagram, and opens nothing; nor does anybody answer it.
	before := strings.Count(s.Log(), "msg=refused")
	s.fwknop(t, s.alice, ask("-P", "tcpraw", "-Q", s.Stranger.String())...)
	s.fwknop(t, s.alice, "-A", "tcp/80", "-a", person)
	s.WaitIn(t, "web", s.Source)
	if s.ExpectOut(t, "ssh", s.Source); strings.Count(s.Log(), "msg=refused") != before {
		t.Error("a packet by TCP is refused in the log")
	}

	// What the holder of no key sends is not logged each time.
	stranger := spa.NewKey("stranger")
	s.fwknop(t, stranger, ask()...)
	lab.Eventually(t, "it is counted", func() bool { return s.Status(t).Daemon.SPARefused["no_key"] == 1 })
	s.ExpectOut(t, "ssh", s.Source)
	lab.ExpectLine(t, s.Daemon, "packet refused, one of those that no key has made", "no key makes its HMAC")

	// Anybody can have sent garbage in somebody's name: nobody is muted for it.
	s.send(t, s.Source, []byte("garbage"), []byte(strings.Repeat("8", 160)+"A"+strings.Repeat("8", 42)+"A"))
	lab.Eventually(t, "it is counted", func() bool { return s.Status(t).Daemon.SPARefused["no_key"] == 2 })
	if status := s.Tell(t, "status"); !strings.Contains(status, "0 muted;") {
		t.Error(status)
	}
}

// TestPacketKeyTakenOut locks a person out.
func TestPacketKeyTakenOut(t *testing.T) {
	t.Parallel()
	s := newPacketSite(t, lab.IPv4, packetDoors)
	if err := os.WriteFile(s.config, []byte(strings.ReplaceAll(packetDoors, `"alice.spa", "bob.spa"`, `"bob.spa"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Tell(t, "reload")
	s.fwknop(t, s.alice, "-A", "tcp/22", "-a", s.Source.String())
	s.expectRefused(t, "key=alice", "no door of the key guards")
	s.ExpectOut(t, "ssh", s.Source)
	s.fwknop(t, s.bob, "-A", "tcp/22", "-a", s.Source.String())
	s.ExpectOpen(t, s.Source, "22")

	if err := os.WriteFile(s.config, []byte("[door.ssh]\nports = [22]\nspa_keys = [\"bob.spa\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Tell(t, "reload")
	s.fwknop(t, s.alice, "-A", "tcp/22", "-a", s.Stranger.String())
	lab.Eventually(t, "nobody's packet is counted", func() bool { return s.Status(t).Daemon.SPARefused["no_key"] == 1 })
	s.ExpectOut(t, "ssh", s.Stranger)
}

// TestPacketPortIsNotSeen compares what a scan sees of the port with what it sees of others,
// while the daemon runs and packets open its doors.
func TestPacketPortIsNotSeen(t *testing.T) {
	t.Parallel()
	s := newPacketSite(t, lab.IPv4, packetDoors)
	s.Server.Sysctl(t, "net/ipv4/icmp_ratelimit", "0") // of answers, which would look like filters
	s.fwknop(t, s.alice, "-A", "tcp/22", "-a", s.Neighbour.String())
	s.ExpectOpen(t, s.Neighbour, "22")
	for _, scan := range [][]string{{"-sU"}, {"-sU", "--data-length", "204"}, {"-sU", "--data-length", "1400"}} {
		out := s.Client.Run(t, "nmap", append(scan, "-n", "-Pn", "--reason", "--max-retries", "2", "-p", "62200-62203", s.Addr.String())...)
		if n := strings.Count(out, "closed"); n != 4 || strings.Count(out, "port-unreach") != 4 {
			t.Errorf("nmap %q sees\n%s", scan, out)
		}
	}
}
