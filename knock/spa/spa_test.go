package spa

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"nftknock/knock"
)

var (
	noon    = time.Unix(1_800_000_000, 0)
	request = Request{User: "alice", Source: netip.MustParseAddr("192.0.2.7"), Ports: justSSH}
)

func seal(t testing.TB, key Key, r Request, at time.Time) []byte {
	t.Helper()
	packet, err := key.Seal(r, at)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// TestEveryByteChanged: whatever a stranger makes of a packet is not one. Were a changed
// packet accepted, it would be no replay of the first.
func TestEveryByteChanged(t *testing.T) {
	for _, v := range readVectors(t) {
		if v.Name != "access" && v.Name != "SHA512 HMAC" && v.Name != "timeout" {
			continue
		}
		keys := NewKeys(readKey(t, v.Key))
		open := func(packet []byte) error {
			_, err := keys.Open(packet, time.Unix(v.Time, 0), time.Minute)
			return err
		}
		packet := []byte(v.Packet)
		if err := open(packet); err != nil {
			t.Fatal(err)
		}
		for i := range packet {
			for b := range 256 {
				if packet[i] == byte(b) {
					continue
				}
				changed := bytes.Clone(packet)
				changed[i] = byte(b)
				if err := open(changed); err != Encoding && err != NoKey {
					t.Fatalf("%s: byte %d as %#x: %v", v.Name, i, b, err)
				}
			}
		}
		for n := range packet {
			for _, part := range [][]byte{packet[:n], packet[len(packet)-n:], append(bytes.Clone(packet), packet[:n+1]...)} {
				if err := open(part); err != Size && err != Encoding && err != NoKey {
					t.Fatalf("%s: %d bytes: %v", v.Name, len(part), err)
				}
			}
		}
		for _, around := range [][2]string{{"", "="}, {"", "\n"}, {"", "\r\n"}, {"", "\x00"}, {" ", ""}, {prefix, ""}, {"", "A"}, {"\n", ""}} {
			if err := open([]byte(around[0] + v.Packet + around[1])); err != Size && err != Encoding && err != NoKey {
				t.Errorf("%s between %q: %v", v.Name, around, err)
			}
		}
	}
}

func TestAge(t *testing.T) {
	key := NewKey("alice")
	keys := NewKeys(key)
	packet := seal(t, key, request, noon)
	const most = 2 * time.Minute
	for _, tt := range []struct {
		after time.Duration
		want  error
	}{
		{0, nil},
		{most, nil},
		{most + 999*time.Millisecond, nil}, // the packet knows whole seconds only
		{most + time.Second, Stale},
		{-most, nil},
		{-most - time.Second, Early},
		{100 * 365 * 24 * time.Hour, Stale},
	} {
		got, err := keys.Open(packet, noon.Add(tt.after), most)
		if !errors.Is(err, tt.want) {
			t.Errorf("%v later: %v, want %v", tt.after, err, tt.want)
		}
		if got.Key != "alice" || !got.Time.Equal(noon) || got.Digest == [32]byte{} {
			t.Errorf("%v later: %+v", tt.after, got)
		}
	}
}

// TestContents has messages that a holder of a key could send.
func TestContents(t *testing.T) {
	key := NewKey("alice")
	keys := NewKeys(key)
	b64 := func(s string) string { return encoding.EncodeToString([]byte(s)) }
	message := func(kind, text, rest string) string {
		return fmt.Sprintf("0123456789012345:%s:%d:3.0.0:%s:%s%s", b64("alice"), noon.Unix(), kind, b64(text), rest)
	}
	const good = "192.0.2.7,tcp/22"
	now := fmt.Sprint(noon.Unix())
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"good", message("1", good, ""), nil},
		{"good with timeout", message("3", good, ":60"), nil},
		{"timeout 0", message("3", good, ":0"), nil},
		{"IPv6", message("1", "2001:db8::7,tcp/22", ""), nil},
		{"older protocol", strings.Replace(message("1", good, ""), "3.0.0", "2.0.2", 1), nil},

		{"no timeout", message("3", good, ""), Malformed},
		{"empty timeout", message("3", good, ":"), Malformed},
		{"negative timeout", message("3", good, ":-1"), Malformed},
		{"signed timeout", message("3", good, ":+1"), Malformed},
		{"timeout too long", message("3", good, ":65536"), Malformed},
		{"timeout huge", message("3", good, ":18446744073709551617"), Malformed},
		{"server auth", message("1", good, ":"+b64("crypt,pw")), Malformed},
		{"timeout of type 1", message("1", good, ":60"), Malformed},
		{"many fields", message("1", good, strings.Repeat(":", 60)), Malformed},
		{"unknown type", message("7", good, ""), Malformed},
		{"type with zero", message("01", good, ""), Malformed},
		{"no type", message("", good, ""), Malformed},
		{"command", message("0", "192.0.2.7,reboot", ""), Command},
		{"NAT", message("2", good, ":"+b64("10.0.0.5,22")), NAT},
		{"NAT, timeout", message("4", good, ":"+b64("10.0.0.5,22")+":9"), NAT},
		{"local NAT", message("5", good, ":"+b64("10.0.0.5,22")), NAT},
		{"local NAT, timeout", message("6", good, ":"+b64("10.0.0.5,22")+":9"), NAT},
		{"message not base64", "0123456789012345:" + b64("alice") + ":" + now + ":3.0.0:1:%%%%%%%%%%%%%%%%%%%%%%%", Malformed},
		{"message padded", message("1", good, "=="), Malformed},
		{"message broken over lines", message("1", good, "\n"), Malformed},
		{"no message", message("1", "", strings.Repeat("=", 20)), Malformed},
		{"no comma", message("1", "192.0.2.7.tcp/22", ""), Malformed},
		{"user not base64", "0123456789012345:al!ce:" + now + ":3.0.0:1:" + b64(good), Malformed},
		{"user with control characters", "0123456789012345:" + b64("a\nb") + ":" + now + ":3.0.0:1:" + b64(good), Malformed},
		{"user with 49 characters", "0123456789012345:" + b64(strings.Repeat("a", 49)) + ":" + now + ":3.0.0:1:" + b64(good), Malformed},
		{"no user", "0123456789012345::" + now + ":3.0.0:1:" + b64(good), Malformed},
		{"random with letters", "012345678901234x:" + b64("alice") + ":" + now + ":3.0.0:1:" + b64(good), Undecipherable},
		{"random too long", "01234567890123456:" + b64("alice") + ":" + now + ":3.0.0:1:" + b64(good), Undecipherable},
		{"time with letters", "0123456789012345:" + b64("alice") + ":18e8:3.0.0:1:" + b64(good), Malformed},
		{"time negative", "0123456789012345:" + b64("alice") + ":-1800000000:3.0.0:1:" + b64(good), Malformed},
		{"time too long", "0123456789012345:" + b64("alice") + ":1800000000000:3.0.0:1:" + b64(good), Malformed},
		{"version 1", strings.Replace(message("1", good, ""), "3.0.0", "1.9.1", 1), Malformed},
		{"version with letters", strings.Replace(message("1", good, ""), "3.0.0", "3.0.x", 1), Malformed},

		{"no address", message("1", ",tcp/22,tcp/22", ""), Address},
		{"name for address", message("1", "host.example,tcp/22", ""), Address},
		{"address with zero", message("1", "192.0.2.07,tcp/22", ""), Address},
		{"address with zone", message("1", "fe80::1%eth0,tcp/22", ""), Address},
		{"prefix", message("1", "192.0.2.0/24,tcp/22", ""), Address},
		{"no port", message("1", "192.0.2.7,tcp/", ""), Ports},
		{"port 0", message("1", "192.0.2.7,tcp/0", ""), Ports},
		{"port 65536", message("1", "192.0.2.7,tcp/65536", ""), Ports},
		{"signed port", message("1", "192.0.2.7,tcp/+22", ""), Ports},
		{"comma at the end", message("1", "192.0.2.7,tcp/22,", ""), Ports},
		{"other protocol", message("1", "192.0.2.7,icmp/8", ""), Ports},
		{"protocol in capitals", message("1", "192.0.2.7,TCP/22", ""), Ports},
		{"port of knock(1)", message("1", "192.0.2.7,22:udp", ""), Ports},
		{"second port bad", message("1", "192.0.2.7,tcp/22,sctp/5", ""), Ports},
	} {
		packet := key.seal(tt.text, make([]byte, saltSize))
		got, err := keys.Open(packet, noon, time.Minute)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if got.Key != "alice" || got.Digest == [32]byte{} {
			t.Errorf("%s: %+v", tt.name, got)
		}
		if err == nil && len(got.Ports) == 0 {
			t.Errorf("%s: accepted without ports", tt.name)
		}
		if reason, ok := err.(Reason); ok && !reason.Authenticated() {
			t.Errorf("%s: %v, although the HMAC was right", tt.name, err)
		}
	}

	t.Run("IPv4 mapped into IPv6", func(t *testing.T) {
		got, err := keys.Open(key.seal(message("1", "::ffff:192.0.2.7,tcp/22", ""), make([]byte, saltSize)), noon, time.Minute)
		if err != nil || got.Source != netip.MustParseAddr("192.0.2.7") {
			t.Errorf("%v, %v", got.Source, err)
		}
	})
	t.Run("other encryption key", func(t *testing.T) {
		other := NewKey("alice")
		other.hmac = key.hmac
		if _, err := keys.Open(seal(t, other, request, noon), noon, time.Minute); err != Undecipherable {
			t.Error(err)
		}
	})
}

// TestDigest: it tells packets apart and knows one again, whoever else's key is there.
func TestDigest(t *testing.T) {
	alice, bob := NewKey("alice"), NewKey("bob")
	packet := seal(t, alice, request, noon)
	first, err := NewKeys(alice, bob).Open(packet, noon, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewKeys(bob, alice).Open(packet, noon.Add(time.Second), time.Hour)
	if err != nil || again.Digest != first.Digest {
		t.Error("the same packet has another digest")
	}
	other, err := NewKeys(alice).Open(seal(t, alice, request, noon), noon, time.Minute)
	if err != nil || other.Digest == first.Digest {
		t.Error("another packet has the same digest")
	}
}

func TestDiagnoseGPG(t *testing.T) {
	packet, err := os.ReadFile("testdata/gpg.packet")
	if err != nil {
		t.Fatal(err)
	}
	keys := NewKeys(readKey(t, "stranger.spa"), readKey(t, "alice.spa"))
	_, err = keys.Open(packet, noon, time.Minute)
	if err != Size {
		t.Fatal(err)
	}
	if reason, key := keys.Diagnose(packet, Size); reason != GPG || key != "alice" {
		t.Errorf("%v, %q", reason, key)
	}
}

// TestDiagnoseNothing: a packet that is none of ours keeps its reason.
func TestDiagnoseNothing(t *testing.T) {
	keys := NewKeys(NewKey("alice"))
	for n := range 600 {
		if reason, key := keys.Diagnose(bytes.Repeat([]byte("8"), n), NoKey); reason != NoKey || key != "" {
			t.Fatalf("%d bytes: %v, %q", n, reason, key)
		}
	}
	if reason, _ := keys.Diagnose(nil, Stale); reason != Stale {
		t.Error(reason)
	}
}

func TestHash(t *testing.T) {
	for _, tt := range []struct {
		sealed, accepted Hash
		want             error
	}{
		{AnyHash, AnyHash, nil}, {SHA256, AnyHash, nil}, {SHA512, AnyHash, nil},
		{SHA256, SHA256, nil}, {SHA512, SHA512, nil},
		{SHA512, SHA256, NoKey}, {SHA256, SHA512, NoKey},
	} {
		key := NewKey("alice")
		key.Hash = tt.sealed
		packet := seal(t, key, request, noon)
		key.Hash = tt.accepted
		keys := NewKeys(key)
		_, err := keys.Open(packet, noon, time.Minute)
		if !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
		if err != nil {
			if reason, name := keys.Diagnose(packet, NoKey); reason != HMACType || name != "alice" {
				t.Errorf("%+v: %v, %q", tt, reason, name)
			}
		}
	}
}

// TestSealOpen: what is asked for is what is read.
func TestSealOpen(t *testing.T) {
	key := NewKey("alice")
	keys := NewKeys(NewKey("bob"), key)
	rapid.Check(t, func(t *rapid.T) {
		var source netip.Addr
		if rapid.Bool().Draw(t, "v6") {
			source = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address"))).Unmap()
		} else {
			source = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
		}
		if source.IsUnspecified() {
			source = netip.IPv4Unspecified()
		}
		want := Packet{
			Request: Request{
				User:   rapid.StringMatching(`[A-Za-z0-9 ._@-]{1,20}`).Draw(t, "user"),
				Source: source,
				Ports: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) knock.Port {
					return knock.Port{
						Number: rapid.Uint16Min(1).Draw(t, "number"),
						Proto:  rapid.SampledFrom([]knock.Proto{knock.TCP, knock.UDP}).Draw(t, "proto"),
					}
				}), 1, 6).Draw(t, "ports"),
				Timeout: time.Duration(rapid.IntRange(0, 65535).Draw(t, "timeout")) * time.Second,
			},
			Key:  "alice",
			Time: time.Unix(rapid.Int64Range(0, 4_000_000_000).Draw(t, "time"), 0),
		}
		packet, err := key.Seal(want.Request, want.Time)
		if err != nil {
			t.Fatal(err)
		}
		if len(packet) < MinSize || len(packet) > maxPacket {
			t.Fatalf("%d bytes", len(packet))
		}
		got, err := keys.Open(packet, want.Time, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		want.Digest = got.Digest
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestSealRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Request)
		want   string
	}{
		{"no user", func(r *Request) { r.User = "" }, "user name"},
		{"user with colon", func(r *Request) { r.User = "a:b" }, "user name"},
		{"long user", func(r *Request) { r.User = strings.Repeat("a", 49) }, "1 to 48 "},
		{"no address", func(r *Request) { r.Source = netip.Addr{} }, "address"},
		{"zone", func(r *Request) { r.Source = netip.MustParseAddr("fe80::1%eth0") }, "without zone"},
		{"no ports", func(r *Request) { r.Ports = nil }, "no port"},
		{"port 0", func(r *Request) { r.Ports = []knock.Port{{Proto: knock.TCP}} }, "1 to 65535"},
		{"other protocol", func(r *Request) { r.Ports = []knock.Port{{Number: 1, Proto: 132}} }, "TCP or UDP"},
		{"many ports", func(r *Request) { r.Ports = fortyPorts() }, "40 ports are too many"},
		{"short timeout", func(r *Request) { r.Timeout = time.Millisecond }, "whole seconds"},
		{"odd timeout", func(r *Request) { r.Timeout = 1500 * time.Millisecond }, "whole seconds"},
		{"long timeout", func(r *Request) { r.Timeout = 65536 * time.Second }, "1 to 65535"},
	} {
		r := request
		tt.change(&r)
		if _, err := NewKey("alice").Seal(r, noon); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func fortyPorts() (ports []knock.Port) {
	for i := range 40 {
		ports = append(ports, knock.Port{Number: uint16(i + 1), Proto: knock.TCP})
	}
	return ports
}

func TestReasons(t *testing.T) {
	names := make(map[string]bool)
	for _, r := range AllReasons() {
		if names[r.String()] || r.String() == "" || r.Error() == "" || strings.ContainsAny(r.String(), " -") {
			t.Errorf("%d: %q, %q", r, r, r.Error())
		}
		names[r.String()] = true
	}
	if Reason(0).Error() != "unknown reason" || Reason(255).String() != "unknown" {
		t.Error("what is no reason has no name")
	}
}

func FuzzOpen(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add([]byte(v.Packet))
	}
	keys := NewKeys(readKey(f, "alice.spa"), readKey(f, "bob.spa"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		got, err := keys.Open(packet, noon, 100*365*24*time.Hour)
		if err == nil {
			if len(got.Ports) == 0 || !got.Source.IsValid() || got.Key == "" || len(packet) > maxPacket {
				t.Fatalf("accepted: %+v", got)
			}
			return
		}
		reason, ok := err.(Reason)
		if !ok || reason == 0 || reason >= reasonEnd {
			t.Fatalf("no reason: %v", err)
		}
		keys.Diagnose(packet, reason)
	})
}

// FuzzMessage has what the holder of a key can send.
func FuzzMessage(f *testing.F) {
	keys := NewKeys(readKey(f, "alice.spa"))
	for _, v := range readVectors(f) {
		if v.Key != "alice.spa" {
			continue
		}
		if message, ok := decrypt(keys.keys[0].cipher, []byte(prefix+v.Packet[:len(v.Packet)-sha256Text])); ok {
			f.Add(string(message[:bytes.LastIndexByte(message, ':')]))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		packet := keys.keys[0].seal(text, make([]byte, saltSize))
		got, err := keys.Open(packet, noon, 1e6*time.Hour)
		if err != nil {
			return
		}
		// What was accepted can be said again, in our words.
		again, err := got.Request.text("0123456789012345", got.Time)
		if err != nil {
			t.Fatalf("%q: accepted, and cannot be said: %v", text, err)
		}
		same, err := keys.Open(keys.keys[0].seal(again, make([]byte, saltSize)), noon, 1e6*time.Hour)
		if err != nil && err != Size {
			t.Fatalf("%q: said as %q: %v", text, again, err)
		}
		if err == nil && fmt.Sprint(same.Request) != fmt.Sprint(got.Request) && !got.Source.IsUnspecified() {
			t.Fatalf("%q: said as %q", text, again)
		}
	})
}

func TestRefusingTakesNoMemory(t *testing.T) {
	keys := hundredKeys()
	for _, packet := range [][]byte{
		seal(t, NewKey("stranger"), request, noon), // all that a packet needs but the key
		randomText(204), randomText(205), make([]byte, 204), nil,
	} {
		if n := testing.AllocsPerRun(100, func() { _, _ = keys.Open(packet, noon, time.Minute) }); n != 0 {
			t.Errorf("%d bytes: %v allocations", len(packet), n)
		}
	}
}

func hundredKeys() *Keys {
	var keys []Key
	for i := range 100 {
		keys = append(keys, NewKey(fmt.Sprint("key", i)))
	}
	return NewKeys(keys...)
}

func randomText(n int) []byte {
	raw := make([]byte, n)
	rand.Read(raw)
	return encoding.AppendEncode(nil, raw)[:n]
}

// BenchmarkOpen100Keys is what a datagram costs with 100 keys.
func BenchmarkOpen100Keys(b *testing.B) {
	b.Run("other size", func(b *testing.B) { benchmarkOpen(b, hundredKeys(), [][]byte{randomText(200)}) })
	b.Run("random text", func(b *testing.B) {
		var packets [][]byte
		for range 4096 {
			packets = append(packets, randomText(204))
		}
		benchmarkOpen(b, hundredKeys(), packets)
	})
	b.Run("made for it", func(b *testing.B) {
		benchmarkOpen(b, hundredKeys(), [][]byte{seal(b, NewKey("stranger"), request, noon)})
	})
	b.Run("made for it, any hash", func(b *testing.B) {
		keys := hundredKeys()
		var all []Key
		for _, v := range keys.keys {
			v.Hash = AnyHash
			all = append(all, v.Key)
		}
		r := request
		r.Ports = fortyPorts()[:9]
		packet := seal(b, NewKey("stranger"), r, noon)
		benchmarkOpen(b, NewKeys(all...), [][]byte{packet})
	})
	b.Run("genuine", func(b *testing.B) {
		keys := hundredKeys()
		benchmarkOpen(b, keys, [][]byte{seal(b, keys.keys[99].Key, request, noon)})
	})
}

func benchmarkOpen(b *testing.B, keys *Keys, packets [][]byte) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, _ = keys.Open(packets[i%len(packets)], noon, time.Minute)
	}
}
