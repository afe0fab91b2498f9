package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
	"nftknock/knock"
	"nftknock/knock/spa"
)

const (
	nameOfFwknopd = "fwknopd 2.6.10"

	// holders is how many people have a key, each of which a server has to try.
	holders = 100

	// packetPort is where packets arrive.
	packetPort = 62201
)

// packetSystems shut port 22 to all but those who send a packet made with one of the keys.
var packetSystems = []struct {
	name  string
	idle  int // packets to measure with, while the machine is idle
	start func(t testing.TB, s *lab.Topology, keys []spa.Key) running
}{
	{nameOfOurs, 300, startOursForPackets},
	{nameOfFwknopd, 60, startFwknopd},
}

func startOursForPackets(t testing.TB, s *lab.Topology, keys []spa.Key) running {
	dir := t.TempDir()
	var files []string
	for _, key := range keys {
		files = append(files, fmt.Sprintf("%q", key.Name+".spa"))
		if err := os.WriteFile(filepath.Join(dir, key.Name+".spa"), []byte(key.File()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "nftknockd.toml")
	text := fmt.Sprintf("on_stop = \"remove\"\n[door.ssh]\nports = [22]\nspa_keys = [%s]\n", strings.Join(files, ", "))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := lab.StartDaemonFile(t, s.Server, config)
	return running{pid: d.Cmd.Process.Pid, stop: func() { d.Stop(syscall.SIGTERM) }}
}

// startFwknopd runs Debian's fwknop-server, which runs iptables.
func startFwknopd(t testing.TB, s *lab.Topology, keys []spa.Key) running {
	const config = `
PCAP_INTF             net1;
ENABLE_PCAP_PROMISC   N;
FWKNOP_RUN_DIR        %s;
FIREWALL_EXE          %s;
`
	const stanza = `
SOURCE                 ANY
KEY_BASE64             %s
HMAC_KEY_BASE64        %s
HMAC_DIGEST_TYPE       sha256
OPEN_PORTS             tcp/22
REQUIRE_SOURCE_ADDRESS Y
FW_ACCESS_TIMEOUT      60
`
	dir := t.TempDir()
	var access strings.Builder
	for _, key := range keys {
		cipher, hmac := key.Base64()
		fmt.Fprintf(&access, stanza, cipher, hmac)
	}
	iptables := lab.Command(t.Context(), t, "iptables").Path
	for name, text := range map[string]string{"fwknopd.conf": fmt.Sprintf(config, dir, iptables), "access.conf": access.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.Server.Run(t, "iptables", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP")
	p := s.Server.Start(t, "fwknopd", "-f", "-c", filepath.Join(dir, "fwknopd.conf"), "-a", filepath.Join(dir, "access.conf"))
	lab.Eventually(t, "fwknopd sees what arrives", func() bool { return hasPacketSocket(t, s.Server) })
	return running{
		pid: p.Cmd.Process.Pid,
		stop: func() {
			p.Stop(os.Kill)
			s.Server.Run(t, "iptables", "-F")
		},
	}
}

// A packetOpening is how a system let people in by packets.
type packetOpening struct {
	opening
	garbage string    // that arrives meanwhile; empty: none
	memory  megabytes // of the daemon, after it
}

// garbageKinds is what arrives while people open the door.
var garbageKinds = []struct {
	name   string
	rate   int
	shaped bool
}{
	{"", 0, false},
	{"random", 100_000, false},
	{"random", 0, false},
	{"shaped", 10_000, true},
	{"shaped", 100_000, true},
}

// reportPackets measures single packet authorization beside fwknopd: at rest, and while datagrams
// arrive that look like packets and are none.
func reportPackets(t *testing.T, r *benchReport) {
	s := newBenchSite(t)
	p := newKnockTimer(t, s)
	var keys []spa.Key
	for n := range holders {
		keys = append(keys, spa.NewKey(fmt.Sprintf("holder%d", n)))
	}
	p.opens = func(from netip.Addr) ([][]byte, error) {
		packet, err := keys[p.people%holders].Seal(spa.Request{
			User: "holder", Source: from, Ports: []knock.Port{{Number: 22, Proto: knock.TCP}},
		}, time.Now())
		if err != nil {
			return nil, err
		}
		return [][]byte{p.wire.frame(datagram(netip.AddrPortFrom(from, 40000), netip.AddrPortFrom(s.Addr, packetPort), packet))}, nil
	}
	var all []packetOpening
	for _, system := range packetSystems {
		for _, garbage := range garbageKinds {
			if len(all) > 0 {
				p.people = (p.people/holders + 1) * holders // everybody is somebody new, and has a key
			}
			running := system.start(t, s, keys)
			time.Sleep(time.Second) // it has come to rest
			o := packetOpening{opening: opening{system: system.name, asked: garbage.rate}, garbage: garbage.name}
			if garbage.name == "" {
				o.people = p.knock(t, system.idle)
			} else {
				o.underGarbage(t, s, p, running.pid, garbage.shaped)
			}
			o.memory = megabytesOf(t, running.pid, "VmHWM")
			running.stop()
			all = append(all, o)
			if len(o.people.took) == 0 {
				break // more garbage would not tell more
			}
		}
	}
	r.sayPackets(all)
}

// underGarbage measures while garbage arrives.
func (o *packetOpening) underGarbage(t testing.TB, s *lab.Topology, p *knockTimer, pid int, shaped bool) {
	t.Helper()
	cpu := lab.CPUTime(t, pid)
	f := startFlood(t, p.wire, forgeGarbage(p.wire, netip.AddrPortFrom(s.Addr, packetPort), shaped), o.asked, mostOfFlood)
	time.Sleep(500 * time.Millisecond)
	o.people = p.knock(t, peopleInFlood)
	f.stop(t)
	time.Sleep(100 * time.Millisecond) // the last of it is read
	o.flood = f.perSecond()
	o.cpu = (lab.CPUTime(t, pid) - cpu) / time.Duration(f.sent)
}

// datagram is a UDP datagram with something in it, without a checksum (RFC 768).
func datagram(from, to netip.AddrPort, payload []byte) lab.Packet {
	b := binary.BigEndian.AppendUint16(nil, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return lab.Packet{Proto: unix.IPPROTO_UDP, From: from.Addr(), To: to.Addr(), Payload: append(append(b, 0, 0), payload...)}
}

// forgeGarbage returns datagrams of the length and in the alphabet of a packet, each of which
// comes from somebody else and says something else. Shaped ones have every bit right that is
// the same in all packets, so that nothing but their HMAC tells that they are none.
func forgeGarbage(w *wire, to netip.AddrPort, shaped bool) func() []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	const message, length, bits = 161, 204, 6 // of 128 bytes, without fwknop's prefix; with the HMAC
	frame := w.frame(datagram(netip.AddrPortFrom(netip.IPv4Unspecified(), 40000), to, make([]byte, length)))
	ip, text := frame[ipHeader:], frame[len(frame)-length:]
	rest := uint32(^binary.BigEndian.Uint16(ip[10:]))
	random := rand.NewPCG(rand.Uint64(), rand.Uint64())
	return func() []byte {
		binary.BigEndian.PutUint32(ip[12:], anybody(uint32(random.Uint64())))
		binary.BigEndian.PutUint16(ip[10:], lab.Complement(rest+lab.WordSum(ip[12:16])))
		var r uint64
		for i := range text {
			if i%(64/bits) == 0 {
				r = random.Uint64()
			}
			text[i] = alphabet[r&(1<<bits-1)]
			r >>= bits
		}
		if shaped {
			text[0], text[message-1], text[length-1] = '8', 'A', 'A'
		}
		return frame
	}
}

func (r *benchReport) sayPackets(all []packetOpening) {
	r.heading("One encrypted packet")
	r.say(fmt.Sprintf(`
Single packet authorization beside fwknopd, which runs iptables; %d people have a key each. From the moment before a packet is
sent to the first answer to a SYN on the guarded port, as above: on an idle machine, and while datagrams from random sources arrive
that have a packet's length and alphabet, and no key's HMAC. Those that are shaped also have each bit right that is the same in all
packets: each of them costs the HMAC of every key, and when more come than that allows, packets are lost among them. Opened means by
the first packet, within a second; where nobody gets in, no more is tried. CPU is that of the daemon, user and system, for each
datagram; memory, the most that it had.`, holders))
	rows := [][]string{{"", "garbage", "", "reached", "opened", "median", "99 %", "CPU", "memory"}}
	median := make(map[string]span)
	var targets []target
	for _, o := range all {
		row := []string{o.system, "–", "–", "–", o.people.opened(), o.people.quantile(0.5).String(), o.people.quantile(0.99).String(), "–", o.memory.String()}
		if o.garbage == "" {
			median[o.system] = o.people.quantile(0.5)
		} else {
			row[1], row[2], row[3], row[7] = o.garbage, o.floodName(), o.flood.String(), span(o.cpu).String()
		}
		if o.system == nameOfOurs && o.garbage == "random" {
			targets = append(targets,
				exactly("packets/opened", "opened, "+o.floodName(), o.people.opened(), fmt.Sprintf("%d of %[1]d", peopleInFlood)),
				atMost("packets/median", "median, "+o.floodName(), o.people.quantile(0.5), span(10*time.Millisecond)),
			)
		}
		rows = append(rows, row)
	}
	r.table(rows)
	r.targets(append([]target{
		atLeast("packets/fwknopd", "median of fwknopd, to ours, idle", ratio(median[nameOfFwknopd])/ratio(median[nameOfOurs]), 5),
	}, targets...)...)
}
