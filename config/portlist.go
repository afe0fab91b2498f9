package config

import (
	"nftknock/config/internal/doc"
	"nftknock/knock"
)

// PortList writes ports as the configuration has them: a list of TOML such as
// [22, "51820:udp"].
func PortList(ports []knock.Port) string { return doc.PortList(ports) }
