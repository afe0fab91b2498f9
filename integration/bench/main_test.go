package bench

import (
	"flag"
	"os"
	"testing"

	"nftknock/integration/lab"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if !*writeReport && flag.Lookup("test.bench").Value.String() == "" {
		os.Exit(m.Run()) // nothing is measured: no need of the programs
	}
	lab.Main(m)
}
