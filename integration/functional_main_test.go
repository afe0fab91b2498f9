package integration

import "flag"

var update = flag.Bool("update", false, "write the golden listings in testdata anew")
