package trial

import (
	"net/netip"
	"testing"
)

func TestHexAddrPort(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:0016":                         "127.0.0.1:22",
		"0302010A:01BB":                         "10.1.2.3:443",
		"B80D0120000000000000000001000000:0050": "[2001:db8::1]:80",
		"0000000000000000FFFF00000302010A:0016": "10.1.2.3:22", // IPv4 at a socket of both families
	} {
		if got, ok := hexAddrPort(text); !ok || got != netip.MustParseAddrPort(want) {
			t.Errorf("%s: %v, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", ":", "0100007F", "0100007F:", "0100007F:10000", "01007F:0016", "0100007G:0016", "local_address"} {
		if got, ok := hexAddrPort(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}
