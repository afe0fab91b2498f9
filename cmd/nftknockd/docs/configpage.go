package main

import (
	"nftknock/cmd/docs"
	"nftknock/config"
)

// configPage returns the man page of the configuration.
func configPage(reference string) string {
	return docs.ConfigPage{
		Name:      "nftknockd.toml",
		Summary:   "what the port-knocking daemon guards, and the knocks that let in",
		Path:      config.DefaultFile,
		Reference: reference,
		SeeAlso:   "nftknockd(8), nftknockd-check(8), nftknockd-reload(8), nftknock(1), nft(8)",
	}.String()
}
