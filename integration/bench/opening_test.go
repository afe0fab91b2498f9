package bench

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// An opening is how a system let people in while it was flooded.
type opening struct {
	system string
	asked  int  // frames a second; 0: as fast as the machine could
	flood  rate // what was reached
	people probe

	lost int           // log messages
	cpu  time.Duration // of the daemon, per packet of the flood; 0 if there is none
}

// floodRates are in frames a second; 0: as fast as the machine can.
var floodRates = []int{10_000, 50_000, 0}

// peopleInFlood is how many knock during each flood.
const peopleInFlood = 100

func reportOpening(t *testing.T, r *benchReport) {
	s := newBenchSite(t)
	p := newKnockTimer(t, s)
	for _, system := range systems {
		r.idle = append(r.idle, system.atRest(t, s, p))
		for _, rate := range floodRates {
			r.floods = append(r.floods, system.flooded(t, s, p, rate))
		}
	}
	r.sayIdle(system{name: nameOfFloor, knocks: 300, start: startFloor}.atRest(t, s, p))
	r.sayFlooded()
}

// atRest measures a system on an idle machine.
func (sys system) atRest(t testing.TB, s *lab.Topology, p *knockTimer) opening {
	t.Helper()
	running := sys.start(t, s, lab.SSHSequence)
	time.Sleep(time.Second) // it has come to rest
	people := p.knock(t, sys.knocks)
	if len(people.took) == 0 {
		t.Fatalf("%s: nobody gets in", sys.name)
	}
	running.stop()
	return opening{system: sys.name, people: people}
}

// flooded measures a system while random sources knock the first knock.
func (sys system) flooded(t testing.TB, s *lab.Topology, p *knockTimer, rate int) opening {
	t.Helper()
	o := opening{system: sys.name, asked: rate}
	arrived := s.Dropped(t, lab.SSHSequence[0])
	running := sys.start(t, s, lab.SSHSequence)
	var cpu time.Duration
	if running.pid != 0 {
		cpu = lab.CPUTime(t, running.pid)
	}
	lost := logsLost(t, s.Server)

	f := startFlood(t, p.wire, forgeSYNs(p.wire, netip.AddrPortFrom(s.Addr, 7214)), rate, mostOfFlood)
	time.Sleep(500 * time.Millisecond)
	o.people = p.knock(t, peopleInFlood)
	f.stop(t)
	time.Sleep(100 * time.Millisecond) // the last of it is read

	o.flood = f.perSecond()
	o.lost = logsLost(t, s.Server) - lost
	if running.pid != 0 {
		cpu = lab.CPUTime(t, running.pid) - cpu
	}
	running.stop()
	o.cpu = cpu / time.Duration(s.Dropped(t, lab.SSHSequence[0])-arrived)
	return o
}

func (r *benchReport) sayIdle(floor opening) {
	r.heading("Knock to open")
	r.say(`
From the moment before the last knock is sent to the first answer to a SYN on the guarded port, on an idle machine. The
prober sends the same SYN again and again, and sleeps for 25 µs, or for a twentieth of the time waited so far, in between.
Each knock comes from another address. The least a process can do is to wait for the log of the last knock and to send a
transaction that was ready: it follows no sequence, and checks and remembers nothing.`)
	rows := [][]string{{"", "opened", "median", "90 %", "99 %"}}
	median := make(map[string]span)
	for _, o := range append(slices.Clone(r.idle), floor) {
		p := o.people
		median[o.system] = p.quantile(0.5)
		rows = append(rows, []string{o.system, p.opened(), p.quantile(0.5).String(), p.quantile(0.9).String(), p.quantile(0.99).String()})
	}
	r.table(rows)
	ours := median[nameOfOurs]
	r.targets(
		atMost("open/kernel", "median, to that of sets in the kernel", ratio(ours)/ratio(median[nameOfKernels]), 3),
		atMost("open/floor", "median, to that of the least a process can do", ratio(ours)/ratio(median[nameOfFloor]), 1.3),
		atLeast("open/knockd", "median of knockd, to ours", ratio(median[nameOfKnockd])/ratio(ours), 50),
		atMost("open/p99", "99 %", r.idle[0].people.quantile(0.99), span(5*time.Millisecond)),
	)
}

func (r *benchReport) sayFlooded() {
	r.heading("Under a flood")
	r.say(`
The same, while SYNs from random sources arrive at the first port of the sequence. Opened means at the first try, within a
second; where 40 did not, no more are tried. Lost are messages of the kernel's packet log. CPU is that of the daemon,
user and system, for each packet of the flood.`)
	rows := [][]string{{"", "flood", "reached", "opened", "median", "99 %", "lost", "CPU"}}
	var targets []target
	for _, o := range r.floods {
		row := []string{o.system, o.floodName(), o.flood.String(), o.people.opened(),
			o.people.quantile(0.5).String(), o.people.quantile(0.99).String(), "–", "–"}
		if o.cpu > 0 {
			row[7] = span(o.cpu).String()
		}
		if o.system == nameOfOurs {
			row[6] = count(o.lost).String()
			targets = append(targets,
				exactly("flood/opened", "opened, "+o.floodName(), o.people.opened(), fmt.Sprintf("%d of %[1]d", peopleInFlood)),
				atMost("flood/median", "median, "+o.floodName(), o.people.quantile(0.5), span(5*time.Millisecond)),
				exactly("flood/lost", "lost, "+o.floodName(), count(o.lost), 0),
				atMost("flood/cpu", "CPU, "+o.floodName(), span(o.cpu), span(5*time.Microsecond)),
			)
		}
		rows = append(rows, row)
	}
	r.table(rows)
	r.targets(targets...)
}

func (o opening) floodName() string {
	if o.asked == 0 {
		return "all it can"
	}
	return rate(o.asked).String()
}
