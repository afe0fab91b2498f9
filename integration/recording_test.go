package integration

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRecording records what somebody sends who knocks and connects, and sends all of it again
// and again, byte for byte: while the gate takes the knocks for retransmissions, and when
// it has forgotten them.
func TestRecording(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.listenTCP(t, 22)
		app := newApp(t)
		d := startDaemon(t, s.server, "[limits]\nper_source = 1000\n"+fmt.Sprintf(codeDoor, app.file)+"seq_timeout = \"5s\"\n")
		wire := s.client.packetSocket(t, s.client.interfaceByName(t, "net1").Index, unix.ETH_P_ALL)
		s.nc(t, s.person, codeKnocks(t, app.code(t, 0))...)
		s.waitIn(t, "ssh", s.person)
		s.expectOpen(t, s.person, "22")
		recorded := sentOn(t, wire)

		s.knock(t, s.person, "6127", "8391")
		s.waitOut(t, "ssh", s.person)
		eventually(t, "the code is judged once more", func() bool {
			for _, frame := range recorded {
				if _, err := unix.Write(wire, frame); err != nil {
					t.Fatal(err)
				}
			}
			return strings.Contains(d.log(), "msg=refused")
		})
		s.expectOut(t, "ssh", s.person)
		s.expectShut(t, s.person, "22", silent)
		if n := strings.Count(d.log(), "granted"); n != 1 {
			t.Errorf("let in %d times", n)
		}
	})
}

// sentOn returns the frames that the host of a packet socket has sent so far.
func sentOn(t testing.TB, fd int) [][]byte {
	t.Helper()
	var frames [][]byte
	for {
		b := make([]byte, 1<<16)
		n, from, err := unix.Recvfrom(fd, b, 0)
		if err == unix.EAGAIN {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
			frames = append(frames, b[:n])
		}
	}
}
