package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestHostileClients crowds the control socket, while people knock.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	s := newSite(t, ipv4)
	s.server.listenTCP(t, 22)
	d := startDaemon(t, s.server, sshDoor)
	before := d.memory(t)

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
	crowd := make(chan net.Conn, clients)
	go func() {
		defer close(crowd)
		for i := range clients {
			c, err := net.DialTimeout("unix", d.socket, aWhile)
			if err != nil {
				t.Error(err)
				return
			}
			crowd <- c
			c.SetWriteDeadline(time.Now().Add(aWhile))
			io.WriteString(c, ways[i%len(ways)]) // it may have been closed already
		}
	}()
	s.knock(t, s.person, sshSequence...)
	s.waitIn(t, "ssh", s.person)
	s.expectOpen(t, s.person, "22")
	for c := range crowd {
		t.Cleanup(func() { c.Close() })
	}
	s.knock(t, s.neighbour, sshSequence...)
	s.waitIn(t, "ssh", s.neighbour)
	if state := d.status(t); len(state.Grants) != 2 {
		t.Errorf("%+v", state)
	}
	most := 64 << 20 // bytes; 3000 and 12,000 clients make for 15 MiB alike
	if race {
		most *= 8
	}
	if after := d.memory(t); after > before+most {
		t.Errorf("the daemon has grown from %d to %d MiB", before>>20, after>>20)
	}
}

// memory returns how much memory a process has, in bytes.
func (p *process) memory(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var all, resident int // in pages; proc(5)
	if _, err := fmt.Sscan(string(b), &all, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}
