package bench

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

func reportMachine(t *testing.T, r *benchReport) {
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		t.Fatal(err)
	}
	h := lab.NewHost(t, "any")
	fmt.Fprintln(r.out, "# Benchmarks")
	r.say(`
` + "`make bench`" + ` has measured this in one run, nftknockd and its peers in the same network namespaces and with the same
prober. Where a target is missed it says so, and why. A fleet is measured apart, by ` + "`make bench-fleet`" + `: [FLEET.md](FLEET.md).`)
	r.say(`
![Time from the last knock to the first answer](time-to-open.svg)
![Knocks that opened the door, against the rate of a flood](knocks-under-flood.svg)`)
	r.say(strings.Join([]string{
		"- " + time.Now().UTC().Format("2 January 2006"),
		fmt.Sprintf("- %d × %s, %s of memory", runtime.NumCPU(),
			valueIn(t, "/proc/cpuinfo", "model name"), valueIn(t, "/proc/meminfo", "MemTotal")),
		"- Linux " + unix.ByteSliceToString(kernel.Release[:]),
		"- " + strings.TrimSpace(h.Run(t, "nft", "--version")),
		"- " + runtime.Version(),
		"- peer: " + strings.Split(h.Run(t, "knockd", "-V"), "\n")[0] + ", which runs nft",
		"- peer: " + nameOfFwknopd + ", which runs iptables",
		"- peer: port knocking with sets in the kernel, after the example of the nftables wiki",
	}, "\n"))
}

// valueIn returns the first value of a key in a file of /proc.
func valueIn(t testing.TB, file, key string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if k, v, found := strings.Cut(line, ":"); found && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
