package integration

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"nftknock/knock"
)

// TestClientCode knocks with a one-time code, which goes to one of the host's two
// addresses only: at the other one it would be spent.
func TestClientCode(t *testing.T) {
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	t.Parallel()
	s := newSite(t, ipv4)
	c := s.server.capture(t, 1)
	u := newUser(t, s.client, fmt.Sprintf(`
[host.home]
host = "gate.test"
sequence = [7214, "8391:udp"]
close_sequence = [6127]
otp_secret = "%s"
otp_base = 40000
`, secret))
	here := s.resolving(t, "gate.test")
	begin := time.Now()
	u.run(t, here[0], append(here[1:], nftknock, "home")...)
	end := time.Now()
	got := func() []string { return c.knocks(t, s.addr) }
	eventually(t, "four knocks arrive", func() bool { return len(got()) >= 4 })

	// The code is of a moment in between.
	diff := ""
	for _, at := range []time.Time{begin, end} {
		if diff = cmp.Diff(append([]string{arrival("tcp", s.addr, 7214, 0), arrival("udp", s.addr, 8391, 1)},
			codeArrivals(t, s, secret, at)...), got()); diff == "" {
			break
		}
	}
	if diff != "" {
		t.Error(diff)
	}
	if other := c.knocks(t, ipv6.addr(1, 0, 1)); len(other) != 4 {
		t.Errorf("what has arrived at both addresses: %q", other)
	}

	u.run(t, here[0], append(here[1:], nftknock, "-4", "--close", "home")...)
	eventually(t, "the closing sequence arrives, without a code", func() bool {
		return len(got()) == 5 && got()[4] == arrival("tcp", s.addr, 6127, 0)
	})
}

func codeArrivals(t *testing.T, s *site, secret string, at time.Time) (knocks []string) {
	t.Helper()
	text, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	code, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range knock.SpellCode(40000, code) {
		knocks = append(knocks, arrival("tcp", s.addr, p.Number, 0))
	}
	return knocks
}
