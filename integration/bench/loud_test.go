package bench

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nftknock/integration/lab"
)

const (
	peopleBesideLoud = 20
	loudFor          = 3 * time.Second

	// sourcesToFill is more than the kernel's set of sources holds.
	sourcesToFill = 150_000
)

// reportLoud measures what a single source can do that floods a knock port.
func reportLoud(t *testing.T, r *benchReport) {
	s := newBenchSite(t)
	p := newKnockTimer(t, s)
	d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
	to := netip.AddrPortFrom(s.Addr, 7214)

	cpu := lab.CPUTime(t, d.Cmd.Process.Pid)
	f := sendFor(t, p.wire, forgeSYNsFrom(p.wire, lab.IPv4.Addr(3, 0, 1), to), loudFor)
	cpu = lab.CPUTime(t, d.Cmd.Process.Pid) - cpu

	beside := startFlood(t, p.wire, forgeSYNsFrom(p.wire, lab.IPv4.Addr(3, 0, 2), to), 0, mostOfFlood)
	others := p.knock(t, peopleBesideLoud)
	beside.stop(t)

	sendCount(t, p.wire, forgeSYNs(p.wire, to), sourcesToFill)
	full := countElements(t, s.Server, "knock_rate4")
	late := p.knock(t, peopleBesideLoud)

	r.heading("One loud source")
	r.say(fmt.Sprintf(`
A single address sends SYNs to a knock port for %v, as fast as the machine can: %v. Then it does so while others knock.
At last %v random sources have filled the kernel's table of sources (%v of them), and people knock.`,
		loudFor, f.perSecond(), count(sourcesToFill), count(full)))
	everybody := fmt.Sprintf("%d of %[1]d", peopleBesideLoud)
	r.targets(
		atMost("loud/cpu", "CPU of the daemon, of one processor", share(100*cpu.Seconds()/f.took.Seconds()), 1),
		exactly("loud/others", "others that got in", others.opened(), everybody),
		atMost("loud/median", "median of those", others.quantile(0.5), span(5*time.Millisecond)),
		exactly("loud/full", "got in while the table of sources was full", late.opened(), everybody),
	)
}
