//go:build race

package lab

const Race = true
