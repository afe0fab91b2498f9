package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInterfaceWarnings(t *testing.T) {
	links := []Link{
		{Name: "lo", Loopback: true},
		{Name: "eth0", AltNames: []string{"enp3s0"}},
		{Name: "eth1", Master: "br0", Kind: "bridge"},
		{Name: "eth2", Master: "red", Kind: "vrf"},
		{Name: "br0"}, {Name: "red"},
	}
	for _, tt := range []struct {
		toml string
		want []string
	}{
		{"", nil},
		{`interfaces = ["eth0", "br0", "red"]`, nil},
		{`interfaces = ["eth1", "eth2"]`, []string{
			`f.toml:1: interfaces: eth1 is a port of the bridge br0, under whose name its packets arrive: nothing is guarded there: write "br0"`,
			`f.toml:1: interfaces: eth2 is a port of the VRF red, under whose name its packets arrive: nothing is guarded there: write "red"`,
		}},
		{"\ninterfaces = [\"ens3\", \"enp3s0\"]", []string{
			`f.toml:2: interfaces: ens3 is not there now: nothing is guarded by this name until it comes; there are: eth0, br0, red`,
			`f.toml:2: interfaces: enp3s0 is an altname of eth0, and packets arrive under its first name: nothing is guarded there: write "eth0"`,
		}},
	} {
		c := mustParse(t, tt.toml)
		if diff := cmp.Diff(tt.want, texts(c.InterfaceWarnings(links))); diff != "" {
			t.Error(diff)
		}
		if got := c.InterfaceWarnings(nil); got != nil {
			t.Errorf("of interfaces that are not known: %v", got)
		}
	}
	c := mustParse(t, `interfaces = ["ens3"]`)
	want := []string{`f.toml:1: interfaces: ens3 is not there now: nothing is guarded by this name until it comes; there are: none but loopback`}
	if diff := cmp.Diff(want, texts(c.InterfaceWarnings(links[:1]))); diff != "" {
		t.Error(diff)
	}
	// The host's warnings have them too.
	c = mustParse(t, `interfaces = ["ens3"]`+"\n[door.ssh]\nports = [22]\nsequence = [2201, 3302, 1103]")
	if got := c.Warnings(Host{Links: links[:1]}); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
