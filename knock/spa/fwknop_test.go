package spa

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nftknock/knock"
)

var update = flag.Bool("update", false, "ask the real fwknop for testdata/vectors.json again")

const vectorsFile = "testdata/vectors.json"

// A vector is a packet that fwknop made.
type vector struct {
	Name   string   `json:"name"`
	Args   []string `json:"args"` // fwknop's, without keys
	Key    string   `json:"key"`  // file in testdata
	Time   int64    `json:"time"` // that fwknop says is inside
	Packet string   `json:"packet"`
}

// A wish is what fwknop is asked for, and what has to come of it.
type wish struct {
	name   string
	key    string // file in testdata; "" is alice.spa
	noHMAC bool
	args   []string

	ports     []knock.Port
	source    string // "" is 10.99.0.2
	timeout   time.Duration
	reason    Reason
	diagnosis Reason // if it differs
}

var (
	ssh      = knock.Port{Number: 22, Proto: knock.TCP}
	dns      = knock.Port{Number: 53, Proto: knock.UDP}
	justSSH  = []knock.Port{ssh}
	sshAsked = []string{"-A", "tcp/22", "-a", "10.99.0.2"}
)

func asked(more ...string) []string { return append(append([]string{}, sshAsked...), more...) }

var wishes = []wish{
	{name: "access", args: asked(), ports: justSSH},
	{name: "two ports", args: []string{"-A", "tcp/22,udp/53", "-a", "10.99.0.2"}, ports: []knock.Port{ssh, dns}},
	{name: "other address", args: []string{"-A", "udp/53", "-a", "198.51.100.233"}, ports: []knock.Port{dns}, source: "198.51.100.233"},
	{name: "any source", args: []string{"-A", "tcp/22", "-s"}, ports: justSSH, source: "0.0.0.0"},
	{name: "timeout", args: asked("-f", "60"), ports: justSSH, timeout: time.Minute},
	{name: "longest timeout", args: asked("-f", "65535"), ports: justSSH, timeout: 65535 * time.Second},
	{name: "any source, timeout", args: []string{"-A", "tcp/22,udp/53", "-s", "-f", "3600"}, ports: []knock.Port{ssh, dns}, source: "0.0.0.0", timeout: time.Hour},
	{name: "shortest", args: []string{"-A", "tcp/1", "-a", "1.1.1.1", "-U", "a"}, ports: []knock.Port{{Number: 1, Proto: knock.TCP}}, source: "1.1.1.1"},
	{name: "long user", args: asked("-U", strings.Repeat("u", 29)), ports: justSSH},
	{name: "user with blank", args: asked("-U", "Alice Example"), ports: justSSH},
	{name: "many ports", args: []string{"-A", strings.Repeat("tcp/22,", 12) + "udp/53", "-a", "10.99.0.2"}, ports: manyPorts()},
	{name: "made earlier", args: asked("--time-offset-minus", "10m"), ports: justSSH},
	{name: "made later", args: asked("--time-offset-plus", "10m"), ports: justSSH},
	{name: "SHA512 HMAC", key: "bob.spa", args: asked("--hmac-digest-type", "sha512"), ports: justSSH},
	{name: "SHA512 HMAC, timeout", key: "bob.spa", args: asked("--hmac-digest-type", "sha512", "-f", "5"), ports: justSSH, timeout: 5 * time.Second},
	{name: "SHA512 HMAC, key for SHA256", args: asked("--hmac-digest-type", "sha512"), ports: justSSH},
	{name: "SHA256 HMAC, key for SHA512", key: "bob.spa", args: asked(), ports: justSSH},
	{name: "short keys", key: "short.spa", args: asked(), ports: justSSH},
	{name: "SHA384 inside", args: asked("-m", "sha384"), ports: justSSH},
	{name: "SHA512 inside", args: asked("-m", "sha512"), ports: justSSH},

	{name: "MD5 inside", args: []string{"-A", "tcp/22,tcp/80,tcp/443,udp/53", "-a", "10.99.0.2", "-m", "md5"}, reason: Digest},
	{name: "SHA1 inside", args: []string{"-A", "tcp/22,tcp/80,tcp/443,udp/53", "-a", "10.99.0.2", "-m", "sha1"}, reason: Digest},
	{name: "MD5 HMAC", args: asked("--hmac-digest-type", "md5"), reason: Size, diagnosis: HMACType},
	{name: "SHA1 HMAC", args: asked("--hmac-digest-type", "sha1"), reason: Size, diagnosis: HMACType},
	{name: "SHA384 HMAC", args: asked("--hmac-digest-type", "sha384"), diagnosis: HMACType, reason: NoKey},
	{name: "no HMAC", noHMAC: true, args: asked(), diagnosis: NoHMAC, reason: Size},
	{name: "no HMAC, longer", noHMAC: true, args: []string{"-A", "tcp/22,udp/53,tcp/80,tcp/443", "-a", "10.99.0.2"}, diagnosis: NoHMAC, reason: Size},
	{name: "command", args: []string{"-C", "id", "-a", "10.99.0.2"}, reason: Command},
	{name: "NAT", args: asked("-N", "10.0.0.5,22"), reason: NAT},
	{name: "NAT, timeout", args: asked("-N", "10.0.0.5,22", "-f", "30"), reason: NAT},
	{name: "local NAT", args: asked("--nat-local", "--nat-port", "2222"), reason: NAT},
	{name: "local NAT, timeout", args: asked("--nat-local", "--nat-port", "2222", "-f", "30"), reason: NAT},
	{name: "CFB", args: asked("-M", "CFB"), reason: Undecipherable},
	{name: "OFB", args: asked("-M", "OFB"), reason: Undecipherable},
	{name: "CTR", args: asked("-M", "CTR"), reason: Undecipherable},
	{name: "ECB", args: asked("-M", "ECB"), reason: Undecipherable},
}

func manyPorts() (ports []knock.Port) {
	for range 12 {
		ports = append(ports, ssh)
	}
	return append(ports, dns)
}

func readKey(t testing.TB, file string) Key {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(strings.TrimSuffix(file, ".spa"), string(data))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// fwknop asks the real client for a packet.
func fwknop(t *testing.T, w wish) vector {
	t.Helper()
	v := vector{Name: w.name, Args: w.args, Key: w.keyFile()}
	cipher, hmac := readKey(t, v.Key).Base64()
	saved := filepath.Join(t.TempDir(), "packet")
	args := append([]string{"-D", "192.0.2.1", "--test", "--verbose", "--no-save-args",
		"--save-packet", saved, "--key-base64-rijndael", cipher}, w.args...)
	if !w.noHMAC {
		args = append(args, "--use-hmac", "--key-base64-hmac", hmac)
	}
	cmd := exec.Command("fwknop", args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir()) // for its rc file
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("fwknop %q: %v\n%s", w.args, err, out)
	}
	stamp := regexp.MustCompile(`Timestamp: (\d+)`).FindSubmatch(out)
	if stamp == nil {
		t.Fatalf("fwknop names no time:\n%s", out)
	}
	v.Time, _ = strconv.ParseInt(string(stamp[1]), 10, 64)
	packet, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	v.Packet = strings.TrimSpace(string(packet))
	return v
}

func (w wish) keyFile() string {
	if w.key == "" {
		return "alice.spa"
	}
	return w.key
}

// check opens what fwknop made.
func (w wish) check(t *testing.T, v vector) {
	keys := NewKeys(readKey(t, "stranger.spa"), readKey(t, v.Key))
	got, err := keys.Open([]byte(v.Packet), time.Unix(v.Time, 0), time.Minute)

	if w.reason != 0 {
		reason, _ := err.(Reason)
		// By its size alone, a packet without HMAC can be one with an HMAC.
		if reason != w.reason && !(w.diagnosis != 0 && !reason.Authenticated()) {
			t.Fatalf("Open = %v, want %v", err, w.reason)
		}
		name := strings.TrimSuffix(v.Key, ".spa")
		if w.diagnosis != 0 {
			if diagnosis, key := keys.Diagnose([]byte(v.Packet), reason); diagnosis != w.diagnosis || key != name {
				t.Fatalf("Diagnose = %v, %q; want %v, %q", diagnosis, key, w.diagnosis, name)
			}
			return
		}
		if got.Key != name || got.Digest == [32]byte{} {
			t.Fatalf("refused without who and what: %+v", got)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	source := w.source
	if source == "" {
		source = "10.99.0.2"
	}
	want := Packet{
		Request: Request{Source: netip.MustParseAddr(source), Ports: w.ports, Timeout: w.timeout},
		Key:     strings.TrimSuffix(v.Key, ".spa"),
		Time:    time.Unix(v.Time, 0),
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmpopts.IgnoreFields(Packet{}, "Request.User", "Digest")); diff != "" {
		t.Fatalf("-want +got\n%s", diff)
	}
	for i, arg := range w.args {
		if arg == "-U" && got.User != w.args[i+1] {
			t.Errorf("user %q, want %q", got.User, w.args[i+1])
		}
	}
}

func readVectors(t testing.TB) (vectors []vector) {
	t.Helper()
	data, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// TestVectors opens packets that fwknop 2.6.10 made, all of which are kept.
func TestVectors(t *testing.T) {
	if *update {
		var vectors []vector
		for _, w := range wishes {
			vectors = append(vectors, fwknop(t, w))
		}
		data, err := json.MarshalIndent(vectors, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorsFile, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	byName := make(map[string]vector)
	for _, v := range readVectors(t) {
		byName[v.Name] = v
	}
	for _, w := range wishes {
		t.Run(w.name, func(t *testing.T) {
			v, ok := byName[w.name]
			if !ok || !cmp.Equal(v.Args, w.args) || v.Key != w.keyFile() {
				t.Fatal("not in testdata as it is asked for here: go test -run TestVectors -update")
			}
			w.check(t, v)
		})
	}
}

// TestFwknopClient opens packets that the fwknop installed here makes now.
func TestFwknopClient(t *testing.T) {
	if _, err := exec.LookPath("fwknop"); err != nil {
		t.Skip("fwknop is not installed")
	}
	for _, w := range wishes {
		t.Run(w.name, func(t *testing.T) { w.check(t, fwknop(t, w)) })
	}
}

// TestFwknopServer gives our packets to the real fwknopd, which reads them from a capture.
func TestFwknopServer(t *testing.T) {
	if _, err := exec.LookPath("fwknopd"); err != nil {
		t.Skip("fwknopd is not installed")
	}
	for _, tt := range []struct {
		name, key string
		access    string // more lines of access.conf
		request   Request
		want      []string // in what fwknopd says
	}{
		{
			name: "access", key: "alice.spa",
			request: Request{User: "alice", Source: netip.MustParseAddr("10.99.0.2"), Ports: []knock.Port{ssh, dns}},
			want:    []string{"Username: alice", "Message Type: 1 (Access msg)", "Message String: 10.99.0.2,tcp/22,udp/53", "Client Timeout: 0"},
		},
		{
			name: "timeout", key: "alice.spa",
			request: Request{User: "alice", Source: netip.MustParseAddr("10.99.0.2"), Ports: justSSH, Timeout: 90 * time.Second},
			want:    []string{"Message Type: 3 (Client timeout access msg)", "Message String: 10.99.0.2,tcp/22", "Client Timeout: 90"},
		},
		{
			name: "any source", key: "alice.spa",
			request: Request{User: "alice", Source: netip.IPv4Unspecified(), Ports: justSSH},
			want:    []string{"Message String: 0.0.0.0,tcp/22"},
		},
		{
			name: "SHA512", key: "bob512.spa", access: "HMAC_DIGEST_TYPE sha512\n",
			request: Request{User: "bob", Source: netip.MustParseAddr("192.0.2.200"), Ports: justSSH},
			want:    []string{"HMAC Type: 5 (SHA512)", "Message String: 192.0.2.200,tcp/22"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key := readKey(t, tt.key)
			packet, err := key.Seal(tt.request, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			out := fwknopd(t, key, tt.access, packet)
			for _, want := range append(tt.want, "FKO Version: 3.0.0", "--test mode enabled, skipping firewall manipulation") {
				if !strings.Contains(out, want) {
					t.Errorf("fwknopd does not say %q", want)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// fwknopd returns what the real server says of a packet.
func fwknopd(t *testing.T, key Key, access string, packet []byte) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cipher, hmac := key.Base64()
	conf := write("fwknopd.conf", fmt.Appendf(nil, "PCAP_INTF lo;\nENABLE_SPA_PACKET_AGING Y;\nFWKNOP_RUN_DIR %s;\nFWKNOP_CONF_DIR %[1]s;\n", dir))
	accessConf := write("access.conf", fmt.Appendf(nil, "SOURCE ANY\nOPEN_PORTS tcp/22,udp/53\nKEY_BASE64 %s\nHMAC_KEY_BASE64 %s\n%s", cipher, hmac, access))
	capture := write("packets.pcap", pcap(packet))

	cmd := exec.CommandContext(t.Context(), "timeout", "20", "fwknopd", "--foreground", "--test", "-v", "-v", "--no-ipt-check-support",
		"--pcap-file", capture, "-C", "1", "-c", conf, "-a", accessConf, "-r", dir,
		"--digest-file", filepath.Join(dir, "digests"), "-p", filepath.Join(dir, "pid"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("fwknopd: %v\n%s", err, out)
	}
	return string(out)
}

// pcap returns a capture of one datagram to fwknop's port, over Ethernet.
func pcap(payload []byte) []byte {
	udp := binary.BigEndian.AppendUint16(nil, 40000)
	udp = binary.BigEndian.AppendUint16(udp, 62201)
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(payload)))
	udp = append(append(udp, 0, 0), payload...)
	ip := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 10, 99, 0, 2, 10, 99, 0, 1}
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(udp)))
	frame := append(bytes.Repeat([]byte{0}, 12), 0x08, 0x00)
	frame = append(append(frame, ip...), udp...)

	file := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	file = append(file, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	file = binary.LittleEndian.AppendUint32(file, 65535)
	file = binary.LittleEndian.AppendUint32(file, 1) // Ethernet
	file = binary.LittleEndian.AppendUint32(file, uint32(time.Now().Unix()))
	file = append(file, 0, 0, 0, 0)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(frame)))
	file = binary.LittleEndian.AppendUint32(file, uint32(len(frame)))
	return append(file, frame...)
}
