package functional

import (
	"net/netip"
	"testing"

	"nftknock/integration/lab"
)

// TestWaysAround takes every way around a gate that is known, and gets nowhere.
func TestWaysAround(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, w := range lab.Ways {
			t.Run(w.Name, func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				s.Server.ServeBanner(t, 22)
				// Without a gate it would be a way.
				if !s.Client.Reaches(netip.AddrPortFrom(s.Source, 41000), netip.AddrPortFrom(s.Addr, 22), lab.Timeout) {
					t.Fatal("the service does not answer")
				}
				try := w.Begin(t, s)
				d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
				s.ExpectShut(t, s.Source, "22", lab.Silent)
				if through, of := try(t, keeperOfOurs(s, d)); through > 0 {
					t.Errorf("%d of %d got through", through, of)
				}
			})
		}
	})
}

func keeperOfOurs(s *lab.Topology, d *lab.Daemon) lab.Keeper {
	return lab.Keeper{
		Grant: func(t testing.TB, who netip.Addr) {
			d.Tell(t, "open", "ssh", who.String())
			s.WaitIn(t, "ssh", who)
		},
		Shut: func(t testing.TB, who netip.Addr) {
			d.Tell(t, "close", "ssh", who.String())
			s.WaitOut(t, "ssh", who)
		},
	}
}
