package cli

import (
	"slices"

	"nftknock/config"
	"nftknock/knock"
)

// findDoor returns the door of that name, or nil.
func findDoor(cfg *config.Config, name string) *knock.Door {
	i := slices.IndexFunc(cfg.Doors, func(d knock.Door) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return &cfg.Doors[i]
}

func doorNames(cfg *config.Config) []string {
	names := make([]string, len(cfg.Doors))
	for i, d := range cfg.Doors {
		names[i] = d.Name
	}
	return names
}
