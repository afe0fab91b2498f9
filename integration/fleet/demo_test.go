package fleet

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"nftknock/integration/lab"
)

var demo = flag.Bool("demo", false, "show a fleet at work")

// TestDemo shows a fleet at work, for make demo-fleet.
func TestDemo(t *testing.T) {
	if !*demo {
		t.Skip("shows what the other tests prove: make demo-fleet")
	}
	say := func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	say("\nThree gates, a NATS server and a client, in network namespaces of their own.")
	say("Each gate guards port 22, and its companion, nftknockd fleet, shares whom it lets in.\n")
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 3})
	first, second, third := f.Gates[0], f.Gates[1], f.Gates[2]
	try := func() {
		for _, g := range f.Gates {
			say("   port 22 of %s: %s", g.Name(), g.Answer())
		}
	}
	try()

	say("\nThe client knocks at %s alone.", first.Name())
	start := time.Now()
	first.Knock(t, lab.SSHSequence...)
	lab.ExpectIn(t, f.Source.String(), first, second, third)
	say("All three let it in, %v later at most, with the looking.", time.Since(start).Round(time.Millisecond))
	try()

	say("\n%s says:", second.Name())
	for line := range strings.Lines(second.Daemon.Tell(t, "status")) {
		fmt.Print("   | ", line)
	}

	say("\nThe client knocks the closing sequence at %s.", third.Name())
	third.Knock(t, "6127", "8391", "7214")
	lab.ExpectOut(t, f.Source.String(), first, second, third)
	try()

	say("\nNATS is killed. The client knocks at %s, which works alone.", first.Name())
	f.NATS[0].Stop(syscall.SIGKILL)
	first.Knock(t, lab.SSHSequence...)
	lab.ExpectIn(t, f.Source.String(), first)
	try()

	say("\nNATS is back.")
	f.StartNATS(t, 0)
	lab.ExpectIn(t, f.Source.String(), second, third)
	try()
	say("\nThat is all: nothing is left behind.\n")
	os.Stdout.Sync()
}
