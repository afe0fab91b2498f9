package knocker

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/config/profile"
)

func TestGroup(t *testing.T) {
	t.Parallel()
	list := func(s string) (addrs []netip.Addr) {
		for _, word := range strings.Fields(s) {
			addrs = append(addrs, netip.MustParseAddr(word))
		}
		return addrs
	}
	for _, test := range []struct {
		addrs, want string
		single      bool
	}{
		{addrs: "192.0.2.1", want: "[[192.0.2.1]]"},
		{addrs: "2001:db8::1 192.0.2.1 192.0.2.2", want: "[[2001:db8::1 192.0.2.1] [192.0.2.2]]"},
		{addrs: "192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2", want: "[[192.0.2.1 2001:db8::1] [192.0.2.2 2001:db8::2]]"},
		{addrs: "2001:db8::1 192.0.2.1", single: true, want: "[[2001:db8::1] [192.0.2.1]]"},
		{addrs: "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 2001:db8::1", single: true, want: "[[192.0.2.1] [192.0.2.2] [192.0.2.3] [192.0.2.4]]"},
	} {
		if diff := cmp.Diff(test.want, fmt.Sprint(group(list(test.addrs), test.single))); diff != "" {
			t.Errorf("%s: %s", test.addrs, diff)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	loopback, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Skip(err)
	}
	for host, want := range map[string]string{
		"127.0.0.1":            "[[127.0.0.1]]",
		"::ffff:127.0.0.1":     "[[127.0.0.1]]",
		"fe80::1":              "is on every link of this machine: write which one, such as fe80::1%eth0",
		"fe80::1%nowhere":      `this machine has no interface "nowhere"`,
		"host:22":              `the host "host:22" is neither a name nor an address`,
		"::1%" + loopback.Name: "[[::1%" + loopback.Name + "]]",
		"[fe80::1%nowhere]":    `this machine has no interface "nowhere"`,
		"nothing.invalid":      "nothing.invalid",
		"ü-.example":           "cannot be looked up as an internationalized name",
	} {
		at, err := addresses(&Target{Profile: profile.Profile{Host: host, Family: profile.AnyFamily}})
		if got := fmt.Sprint(at, err); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}
