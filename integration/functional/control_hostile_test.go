package functional

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestHostileClients connects to the control socket more often than it serves, while people knock.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
	before := d.Memory(t)

	const clients = 3000
	ways := []string{
		"", // says nothing
		"GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"POST /v1/open HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{",
		"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n", // and does not read
		"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", // nor does this
		"POST /v1/close HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10),
	}
	connections := make(chan net.Conn, clients)
	go func() {
		defer close(connections)
		for i := range clients {
			c, err := net.DialTimeout("unix", d.Socket, lab.Timeout)
			if err != nil {
				t.Error(err)
				return
			}
			connections <- c
			c.SetWriteDeadline(time.Now().Add(lab.Timeout))
			io.WriteString(c, ways[i%len(ways)]) // it may have been closed already
		}
	}()
	s.Knock(t, s.Source, lab.SSHSequence...)
	s.WaitIn(t, "ssh", s.Source)
	s.ExpectOpen(t, s.Source, "22")
	for c := range connections {
		t.Cleanup(func() { c.Close() })
	}
	s.Knock(t, s.Neighbour, lab.SSHSequence...)
	s.WaitIn(t, "ssh", s.Neighbour)
	if state := d.Status(t); len(state.Grants) != 2 {
		t.Errorf("%+v", state)
	}
	most := 64 << 20 // bytes; 3000 and 12,000 clients make for 15 MiB alike
	if lab.Race {
		most *= 8
	}
	if after := d.Memory(t); after > before+most {
		t.Errorf("the daemon has grown from %d to %d MiB", before>>20, after>>20)
	}
}
