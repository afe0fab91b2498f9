package functional

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"nftknock/integration/lab"
	"nftknock/knock"
)

// TestClientCode knocks with a one-time code, which goes to one of the host's two
// addresses only: at the other one it would be spent.
func TestClientCode(t *testing.T) {
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	c := s.Server.Capture(t, 1)
	u := newUser(t, s.Client, fmt.Sprintf(`
[host.home]
host = "gate.test"
sequence = [7214, "8391:udp"]
close_sequence = [6127]
otp_secret = "%s"
otp_base = 40000
`, secret))
	here := resolving(t, "gate.test")
	begin := time.Now()
	u.run(t, here[0], append(here[1:], lab.Nftknock, "home")...)
	end := time.Now()
	got := func() []string { return c.Knocks(t, s.Addr) }
	lab.Eventually(t, "four knocks arrive", func() bool { return len(got()) >= 4 })

	// The code is of a moment in between.
	diff := ""
	for _, at := range []time.Time{begin, end} {
		if diff = cmp.Diff(append([]string{lab.Arrival("tcp", s.Addr, 7214, 0), lab.Arrival("udp", s.Addr, 8391, 1)},
			codeArrivals(t, s, secret, at)...), got()); diff == "" {
			break
		}
	}
	if diff != "" {
		t.Error(diff)
	}
	if other := c.Knocks(t, lab.IPv6.Addr(1, 0, 1)); len(other) != 4 {
		t.Errorf("what has arrived at both addresses: %q", other)
	}

	u.run(t, here[0], append(here[1:], lab.Nftknock, "-4", "--close", "home")...)
	lab.Eventually(t, "the closing sequence arrives, without a code", func() bool {
		return len(got()) == 5 && got()[4] == lab.Arrival("tcp", s.Addr, 6127, 0)
	})
}

func codeArrivals(t *testing.T, s *lab.Topology, secret string, at time.Time) (knocks []string) {
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
		knocks = append(knocks, lab.Arrival("tcp", s.Addr, p.Number, 0))
	}
	return knocks
}
