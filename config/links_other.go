//go:build !linux

package config

func readLinks() ([]Link, error) { return nil, nil }
