package bench

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nftknock/integration/lab"
)

const (
	restFor = 10 * time.Second

	// sources is the default of limits.sources, and floodOfSources more
	// than that, even where some of it is lost.
	sources        = 262_144
	floodOfSources = 600_000

	peopleFurtherOn = 20
)

// reportRest measures what the daemon costs that has nothing to do, and what it
// remembers of a flood.
func reportRest(t *testing.T, r *benchReport) {
	s := newBenchSite(t)
	p := newKnockTimer(t, s)
	d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
	pid := d.Cmd.Process.Pid
	time.Sleep(2 * time.Second) // it has come to rest

	cpu := lab.CPUTime(t, pid)
	time.Sleep(restFor)
	cpu = lab.CPUTime(t, pid) - cpu
	small := megabytesOf(t, pid, "VmRSS")

	// Some have knocked all but the last when the flood begins.
	last := len(lab.SSHSequence) - 1
	var halfway []netip.Addr
	for range peopleFurtherOn {
		who := p.somebody()
		halfway = append(halfway, who)
		s.Knock(t, who, lab.SSHSequence[:last]...)
	}
	lost := logsLost(t, s.Server)
	f := sendCount(t, p.wire, forgeSYNs(p.wire, netip.AddrPortFrom(s.Addr, 7214)), floodOfSources)
	time.Sleep(500 * time.Millisecond) // the last of it is read
	lost = logsLost(t, s.Server) - lost
	large, most := megabytesOf(t, pid, "VmRSS"), megabytesOf(t, pid, "VmHWM")
	for _, who := range halfway {
		s.Knock(t, who, lab.SSHSequence[last])
	}
	s.Settle(t, "ssh", lab.SSHSequence...)
	in := len(s.Entries(t, "ssh")) - 1 // without the witness of settle

	r.heading("At rest, and full")
	r.say(fmt.Sprintf(`
The daemon's CPU time over %v in which nobody knocks, and what it has in memory. Then %v random sources knock the first
knock, at %v, which is more than limits.sources (%v) lets it remember; %v log messages are lost. Before
that, some have knocked all of the sequence but the last; they knock that afterwards.`,
		restFor, count(floodOfSources), f.perSecond(), count(sources), count(lost)))
	r.targets(
		atMost("rest/cpu", fmt.Sprintf("CPU time in %v at rest", restFor), span(cpu), span(time.Millisecond)),
		atMost("rest/memory", "memory at rest", small, 20),
		atMost("full/memory", "memory when full", large, 100),
		atMost("full/peak", "the most it ever had", most, 100),
		exactly("full/further", "those further on that got in", count(in), peopleFurtherOn),
	)
}
