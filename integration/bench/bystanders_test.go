package bench

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

const (
	bystanderRounds = 60
	bystanderTurn   = 100 * time.Millisecond
)

// A bystander is a host that gets packets which are none of the gate's business.
type bystander struct {
	name    string
	guard   func(t testing.TB, h *lab.Host)
	wire    *wire
	streams map[string]func() []byte
	rates   map[string][]rate // one a round

	// beside is the host that it has to be as fast as, almost; nil: none.
	beside  *bystander
	atLeast share
}

// reportBystanders measures packets a second through hosts with the gate and
// without. The sender's kernel carries each packet all the way through the other
// host before it takes the next one, so its rate is that of both.
func reportBystanders(t *testing.T, r *benchReport) {
	bare := &bystander{name: "no rule at all", guard: func(testing.TB, *lab.Host) {}}
	tracking := &bystander{name: "a firewall: ct state established,related accept", guard: addTrackingRule}
	hosts := []*bystander{
		bare,
		{name: "nftknockd, 1 door", guard: addDoors(1), beside: bare, atLeast: 95},
		{name: "nftknockd, 1,000 doors", guard: addDoors(1000), beside: bare, atLeast: 95},
		tracking,
		{name: "the firewall and nftknockd, 1,000 doors", guard: both(addTrackingRule, addDoors(1000)), beside: tracking, atLeast: 96},
	}
	client := lab.NewHost(t, "client")
	for i, b := range hosts {
		b.join(t, client, byte(1+i))
	}
	// By turns: what else the machine does slows all of them down alike.
	for round := range bystanderRounds {
		for i := range hosts {
			b := hosts[(round+i)%len(hosts)]
			for stream, frame := range b.streams {
				b.rates[stream] = append(b.rates[stream], sendFor(t, b.wire, frame, bystanderTurn).perSecondOfProcessor())
			}
		}
	}

	r.heading("Other people's packets")
	r.say(fmt.Sprintf(`
Packets a second through a host, from one processor, on ports that no door guards: a stream of UDP to a socket, and a
stream of SYNs to a closed port. Medians of %d rounds of %v by turns, and of what each round was beside that of the host
without any rule. nftknockd does not turn on connection tracking; the one rule of every firewall does.`, bystanderRounds, bystanderTurn))
	rows := [][]string{{"", "UDP", "", "SYN", ""}}
	var targets []target
	for _, b := range hosts {
		row := []string{b.name}
		for _, stream := range []string{"UDP", "SYN"} {
			row = append(row, medianOf(b.rates[stream]).String(), b.share(stream, bare).String())
			if b.beside != nil {
				targets = append(targets, atLeast("bystanders/"+stream,
					fmt.Sprintf("%s, %s, of %s", stream, b.name, b.beside.name), b.share(stream, b.beside), b.atLeast))
			}
		}
		rows = append(rows, row)
	}
	r.table(rows)
	r.targets(targets...)
}

// share is how fast the host was beside another one.
func (b *bystander) share(stream string, other *bystander) share {
	return share(100 * medianRatio(b.rates[stream], other.rates[stream]))
}

// join makes the host, and what is sent to it.
func (b *bystander) join(t testing.TB, client *lab.Host, number byte) {
	t.Helper()
	const udpPort, tcpPort, clients = 4000, 4001, 4096
	h := lab.NewHost(t, b.name)
	lab.Connect(t, number, h, client)
	here, there := lab.IPv4.Addr(number, 0, 2), lab.IPv4.Addr(number, 0, 1)
	bindUDP(t, h, udpPort)
	b.guard(t, h)
	client.Dial(here, netip.AddrPortFrom(there, tcpPort), time.Second) // they know each other's link addresses

	b.wire = openWire(t, client, h, number)
	var syns [][]byte
	for i := range clients {
		from := netip.AddrPortFrom(here, uint16(20000+i))
		syns = append(syns, b.wire.frame(lab.TCP(from, netip.AddrPortFrom(there, tcpPort), uint32(i), lab.FlagSYN)))
	}
	b.streams = map[string]func() []byte{
		"UDP": repeat(b.wire.frame(lab.UDP(netip.AddrPortFrom(here, 20000), netip.AddrPortFrom(there, udpPort)))),
		"SYN": repeat(syns...),
	}
	b.rates = make(map[string][]rate)
}

// bindUDP takes a UDP port, and reads nothing from it.
func bindUDP(t testing.TB, h *lab.Host, port uint16) {
	t.Helper()
	err := h.In(func() error {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: int(port)})
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func addTrackingRule(t testing.TB, h *lab.Host) {
	h.RunWith(t, `
table inet filter {
	chain input {
		type filter hook input priority filter
		ct state established,related accept
	}
}
`, "nft", "-f", "-")
}

// addDoors guards n TCP ports and a UDP port, with knocks of both kinds.
func addDoors(n int) func(testing.TB, *lab.Host) {
	return func(t testing.TB, h *lab.Host) {
		var config strings.Builder
		for i := range n {
			fmt.Fprintf(&config, "[door.d%d]\nports = [%d, \"51820:udp\"]\nsequence = [%d, \"%d:udp\", %d]\n",
				i, 10000+i, 20000+2*i, 20000+2*i, 20001+2*i)
		}
		lab.StartDaemon(t, h, config.String())
	}
}

// medianRatio returns the median of what each rate is, divided by its counterpart.
func medianRatio(rates, counterparts []rate) float64 {
	var ratios []float64
	for i := range rates {
		ratios = append(ratios, float64(rates[i]/counterparts[i]))
	}
	return medianOf(ratios)
}

func both(guards ...func(testing.TB, *lab.Host)) func(testing.TB, *lab.Host) {
	return func(t testing.TB, h *lab.Host) {
		for _, guard := range guards {
			guard(t, h)
		}
	}
}
