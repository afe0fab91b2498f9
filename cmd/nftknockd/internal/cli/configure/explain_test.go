package configure

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
[door.all]
ports           = [80]
sequence        = [7215, "8392:udp"]
otp_secret_file = "all.otp"
otp_base        = 20000
spa_keys        = ["alice.spa"]
[door.wake]
sequence       = [25565]
close_sequence = [4127, 4391]
[door.once]
ports    = [81]
sequence = [4312]
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
		"Another sequence, of 3 knocks in the right order, shuts it again",
		"It opens to one encrypted packet of alice or bob to port 62201:udp, without a knock or a code.",
		"It opens to either of these:\n    - 2 knocks in the right order followed by the one-time code of the moment, which is knocked too, all within 15s;\n" +
			"    - one encrypted packet of alice to port 62201:udp, without a knock or a code.\n",
		"Door wake is a trigger: it guards no port, and makes the events that hooks are run for.\n  It is set off by 1 knock, within 15s.\n" +
			"  That is the event \"granted\"; \"expired\" follows after 1m.\n  Another sequence, of 2 knocks in the right order, is the event \"revoked\".\n",
		"It opens to 1 knock, within 15s.",
		"Each protocol with knocks has 32 decoys.",
		"may connect until revoked",
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
