package grant

import (
	"errors"
	"testing"

	"nftknock/knock"
)

func TestParseSource(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "203.0.113.7/24": "203.0.113.0/24", "::ffff:203.0.113.7": "203.0.113.7",
		"2001:db8::7/64": "2001:db8::/64", "fe80::1%eth0": "fe80::1%eth0", "fe80::1": "fe80::1",
	} {
		if s, err := ParseSource(text); err != nil || s.String() != want {
			t.Errorf("%s: %v, %v, want %s", text, s, err, want)
		}
	}
	for _, text := range []string{
		"", "ssh", "203.0.113", "::ffff:203.0.113.0/120", "2001:db8::1%eth0", "fe80::1%abcdefghijklmnop", "fe80::/64%eth0",
	} {
		if _, err := ParseSource(text); !isPrefixError(err) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func isPrefixError(err error) bool {
	_, ok := errors.AsType[*PrefixError](err)
	return ok
}

func mustSource(t *testing.T, text string) Source {
	t.Helper()
	s, err := ParseSource(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is granted is what was asked for, or what the door grants with a knock if that is wider.
func TestFitSource(t *testing.T) {
	door := &knock.Door{Name: "ssh", IPv4Prefix: 24, IPv6Prefix: 64}
	for text, want := range map[string]string{
		"203.0.113.7": "203.0.113.0/24", "203.0.113.0/24": "203.0.113.0/24", "203.0.0.0/16": "203.0.0.0/16", "10.0.0.0/8": "10.0.0.0/8",
		"2001:db8::7": "2001:db8::/64", "2001:db8::/32": "2001:db8::/32", "fe80::7%eth0": "fe80::7%eth0",
	} {
		if s, err := mustSource(t, text).Fit(door); err != nil || s.String() != want {
			t.Errorf("%s: %v, %v, want %s", text, s, err, want)
		}
	}
	for _, text := range []string{"0.0.0.0/0", "10.0.0.0/7", "::/0", "2001:d00::/24", "fe80::7", "fe80::/64",
		"127.0.0.1", "127.0.0.0/8", "::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255"} {
		if s, err := mustSource(t, text).Fit(door); !isPrefixError(err) {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	if s, err := mustSource(t, "203.0.113.7").Fit(&knock.Door{IPv4Prefix: 4}); err != nil || s.String() != "192.0.0.0/4" {
		t.Errorf("a door that grants more: %v, %v", s, err)
	}
	if s, err := (Source{}).Fit(door); !isPrefixError(err) {
		t.Errorf("nobody: %v, %v", s, err)
	}
}
