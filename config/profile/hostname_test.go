package profile

import (
	"strings"
	"testing"
)

func TestLookupHost(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"server.example.org":    "server.example.org",
		"my_server":             "my_server",
		"192.0.2.1":             "192.0.2.1",
		"2001:db8::1":           "2001:db8::1",
		"fe80::1%eth0":          "fe80::1%eth0",
		"[fd99::1]":             "fd99::1",
		"[fe80::1%eth0]":        "fe80::1%eth0",
		"bücher.example":        "xn--bcher-kva.example",
		"BÜCHER.example":        "xn--bcher-kva.example",
		"пример.example":        "xn--e1afmkfd.example",
		"xn--bcher-kva.example": "xn--bcher-kva.example",
		"":                      "! is empty",
		"two words":             "! neither a name nor an address",
		"-4":                    "! neither a name nor an address",
		"host:22":               `! it has ":" in it`,
		"me@host":               `! it has "@" in it`,
		"eth0%host":             `! it has "%" in it`,
		"*":                     `! it has "*" in it`,
		"a,b":                   `! it has "," in it`,
		"[192.0.2.1]":           "! not an IPv6 address in brackets",
		"[fd99::1]:22":          "! without a port",
		"[fd99::1":              "! not an IPv6 address in brackets",
		"a\u200bb.example":      "! neither a name nor an address",
		"bü cher.example":       "! neither a name nor an address",
		"-ü.example":            "! neither a name nor an address",
		"ü-.example":            "! write it as it is registered, which begins with xn--",
		"א1a.example":           "! write it as it is registered, which begins with xn--",
	} {
		got, err := LookupHost(written)
		if fault, ok := strings.CutPrefix(want, "! "); ok {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%q: %q, %v, want an error that says %q", written, got, err, fault)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", written, got, err, want)
		}
	}
}
