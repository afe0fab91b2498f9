//go:build !race

package lab

// Race says that the tests have the race detector.
const Race = false
