package bench

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// Everybody comes at once: burstPeople knock whole sequences, burstRate of them a second.
const (
	burstPeople = 10_000
	burstRate   = 5_000
)

func reportBurst(t *testing.T, r *benchReport) {
	s := newBenchSite(t)
	w := openWire(t, s.Client, s.Server, 1)
	d := lab.StartDaemon(t, s.Server, lab.SSHDoor)

	var knocks [][]byte
	for i := range burstPeople {
		from := netip.AddrFrom4([4]byte{20, 0, byte(i >> 8), byte(i)})
		for _, k := range lab.SSHSequence {
			p, err := lab.ParseKnock(from, s.Addr, k)
			if err != nil {
				t.Fatal(err)
			}
			knocks = append(knocks, w.frame(p))
		}
	}
	next := 0
	inTurn := func() []byte {
		next++
		return knocks[next-1]
	}
	cpu, lost := lab.CPUTime(t, d.Cmd.Process.Pid), logsLost(t, s.Server)
	f := startFlood(t, w, inTurn, burstRate*len(lab.SSHSequence), len(knocks))
	f.wait(t)
	in, since := 0, time.Now()
	for in = countElements(t, s.Server, "ssh_open4"); in < burstPeople && time.Since(since) < lab.Timeout; {
		time.Sleep(time.Millisecond)
		in = countElements(t, s.Server, "ssh_open4")
	}
	last := time.Since(since)
	cpu, lost = lab.CPUTime(t, d.Cmd.Process.Pid)-cpu, logsLost(t, s.Server)-lost

	r.heading("Everybody at once")
	r.say(fmt.Sprintf(`
%v people, each from an address of their own, knock whole sequences, %v of them; the last one is in %v after the last
knock at most.`, count(burstPeople), rate(f.perSecond()/rate(len(lab.SSHSequence))), span(last)))
	r.targets(
		exactly("burst/in", "in after all", count(in), burstPeople),
		exactly("burst/lost", "log messages lost", count(lost), 0),
		atMost("burst/cpu", "CPU of the daemon for each of them", span(cpu/burstPeople), span(200*time.Microsecond)),
	)
}
