package bench

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"nftknock/integration/lab"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == floorArg {
		fmt.Fprintln(os.Stderr, runFloor())
		os.Exit(1)
	}
	flag.Parse()
	if !*writeReport && flag.Lookup("test.bench").Value.String() == "" {
		os.Exit(m.Run()) // nothing is measured: no need of the programs
	}
	lab.Main(m)
}
