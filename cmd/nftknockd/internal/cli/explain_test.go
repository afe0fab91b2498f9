package cli

import (
	"bytes"
	"strings"
	"testing"

	"nftknock/config"
)

func TestExplainConfig(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse("test.toml", []byte(`
interfaces   = ["eth0"]
always_allow = ["192.0.2.0/24", "2001:db8::/48"]
[door.ssh]
ports          = [22, "51820:udp"]
sequence       = [7214, 8391, 6127]
close_sequence = [6127, 8391, 7214]
shut           = "reject"
ipv6_prefix    = 64
[door.web]
ports        = [443]
spa_keys     = ["alice.spa", "bob.spa"]
open_timeout = "forever"
`))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	explainConfig(&text, cfg)
	for _, want := range []string{
		"on eth0 alone; what arrives on other interfaces is let through",
		"Who comes from 192.0.2.0/24 or 2001:db8::/48 never needs to knock.",
		"Door ssh guards TCP port 22 and UDP port 51820.",
		"A stranger gets what a closed port answers.",
		"It opens to 3 knocks in the right order, within 15s.",
		"(/32 of IPv4, /64 of IPv6) may begin connections for 1m",
		"an encrypted packet of alice or bob to port 62201:udp",
		"may connect until it is put out",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
	for _, secret := range []string{"7214", "8391", "6127"} {
		if strings.Contains(text.String(), secret) {
			t.Errorf("it shows a knock:\n%s", &text)
		}
	}
}
