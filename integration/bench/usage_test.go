package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// cpuTime returns how long the threads of a process have been on a processor,
// in user and system mode. The scheduler counts nanoseconds, not ticks.
func cpuTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("process %d has no threads: %v", pid, err)
	}
	var sum time.Duration
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has just ended
		}
		ns, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", task, err)
		}
		sum += time.Duration(n)
	}
	return sum
}

// memory returns a size of a process: VmRSS, what it has in memory now, or
// VmHWM, the most it ever had.
func memory(t testing.TB, pid int, which string) megabytes {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == which+":" {
			kB, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return megabytes(float64(kB) * 1024 / 1e6)
		}
	}
	t.Fatalf("process %d: no %s", pid, which)
	return 0
}

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
