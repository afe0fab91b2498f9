// Package ruleset is the table that a configuration asks for, on this host.
package ruleset

import (
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// Of returns the table that a configuration asks for, with the decoys that were
// chosen for it.
func Of(cfg *config.Config, decoys []knock.Port) *nft.Ruleset {
	var packets uint16
	if len(cfg.SPA.Doors) > 0 {
		packets = cfg.SPA.Port.Number
	}
	return nft.NewRuleset(nft.Spec{
		Table:       cfg.Table,
		NFLogGroup:  cfg.NFLogGroup,
		Interfaces:  cfg.Interfaces,
		AlwaysAllow: cfg.AlwaysAllow,
		PerSource:   uint32(cfg.Limits.PerSource),
		Doors:       cfg.Doors,
		Decoys:      decoys,
		PacketPort:  packets,
	})
}
