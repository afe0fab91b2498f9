package functional

import (
	"flag"
	"testing"

	"nftknock/integration/lab"
)

var update = flag.Bool("update", false, "write the golden listings in testdata anew")

func TestMain(m *testing.M) { lab.Main(m) }
