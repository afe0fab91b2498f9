package bench

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// A goBenchmark is what testing.B has measured, several times.
type goBenchmark struct {
	name        string
	nanoseconds []float64 // per operation
	allocations []float64
}

var goBenchmarkLine = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op.*?\s(\d+) allocs/op$`)

// reportEngine runs the benchmarks of the packages.
func reportEngine(t *testing.T, r *benchReport) {
	const command = "go test -run=^$ -bench=. -benchmem -count=3 nftknock/knock nftknock/nft"
	benchmarks := runGoBenchmarks(t, strings.Fields(command))

	r.heading("Engine and decoder")
	r.say(fmt.Sprintf("`%s`: medians of three. Observe is what the daemon decides about a packet.", command))
	rows := [][]string{{"", "time", "allocations"}}
	var targets []target
	for _, b := range benchmarks {
		ns := span(medianOf(b.nanoseconds))
		allocations := count(medianOf(b.allocations))
		rows = append(rows, []string{b.name, ns.String(), allocations.String()})
		if name, ok := strings.CutPrefix(b.name, "Observe/"); ok {
			targets = append(targets,
				atMost("engine/time", "Observe, "+name, ns, 150),
				exactly("engine/allocations", "allocations, "+name, allocations, 0),
			)
		}
	}
	r.table(rows)
	r.targets(targets...)
}

// runGoBenchmarks returns the results in the order they came.
func runGoBenchmarks(t testing.TB, args []string) []*goBenchmark {
	t.Helper()
	out, err := lab.Command(context.Background(), t, args[0], args[1:]...).Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	var benchmarks []*goBenchmark
	for _, line := range goBenchmarkLine.FindAllStringSubmatch(string(out), -1) {
		i := slices.IndexFunc(benchmarks, func(b *goBenchmark) bool { return b.name == line[1] })
		if i < 0 {
			i = len(benchmarks)
			benchmarks = append(benchmarks, &goBenchmark{name: line[1]})
		}
		b := benchmarks[i]
		b.nanoseconds = append(b.nanoseconds, parseFloat(t, line[2]))
		b.allocations = append(b.allocations, parseFloat(t, line[3]))
	}
	return benchmarks
}

func parseFloat(t testing.TB, s string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
