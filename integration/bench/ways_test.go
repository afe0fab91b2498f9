package bench

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// reportWays takes each way around a gate that is known, at nftknockd and at its peers.
func reportWays(t *testing.T, r *benchReport) {
	columns := []struct {
		name   string
		system system
		family lab.Family
	}{
		{nameOfOurs + ", IPv4", systems[0], lab.IPv4},
		{nameOfOurs + ", IPv6", systems[0], lab.IPv6},
		{systems[1].name, systems[1], lab.IPv4},
		{systems[2].name, systems[2], lab.IPv4},
	}
	type result struct{ through, of int }
	results := make([][]result, len(lab.Ways))
	// No time is measured here, so that all may be tried at once.
	t.Run("all", func(t *testing.T) {
		for i, way := range lab.Ways {
			results[i] = make([]result, len(columns))
			for j, c := range columns {
				t.Run(c.name+"/"+way.Name, func(t *testing.T) {
					t.Parallel()
					results[i][j].through, results[i][j].of = c.system.goAround(t, way, c.family)
				})
			}
		}
	})

	rows := [][]string{{""}}
	for _, c := range columns {
		rows[0] = append(rows[0], c.name)
	}
	through, of := 0, 0
	for i, way := range lab.Ways {
		row := []string{way.Name}
		for j, c := range columns {
			got := results[i][j]
			row = append(row, fmt.Sprintf("%d of %d", got.through, got.of))
			if c.system.name == nameOfOurs {
				through, of = through+got.through, of+got.of
			}
		}
		rows = append(rows, row)
	}

	r.heading("Ways around")
	r.say(`
How often somebody got through a shut gate, or was told of the port behind it, who was not let in or whose door had shut.
Each is what the source of [the tests](lab/way.go) does, from a host on the same link: two packets that make connection tracking
believe in a connection, a port that the kernel remembers, a cookie, a route that a rule has not thought of. The peers
are as their manual and the wiki have them: "established" and "related" pass.`)
	r.table(rows)
	r.targets(exactly("ways/through", "ways that led through", fmt.Sprintf("%d of %d", through, of), fmt.Sprintf("0 of %d", of)))
}

// goAround takes a way around a system, on hosts of its own.
func (sys system) goAround(t testing.TB, way lab.Way, f lab.Family) (through, of int) {
	t.Helper()
	s := lab.NewTopology(t, f)
	s.Server.ServeBanner(t, 22)
	try := way.Begin(t, s)
	running := sys.start(t, s, lab.SSHSequence)
	defer running.stop()
	if f == lab.IPv6 { // ours alone
		sys.open = []string{"inet", lab.GateTable, f.OpenSet("ssh")}
	}
	in := func(who netip.Addr) bool { return isIn(t, s, sys, who) }
	return try(t, lab.Keeper{
		Grant: func(t testing.TB, who netip.Addr) {
			// knockd misses knocks when the machine is busy, and people knock again.
			lab.Eventually(t, fmt.Sprintf("%s lets %v in", sys.name, who), func() bool {
				s.Knock(t, who, lab.SSHSequence...)
				for deadline := time.Now().Add(2 * time.Second); !in(who); time.Sleep(lab.PollInterval) {
					if time.Now().After(deadline) {
						return false
					}
				}
				return true
			})
		},
		Shut: func(t testing.TB, who netip.Addr) {
			running.shut(t, who)
			lab.Eventually(t, fmt.Sprintf("%s lets %v out", sys.name, who), func() bool { return !in(who) })
		},
	})
}
