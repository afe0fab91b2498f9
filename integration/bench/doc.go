// Package bench measures nftknockd beside its peers, and writes ../BENCHMARKS.md with its
// pictures: that is what make bench runs. It measures nothing unless it is told to, by the
// flag -report or by -bench.
package bench
