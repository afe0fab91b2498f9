package bench

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"nftknock/integration/lab"
)

const (
	throughputRounds = 60
	throughputTurn   = 100 * time.Millisecond
)

// A carrier is a host to whose port 22 bulk data go, and from which they come.
type carrier struct {
	name  string
	guard func(t testing.TB, h *lab.Host, client netip.Addr)
	up    net.Conn // the client writes
	down  net.Conn // the client reads
	rates map[string][]rate
}

// reportThroughput measures what guarding a port costs a connection that was let in.
func reportThroughput(t *testing.T, r *benchReport) {
	none := func(testing.TB, *lab.Host, netip.Addr) {}
	recipe := &carrier{name: "the recipe: ct state established,related accept", guard: addRecipe}
	carriers := []*carrier{
		{name: "no rule at all", guard: none},
		recipe,
		{name: nameOfOurs, guard: guardAndOpen},
	}
	ours := carriers[len(carriers)-1]
	client := lab.NewHost(t, "client")
	for i, c := range carriers {
		c.join(t, client, byte(1+i))
	}
	for round := range throughputRounds {
		for i := range carriers {
			c := carriers[(round+i)%len(carriers)]
			c.rates["up"] = append(c.rates["up"], carry(t, c.up.Write))
			c.rates["down"] = append(c.rates["down"], carry(t, c.down.Read))
		}
	}

	r.heading("Bulk data through a guarded port")
	r.say(fmt.Sprintf(`
What one connection to port 22 carries, to the host and from it, by a client that was let in. Medians of %d rounds of %v
by turns, and of what each round was beside that of the recipe that most people use.`, throughputRounds, throughputTurn))
	rows := [][]string{{"", "to the host", "", "from it", ""}}
	for _, c := range carriers {
		row := []string{c.name}
		for _, way := range []string{"up", "down"} {
			row = append(row, megabytes(medianOf(c.rates[way])/1e6).String()+"/s", c.share(way, recipe).String())
		}
		rows = append(rows, row)
	}
	r.table(rows)
	r.targets(
		atLeast("throughput", "to the host, of the recipe", ours.share("up", recipe), 90),
		atLeast("throughput", "from the host, of the recipe", ours.share("down", recipe), 90),
	)
}

func (c *carrier) share(way string, other *carrier) share {
	return share(100 * medianRatio(c.rates[way], other.rates[way]))
}

// join makes the host, and two connections to it.
func (c *carrier) join(t testing.TB, client *lab.Host, number byte) {
	t.Helper()
	h := lab.NewHost(t, fmt.Sprintf("carrier%d", number))
	lab.Connect(t, number, h, client)
	here, there := lab.IPv4.Addr(number, 0, 2), lab.IPv4.Addr(number, 0, 1)
	l := h.ListenTCP(t, 22)
	c.guard(t, h, here)
	dial := func() (net.Conn, net.Conn) {
		type accepted struct {
			c   net.Conn
			err error
		}
		server := make(chan accepted, 1)
		go func() {
			c, err := l.Accept()
			server <- accepted{c, err}
		}()
		near, answer, err := client.Dial(here, netip.AddrPortFrom(there, 22), lab.Timeout)
		if err != nil {
			t.Fatalf("%s: port 22 is %s: %v", c.name, answer, err)
		}
		t.Cleanup(func() { near.Close() })
		far := <-server
		if far.err != nil {
			t.Fatal(far.err)
		}
		t.Cleanup(func() { far.c.Close() })
		return near, far.c
	}
	var sink, source net.Conn
	c.up, sink = dial()
	c.down, source = dial()
	go io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{sink}, make([]byte, 256<<10))
	go func() {
		for b := make([]byte, 256<<10); ; {
			if _, err := source.Write(b); err != nil {
				return
			}
		}
	}()
	c.rates = make(map[string][]rate)
}

// carry reads or writes for a turn, and returns the bytes a second.
func carry(t testing.TB, some func([]byte) (int, error)) rate {
	t.Helper()
	b := make([]byte, 256<<10)
	bytes, start := 0, time.Now()
	for time.Since(start) < throughputTurn {
		n, err := some(b)
		if err != nil {
			t.Fatal(err)
		}
		bytes += n
	}
	return rate(float64(bytes) / time.Since(start).Seconds())
}

// addRecipe is what the tutorials say, with the client let in.
func addRecipe(t testing.TB, h *lab.Host, client netip.Addr) {
	h.RunWith(t, fmt.Sprintf(`
table inet filter {
	chain input {
		type filter hook input priority filter
		ct state established,related accept
		ip saddr %v tcp dport 22 accept
		tcp dport 22 drop
	}
}
`, client), "nft", "-f", "-")
}

func guardAndOpen(t testing.TB, h *lab.Host, client netip.Addr) {
	lab.StartDaemon(t, h, lab.SSHDoor).Tell(t, "open", "ssh", client.String())
}
