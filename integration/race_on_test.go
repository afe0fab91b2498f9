//go:build race

package integration

const Race = true
