package bench

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// logsLost returns how many messages did not fit into the buffers of the host's
// netfilter sockets.
func logsLost(t testing.TB, h *lab.Host) int {
	t.Helper()
	const protocol, drops = 1, 8 // columns
	sum := 0
	for _, socket := range sockets(t, h, "netlink") {
		if socket[protocol] != strconv.Itoa(unix.NETLINK_NETFILTER) {
			continue
		}
		n, err := strconv.Atoi(socket[drops])
		if err != nil {
			t.Fatalf("/proc/net/netlink: %v", err)
		}
		sum += n
	}
	return sum
}

// hasPacketSocket says whether a program on the host listens to its frames.
func hasPacketSocket(t testing.TB, h *lab.Host) bool {
	t.Helper()
	return len(sockets(t, h, "packet")) > 0
}

// sockets returns the columns of a file in /proc/net, without the heading.
func sockets(t testing.TB, h *lab.Host, kind string) [][]string {
	t.Helper()
	var b []byte
	err := h.In(func() (err error) {
		b, err = os.ReadFile("/proc/thread-self/net/" + kind)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(b)) {
		rows = append(rows, strings.Fields(line))
	}
	return rows[1:]
}

func megabytesOf(t testing.TB, pid int, which string) megabytes {
	t.Helper()
	return megabytes(lab.Memory(t, pid, which) / 1e6)
}
