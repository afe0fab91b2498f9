package integration

import (
	"net/netip"
	"testing"
)

// TestWaysAround takes every way around a gate that is known, and gets nowhere.
func TestWaysAround(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		for _, w := range ways {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, f)
				s.server.serveBanner(t, 22)
				// Without a gate it would be a way.
				if !s.client.reaches(netip.AddrPortFrom(s.person, 41000), netip.AddrPortFrom(s.addr, 22), aWhile) {
					t.Fatal("the service does not answer")
				}
				try := w.begin(t, s)
				d := startDaemon(t, s.server, sshDoor)
				s.expectShut(t, s.person, "22", silent)
				if through, of := try(t, keeperOfOurs(s, d)); through > 0 {
					t.Errorf("%d of %d got through", through, of)
				}
			})
		}
	})
}

func keeperOfOurs(s *site, d *daemon) keeper {
	return keeper{
		letIn: func(t testing.TB, who netip.Addr) {
			d.tell(t, "open", "ssh", who.String())
			s.waitIn(t, "ssh", who)
		},
		shut: func(t testing.TB, who netip.Addr) {
			d.tell(t, "close", "ssh", who.String())
			s.waitOut(t, "ssh", who)
		},
	}
}
