package bench

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var writeReport = flag.Bool("report", false, "measure nftknockd beside its peers; write ../BENCHMARKS.md and its pictures")

// TestReport measures what nftknockd promises, all in one run, and beside its
// peers. It takes about a quarter of an hour, and needs the machine to itself. Whether a
// target is met is for the report to say: missing one is no failure.
//
// A part of it can be run by its name. Files are written if all of it was.
func TestReport(t *testing.T) {
	if !*writeReport {
		t.Skip("takes a quarter of an hour: go test -report")
	}
	r := new(benchReport)
	r.out = io.MultiWriter(os.Stdout, &r.text)
	parts := []struct {
		name    string
		measure func(*testing.T, *benchReport)
	}{
		{"machine", reportMachine},
		{"opening", reportOpening},
		{"loud", reportLoud},
		{"packets", reportPackets},
		{"rest", reportRest},
		{"bystanders", reportBystanders},
		{"throughput", reportThroughput},
		{"burst", reportBurst},
		{"scale", reportScale},
		{"scans", reportScans},
		{"ways", reportWays},
		{"engine", reportEngine},
	}
	ran := 0
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			part.measure(t, r)
			ran++
		})
	}
	if ran < len(parts) {
		return
	}
	for file, text := range map[string]string{
		"BENCHMARKS.md":          r.text.String(),
		"time-to-open.svg":       drawOpening(r.idle),
		"knocks-under-flood.svg": drawFloods(r.floods),
	} {
		if err := os.WriteFile(filepath.Join("..", file), []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// A benchReport is what a run has found out.
type benchReport struct {
	out  io.Writer // shows it, and keeps it in text
	text strings.Builder

	// What the pictures show.
	idle   []opening
	floods []opening
}
