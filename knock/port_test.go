package knock

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParsePort(t *testing.T) {
	const notPort = " is not a port: write a number from 1 to 65535, followed by :udp for UDP"
	const notProto = ": tcp and udp are possible"
	for _, test := range []struct {
		in   string
		want Port
		err  string
	}{
		{in: "7000", want: Port{7000, TCP}},
		{in: "7000:tcp", want: Port{7000, TCP}},
		{in: "7000:udp", want: Port{7000, UDP}},
		{in: "7000:UDP", want: Port{7000, UDP}},
		{in: "7000:Tcp", want: Port{7000, TCP}},
		{in: "1", want: Port{1, TCP}},
		{in: "65535", want: Port{65535, TCP}},
		{in: "0022", want: Port{22, TCP}},

		{in: "", err: `""` + notPort},
		{in: "0", err: `"0"` + notPort},
		{in: "0:udp", err: `"0:udp"` + notPort},
		{in: "65536", err: `"65536"` + notPort},
		{in: "99999999999999999999", err: `"99999999999999999999"` + notPort},
		{in: "-1", err: `"-1"` + notPort},
		{in: "+7000", err: `"+7000"` + notPort},
		{in: "0x1f", err: `"0x1f"` + notPort},
		{in: "7_000", err: `"7_000"` + notPort},
		{in: " 7000", err: `" 7000"` + notPort},
		{in: "7000 ", err: `"7000 "` + notPort},
		{in: "ssh", err: `"ssh"` + notPort},
		{in: ":udp", err: `":udp"` + notPort},
		{in: "7000-7010", err: `"7000-7010"` + notPort},
		{in: "7000:", err: `"7000:": unknown protocol ""` + notProto},
		{in: "7000:sctp", err: `"7000:sctp": unknown protocol "sctp"` + notProto},
		{in: "7000:udp:", err: `"7000:udp:": unknown protocol "udp:"` + notProto},
		{in: "7000: udp", err: `"7000: udp": unknown protocol " udp"` + notProto},
		{in: "udp:7000", err: `"udp:7000": unknown protocol "7000"` + notProto},
		{in: "7000\n:udp", err: `"7000\n:udp"` + notPort},
	} {
		got, err := ParsePort(test.in)
		if got != test.want {
			t.Errorf("%q: got %v, want %v", test.in, got, test.want)
		}
		var message string
		if err != nil {
			message = err.Error()
		}
		if message != test.err {
			t.Errorf("%q: got error %q, want %q", test.in, message, test.err)
		}
	}
}

func TestPortString(t *testing.T) {
	for _, test := range []struct {
		port Port
		want string
	}{
		{Port{7000, TCP}, "7000"},
		{Port{7000, UDP}, "7000:udp"},
		{Port{7000, 132}, "7000:protocol 132"},
	} {
		if got := test.port.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	if got := TCP.String(); got != "tcp" {
		t.Errorf("TCP is %q", got)
	}
}

func TestPortRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		port := Port{
			Number: rapid.Uint16Min(1).Draw(t, "number"),
			Proto:  rapid.SampledFrom([]Proto{TCP, UDP}).Draw(t, "proto"),
		}
		for _, s := range []string{port.String(), strings.ToUpper(port.String())} {
			if got, err := ParsePort(s); got != port || err != nil {
				t.Fatalf("%q: got %v, %v", s, got, err)
			}
		}
	})
}

// Whatever ParsePort accepts, String can say.
func TestParsePortAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[ +-]?[0-9a-f]{0,6}(:[a-zA-Z]{0,3}:?)?`).Draw(t, "port")
		port, err := ParsePort(s)
		if err != nil {
			if port != (Port{}) {
				t.Fatalf("%q: got %v with %v", s, port, err)
			}
			return
		}
		if again, err := ParsePort(port.String()); again != port || err != nil {
			t.Fatalf("%q: %v is read as %v, %v", s, port, again, err)
		}
	})
}
