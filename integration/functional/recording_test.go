package functional

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// TestRecording records what somebody sends who knocks and connects, and sends all of it again
// and again, byte for byte: while the gate takes the knocks for retransmissions, and when
// it has forgotten them.
func TestRecording(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		app := lab.NewAuthenticator(t)
		d := lab.StartDaemon(t, s.Server, "[limits]\nper_source = 1000\n"+fmt.Sprintf(codeDoor, app.File)+"seq_timeout = \"5s\"\n")
		wire := s.Client.PacketSocket(t, s.Client.InterfaceByName(t, "net1").Index, unix.ETH_P_ALL)
		s.NC(t, s.Source, codeKnocks(t, app.Code(t, 0))...)
		s.WaitIn(t, "ssh", s.Source)
		s.ExpectOpen(t, s.Source, "22")
		recorded := sentOn(t, wire)

		s.Knock(t, s.Source, "6127", "8391")
		s.WaitOut(t, "ssh", s.Source)
		lab.Eventually(t, "the code is judged once more", func() bool {
			for _, frame := range recorded {
				if _, err := unix.Write(wire, frame); err != nil {
					t.Fatal(err)
				}
			}
			return strings.Contains(d.Log(), "msg=refused")
		})
		s.ExpectOut(t, "ssh", s.Source)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
		if n := strings.Count(d.Log(), "granted"); n != 1 {
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
