//go:build !race

package lab

const Race = false
